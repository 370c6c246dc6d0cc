import math
import re

import numpy as np
import pytest
import torch
from looking import pixel_at
from torch.distributions import Normal
from toy import toy

from vaelib.course.explorers import gradients
from vaelib.decoder import log_likelihood

PLACES = [
    {"mean": 0.0, "log_std": 0.0, "doublings": 0, "parameter": "μ"},
    {"mean": 0.0, "log_std": 0.0, "doublings": 6, "parameter": "μ"},
    {"mean": 3.0, "log_std": -1.0, "doublings": 2, "parameter": "log σ"},
    {"mean": -2.0, "log_std": 0.7, "doublings": 4, "parameter": "log σ"},
]


@pytest.fixture(scope="module")
def model():
    return toy()


def numbers(words):
    plain = re.sub(r"</?b>", "", words)
    return [float(x.replace("−", "-")) for x in re.findall(r"−?\d+\.\d+", plain)]


def noise(latents, count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(latents, count, generator=generator, dtype=torch.float64)


def log_joint(z):
    """The toy's log p(x, z), without a grid."""
    logits = z[..., None] * torch.tensor([3.0, 2.0, -1.0]) + torch.tensor([-1.0, 1.0, 1.0])
    image = torch.tensor([1.0, 1.0, 0.0]).expand_as(logits)
    return log_likelihood(image, logits) + Normal(0.0, 1.0).log_prob(z)


def by_autograd(eps, mean, log_std):
    """The four estimators as autograd has them, each from the definition of its surrogate."""
    values = torch.tensor([mean, log_std], dtype=torch.float64)
    parameters = values[:, None].repeat(1, eps.shape[1]).requires_grad_()
    mu, spread = parameters
    z = mu + spread.exp() * eps
    kl = 0.5 * (mu**2 + (2 * spread).exp() - 1 - 2 * spread)
    log_w = log_joint(z) - Normal(mu, spread.exp()).log_prob(z)
    held = log_joint(z) - Normal(mu.detach(), spread.detach().exp()).log_prob(z)
    surrogates = (
        (log_joint(z) - Normal(0.0, 1.0).log_prob(z)).mean(0) - kl,
        held.mean(0),
        log_w.logsumexp(0),
        (log_w.softmax(0).detach() ** 2 * held).sum(0),
    )
    return [
        torch.autograd.grad(value.sum(), parameters, retain_graph=True)[0] for value in surrogates
    ]


@pytest.mark.parametrize("latents", [1, 3, 16])
@pytest.mark.parametrize(("mean", "log_std"), [(0.0, 0.0), (1.1, -0.4), (2.5, -1.5), (-2.0, 0.6)])
def test_the_four_estimators_are_those_of_autograd(model, latents, mean, log_std):
    eps = noise(latents, 50)
    found = gradients.estimates(*model, eps, mean=mean, log_std=log_std)
    for ours, theirs in zip(found, by_autograd(eps, mean, log_std), strict=True):
        assert ours.shape == (2, 50)
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_estimators_of_one_gradient_have_one_mean(model):
    found = gradients.estimates(*model, noise(4, 100_000), mean=0.3, log_std=-0.3)
    for first, second in (found[:2], found[2:]):
        error = (first.var(1) + second.var(1)).div(100_000).sqrt()
        assert ((first.mean(1) - second.mean(1)).abs() < 4 * error).all()
    assert (found.doubly.std(1) < 0.7 * found.weighted.std(1)).all()


def test_at_the_true_posterior_the_path_derivative_has_no_noise():
    # A latent z ~ N(0, 1), seen with Gaussian noise of variance ¼ as 1: the posterior is
    # N(0.8, 0.2).
    grid = torch.linspace(-12, 12, 12_001, dtype=torch.float64)
    joint = Normal(grid, 0.5).log_prob(torch.tensor(1.0)) + Normal(0.0, 1.0).log_prob(grid)
    at = {"mean": 0.8, "log_std": 0.5 * math.log(0.2)}
    found = gradients.estimates(grid, joint, noise(2, 500), **at)
    assert found.path.abs().max() < 1e-5
    assert found.doubly.abs().max() < 1e-5
    assert found.closed_form.std(1).min() > 0.1
    assert found.weighted.std(1).min() > 0.1


def test_a_signal_is_the_mean_of_the_quieter_way():
    loud, quiet = 2 + 4 * noise(1, 10_000)[0], 2.1 + 0.5 * noise(1, 10_000, 1)[0]
    for pair in ((loud, quiet), (quiet, loud)):
        found = gradients.signals(*pair)
        assert {signal.gradient for signal in found} == {quiet.mean().item()}
        for signal, values in zip(found, pair, strict=True):
            assert signal.std == values.std().item()
            assert signal.ratio == pytest.approx(quiet.mean().item() / values.std().item())
            assert signal.wrong == pytest.approx((values < 0).double().mean().item())
    assert found[1].wrong == pytest.approx(0.3, abs=0.02)  # two of four σ below the mean


def test_a_gradient_that_cannot_be_told_from_zero_has_no_wrong_sign():
    eps = noise(1, 10_000)[0]
    first, second = gradients.signals(eps - eps.mean(), 2 * eps - 2 * eps.mean())
    assert (first.wrong, second.wrong) == (None, None)


@pytest.mark.parametrize("settings", PLACES)
def test_the_words_hold_gradients_deviations_ratios_and_signs(model, settings):
    words = gradients.view_gradients(*model, **settings).words
    latents = 2 ** settings["doublings"]
    place = {name: settings[name] for name in ("mean", "log_std")}
    many = by_autograd(noise(latents, 20_000, 7), **place)
    row = gradients.PARAMETERS.index(settings["parameter"])
    shown = numbers(words)
    assert f"with respect to {settings['parameter']};" in words
    assert ("one latent" in words) == (latents == 1)
    assert len(shown) == 10
    wrong = [int(value) for value in re.findall(r"wrong sign (\d+) %", words)]
    for pair in (0, 1):
        gradient, *rest = shown[5 * pair : 5 * pair + 5]
        both = [values[row] for values in many[2 * pair : 2 * pair + 2]]
        quieter = min(both, key=lambda values: values.std())
        error = quieter.std().item() / math.sqrt(1024)
        assert gradient == pytest.approx(quieter.mean().item(), abs=5 * error + 0.001)
        for (deviation, ratio), values in zip((rest[:2], rest[2:]), both, strict=True):
            assert deviation == pytest.approx(values.std().item(), rel=0.15, abs=0.002)
            assert ratio == pytest.approx(abs(gradient) / deviation, rel=0.1, abs=0.02)
    signs = [(values[row] * many[3][row].mean() < 0).double().mean() for values in many[2:]]
    assert wrong[2:] == pytest.approx([100 * sign.item() for sign in signs], abs=6)


def test_histograms_show_where_the_estimates_are(model):
    settings = PLACES[0]
    picture = gradients.view_gradients(*model, **settings).figure.pixels()
    found = gradients.estimates(*model, noise(1, 20_000), mean=0.0, log_std=0.0)
    for bottom, values in zip(gradients.BOTTOMS, (each[0] for each in found), strict=True):
        row, left = pixel_at(picture, gradients.LEFT, bottom + 0.12)
        wide = round(gradients.WIDE * 150)
        filled = (picture[row, left : left + wide].astype(int).sum(1) < 740).nonzero()[0]
        low, high = (20 * end / wide - 10 for end in (filled[0], filled[-1]))
        assert low == pytest.approx(values.quantile(0.02).item(), abs=1.0)
        assert high == pytest.approx(values.quantile(0.98).item(), abs=1.0)


def test_the_mark_stands_at_the_gradient(model):
    view = gradients.view_gradients(*model, **PLACES[1])
    picture, gradient = view.figure.pixels(), numbers(view.words)[0]
    x = gradients.LEFT + gradients.WIDE * (gradient + 5) / 10
    row, column = pixel_at(picture, x, gradients.BOTTOMS[0])
    assert tuple(picture[row, column]) == (0, 0, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"doublings": 7},
        {"doublings": -1},
        {"mean": 11.0},
        {"mean": math.nan},
        {"log_std": 2.0},
        {"parameter": "σ"},
    ],
)
def test_what_it_cannot_show_is_refused(model, wrong):
    with pytest.raises(ValueError, match="0 to 6 doublings and a q whose mean ± 4 σ lies on the"):
        gradients.view_gradients(*model, **PLACES[0] | wrong)


def test_the_picture_does_not_depend_on_how_fine_or_exact_the_grid_is(model):
    for other in (toy(2401), toy(dtype=torch.float32)):
        ours, theirs = (gradients.view_gradients(*one, **PLACES[2]).words for one in (model, other))
        assert np.allclose(numbers(ours), numbers(theirs), rtol=2e-3, atol=0.011)
