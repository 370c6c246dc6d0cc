"""Adam: PyTorch's, to the last bit."""

import subprocess
import sys

import pytest
import torch

from vaelib.adam import Adam


@pytest.fixture(params=[torch.float32, torch.float64, torch.bfloat16])
def values(request, generator):
    """Three values, the second of which has a gradient only later, the third never."""
    return [
        torch.randn(size, generator=generator).to(request.param).requires_grad_()
        for size in ((3, 4), (5,), (2,))
    ]


def give_gradients(values, step):
    for number, value in enumerate(values):
        moved = number == 0 or (number == 1 and step > 1)
        value.grad = value.detach().sin() * 10.0 ** (step - 3) if moved else None


def test_it_moves_as_pytorchs_class_bit_for_bit(values):
    same = [value.detach().clone().requires_grad_() for value in values]
    ours, theirs = Adam(values), torch.optim.Adam(same, fused=True)
    for step, rate in enumerate((1e-3, 2e-3, 1e-2, 0.0, 1e-1)):
        give_gradients(values, step)
        give_gradients(same, step)
        theirs.param_groups[0]["lr"] = rate
        ours.step(rate)
        theirs.step()
        for one, other in zip(values, same, strict=True):
            assert torch.equal(one, other)
    state = theirs.state_dict()["state"]
    assert ours.averages.keys() == state.keys() == {0, 1}
    for number, averages in ours.averages.items():
        assert averages.keys() == state[number].keys()
        for name, average in averages.items():
            assert torch.equal(average, state[number][name])
            assert average.dtype == state[number][name].dtype


def test_it_goes_on_from_averages(values):
    adam = Adam(values)
    for step in range(3):
        give_gradients(values, step)
        adam.step(0.1)
    copied = [value.detach().clone().requires_grad_() for value in values]
    again = Adam(copied)
    again.restore(adam.averages)
    for each, its in ((adam, values), (again, copied)):
        give_gradients(its, 3)
        each.step(0.1)
    for one, other in zip(values, copied, strict=True):
        assert torch.equal(one, other)


def test_a_restored_one_does_not_share_memory(values):
    adam, other = Adam(values), Adam(values)
    give_gradients(values, 0)
    adam.step(0.1)
    other.restore(adam.averages)
    before = other.averages[0]["exp_avg"].clone()
    adam.step(0.1)
    assert torch.equal(other.averages[0]["exp_avg"], before)


def test_a_training_does_not_import_the_compiler():
    code = """
import sys, torch
from vaelib import vae
from vaelib.training import train
train(vae.dense(hidden=5, pixels=4), 255 * torch.eye(4, dtype=torch.uint8), epochs=1)
print("torch._dynamo" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False", "it takes a second"
