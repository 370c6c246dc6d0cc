import math

import torch
from torch import nn

from vaelib.initialization import glorot_uniform


def test_weights_are_uniform_within_glorots_limit_and_biases_zero(generator):
    network = nn.Sequential(nn.Linear(784, 500), nn.Conv2d(8, 16, 3))
    glorot_uniform(network, generator)
    for layer, fans in ((network[0], 784 + 500), (network[1], 9 * (8 + 16))):
        limit = math.sqrt(6 / fans)
        weight = layer.weight.detach()
        assert weight.abs().max() <= limit
        assert weight.abs().max() > 0.97 * limit
        assert abs(weight.std() / (limit / math.sqrt(3)) - 1) < 0.06
        assert (layer.bias == 0).all()


def test_a_seed_repeats():
    networks = [nn.Linear(5, 7), nn.Linear(5, 7)]
    for network in networks:
        glorot_uniform(network, torch.Generator().manual_seed(3))
    assert torch.equal(networks[0].weight, networks[1].weight)
