import math
import re

import pytest
import torch
from torch.distributions import Normal
from toy import toy

from vaelib.course.explorers import weights

PLACES = [
    {"doublings": 0, "mean": 0.0, "log_std": 0.0},
    {"doublings": 4, "mean": 1.0, "log_std": -0.4},
    {"doublings": 12, "mean": -2.0, "log_std": -0.7},
    {"doublings": 7, "mean": 3.0, "log_std": 0.7},
]


@pytest.fixture(scope="module")
def model():
    return toy()


@pytest.fixture(scope="module")
def truth(model):
    grid, log_joint = model
    return torch.trapezoid(log_joint.exp(), grid).log().item()


def numbers(words):
    plain = re.sub(r"</?b>|,(?=\d{3})", "", words)
    return [float(x.replace("−", "-")) for x in re.findall(r"−?\d+(?:\.\d+)?", plain)]


def noise(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, generator=generator, dtype=torch.float64)


def test_weights_are_joint_over_guess(model):
    found = weights.weighted_samples(*model, noise(200), mean=0.7, log_std=-0.3)
    q = Normal(0.7, math.exp(-0.3))
    logits = found.latent[:, None] * torch.tensor([3.0, 2.0, -1.0]) + torch.tensor([-1.0, 1.0, 1.0])
    coins = torch.distributions.Bernoulli(logits=logits)
    joint = coins.log_prob(torch.tensor([1.0, 1.0, 0.0])).sum(-1)
    joint += Normal(0.0, 1.0).log_prob(found.latent)
    expected = joint - q.log_prob(found.latent)
    assert torch.allclose(found.latent, 0.7 + math.exp(-0.3) * noise(200), atol=1e-6)
    assert found.log_weight.numpy() == pytest.approx(expected.numpy(), abs=1e-4)


def test_the_weights_of_the_true_posterior_are_all_p_of_x():
    # z ~ N(0, 1), seen with Gaussian noise of variance ¼ as 1: the posterior is N(0.8, 0.2).
    grid = torch.linspace(-12, 12, 12_001, dtype=torch.float64)
    log_joint = Normal(grid, 0.5).log_prob(torch.tensor(1.0)) + Normal(0.0, 1.0).log_prob(grid)
    found = weights.weighted_samples(
        grid, log_joint, noise(100), mean=0.8, log_std=0.5 * math.log(0.2)
    )
    evidence = Normal(0.0, math.sqrt(1.25)).log_prob(torch.tensor(1.0)).item()
    assert found.log_weight.numpy() == pytest.approx(evidence, abs=1e-4)
    share = weights.shares(found.log_weight)
    assert weights.effective(share) == pytest.approx(100, abs=1e-3)


def test_the_curve_has_mean_and_spread_of_the_estimate_for_each_number_of_samples():
    log_weights = 3 * noise(weights.GROUPS * 4096)
    found = weights.curve(log_weights)
    for doubling in (0, 1, 5, 12):
        groups = log_weights.unflatten(0, (-1, 2**doubling)).exp().mean(1).log()
        assert found.mean[doubling].item() == pytest.approx(groups.mean().item(), abs=1e-9)
        assert found.std[doubling].item() == pytest.approx(groups.std().item(), abs=1e-9)


def test_the_curve_begins_at_the_elbo_and_rises_to_log_evidence(model, truth):
    grid, log_joint = model
    log_q = Normal(0.5, 0.8).log_prob(grid)
    elbo = torch.trapezoid(log_q.exp() * (log_joint - log_q), grid).item()
    samples = weights.weighted_samples(*model, noise(2**16), mean=0.5, log_std=math.log(0.8))
    found = weights.curve(samples.log_weight)
    error = found.std[0].item() / 2**8
    assert abs(found.mean[0].item() - elbo) < 4 * error
    assert (found.mean.diff() > 0).all()
    assert found.mean[-1].item() == pytest.approx(truth, abs=0.02)


def test_effective_sample_size():
    assert weights.effective(torch.tensor([1.0, 0.0, 0.0])) == 1
    assert weights.effective(torch.tensor([0.25] * 4)) == 4
    assert weights.effective(torch.tensor([0.5, 0.25, 0.25])) == pytest.approx(8 / 3)


@pytest.mark.parametrize("settings", PLACES)
def test_the_words_hold_estimate_truth_bias_and_shares(model, truth, settings):
    words = weights.view_estimate(*model, **settings, drawn=3).words
    place = {name: settings[name] for name in ("mean", "log_std")}
    count = 2 ** settings["doublings"]
    found = weights.weighted_samples(*model, noise(4096, 3), **place).log_weight[:count]
    many = weights.weighted_samples(*model, noise(2**16), **place).log_weight
    groups = many.unflatten(0, (-1, count)).exp().mean(1).log()
    mean, std = groups.mean().item(), groups.std().item()
    share = found.exp() / found.exp().sum()
    estimate = found.exp().mean().log().item()
    shown = numbers(words)
    if count > 1:
        assert shown.pop(0) == count
    else:
        assert "one draw" in words
    error = std / math.sqrt(2**16 / count)
    assert shown[:6] == pytest.approx([estimate, truth, mean, std, mean - truth, error], abs=0.002)
    assert shown[6] == pytest.approx(100 * share.max().item(), rel=0.06)
    assert shown[7] == pytest.approx(1 / share.square().sum().item(), rel=0.01, abs=0.06)


def test_another_draw_has_different_samples_and_the_same_expectation(model):
    one, other = (weights.view_estimate(*model, **PLACES[1], drawn=drawn).words for drawn in (1, 2))
    first, second = numbers(one), numbers(other)
    assert first[1] != second[1]
    assert first[2:7] == second[2:7]


def row_of(picture, place, x, y):
    """The pixel of a picture at these shares of a panel's width and height."""
    left, bottom, wide, high = place
    return (
        round(picture.shape[0] - (bottom + y * high) * 150),
        round((left + x * wide) * 150),
    )


def test_a_stem_stands_at_each_latent_as_high_as_its_share(model):
    settings = {"doublings": 1, "mean": 1.0, "log_std": -0.4}
    found = weights.weighted_samples(*model, noise(4096, 1)[:2], mean=1.0, log_std=-0.4)
    picture = weights.view_estimate(*model, **settings).figure.pixels()
    for latent, share in zip(
        found.latent.tolist(), found.log_weight.softmax(0).tolist(), strict=True
    ):
        _, column = row_of(picture, weights.SHARES, (latent + 4) / 8, 0)
        foot, _ = row_of(picture, weights.SHARES, 0, 0)
        top, _ = row_of(picture, weights.SHARES, 0, 1)
        around = picture[top - 2 : foot, column - 1 : column + 2]
        blue = ((around[..., 2].astype(int) - around[..., 0]) > 60).any(1)
        assert blue.sum() / (foot - top) == pytest.approx(share, abs=0.04)


def test_the_dot_stands_at_the_estimate(model, truth):
    for settings in PLACES[:2]:
        view = weights.view_estimate(*model, **settings)
        shown = numbers(view.words)
        estimate = shown[0 if settings["doublings"] == 0 else 1]
        picture = view.figure.pixels()
        x = (settings["doublings"] + 0.4) / 12.8
        for depth in weights.DEPTHS:
            y = (estimate - truth + 7 / 8 * depth) / depth
            if 0 < y < 1:
                row, column = row_of(picture, weights.CURVE, x, y)
                if tuple(picture[row, column]) == (0, 0x72, 0xB2):
                    break
        else:
            pytest.fail(f"no dot at {estimate} for {settings}")


@pytest.mark.parametrize(
    "wrong",
    [{"doublings": 13}, {"doublings": -1}, {"mean": 11.0}, {"mean": math.nan}, {"log_std": 2.0}],
)
def test_what_the_grid_does_not_know_is_refused(model, wrong):
    with pytest.raises(ValueError, match="a q whose mean ± 4 σ lies on the grid, from -12 to 12"):
        weights.view_estimate(*model, **{"doublings": 3, "mean": 0.0, "log_std": 0.0} | wrong)


def test_the_picture_does_not_depend_on_how_fine_or_exact_the_grid_is(model):
    for other in (toy(2401), toy(dtype=torch.float32)):
        ours, theirs = (weights.view_estimate(*one, **PLACES[1]).words for one in (model, other))
        assert numbers(ours) == pytest.approx(numbers(theirs), abs=0.0011)
