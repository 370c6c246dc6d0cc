import json

import torch

from benchmarks import objectives
from vaelib import vae
from vaelib.elbo import elbo
from vaelib.training import mean_terms, train


def test_the_committed_table_is_complete_and_consistent():
    rows = json.loads(objectives.RESULTS.read_text())["rows"]
    keys = {(row["dataset"], row["kl"], row["decoder_penalty"], row["seed"]) for row in rows}
    expected = {
        (name, variant["kl"], variant["decoder_penalty"], seed)
        for name in objectives.DATASETS
        for variant in objectives.VARIANTS
        for seed in objectives.SEEDS
    }
    assert keys == expected
    assert len(rows) == len(expected)
    for row in rows:
        total = row["test_kl"] - row["test_log_likelihood"]
        assert abs(row["test_negative_elbo"] - total) < 1e-3
        assert (row["test_kl_claimed"] < row["test_kl"]) == (row["kl"] == "wrong")


def test_a_variant_is_measured_by_the_true_bound(pixels):
    row = objectives.measure(pixels[:40], pixels[40:], 0, objectives.VARIANTS[2])
    generator = torch.Generator().manual_seed(0)
    model = vae.dense(generator=generator)
    train(model, pixels[:40], objective=objectives.wrong_elbo, generator=generator)
    assert row["test_kl"] == mean_terms(model, pixels[40:]).kl.item()
    assert row["kl"] == "wrong"
    assert abs(row["test_negative_elbo"] - row["test_kl"] + row["test_log_likelihood"]) < 1e-3
    assert row["test_kl_claimed"] != row["test_kl"]


def test_wrong_and_right_objectives_differ_in_the_kl_alone(generator):
    model = vae.dense(generator=generator)
    image = (torch.rand(4, 784, generator=generator) < 0.2).float()
    noise = torch.randn(4, 5, generator=generator)
    right, wrong = elbo(model, image, noise), objectives.wrong_elbo(model, image, noise)
    assert torch.equal(right.log_likelihood, wrong.log_likelihood)
    assert not torch.allclose(right.kl, wrong.kl)
