import itertools
import math
import re

import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
import torch
from torch.distributions import Normal, kl_divergence

from vaelib.course import explorers
from vaelib.course.blog_post import wrong_kl
from vaelib.course.explorers import density, divergence
from vaelib.elbo import kl
from vaelib.encoder import Gaussian

PLACES = [(1.0, -0.7), (0.0, -0.43), (-2.0, -2.5), (2.0, 0.5), (0.3, 0.0), (0.0, 0.0)]


def gaussian(mean, log_std):
    return Gaussian(*(torch.tensor([[x]], dtype=torch.float64) for x in (mean, log_std)))


def numbers(words):
    return [float(x.replace("−", "-")) for x in re.findall(r"−?\d+\.\d+", words)]


@pytest.mark.parametrize(("mean", "log_std"), PLACES)
def test_the_shaded_areas_add_up_to_the_divergence(mean, log_std):
    found = divergence.integrand(mean, log_std)
    area = torch.trapezoid(found.values, found.z).item()
    exact = kl_divergence(Normal(mean, math.exp(log_std)), Normal(0.0, 1.0)).item()
    assert area == pytest.approx(exact, abs=1e-6)
    assert area == pytest.approx(kl(gaussian(mean, log_std)).item(), abs=1e-6)
    assert torch.trapezoid(found.q, found.z).item() == pytest.approx(1, abs=1e-9)
    q, p = Normal(mean, math.exp(log_std)), Normal(0.0, 1.0)
    assert found.q.numpy() == pytest.approx(q.log_prob(found.z).exp().numpy(), rel=1e-4, abs=1e-12)
    assert found.p.numpy() == pytest.approx(p.log_prob(found.z).exp().numpy(), rel=1e-4, abs=1e-12)


def test_the_posts_formula_is_summed_over_dimensions():
    posterior = Gaussian(torch.tensor([[1.0, 0.0]]), torch.tensor([[-1.0, 0.0]]))
    by_hand = 0.5 * (1 + math.exp(-2) - 1 + 1)
    assert wrong_kl(posterior).tolist() == pytest.approx([by_hand])


@pytest.mark.parametrize(("mean", "log_std"), PLACES)
def test_the_words_hold_both_formulas_and_the_parts_add_up(mean, log_std):
    words = divergence.view_divergence(mean=mean, log_std=log_std).words
    std = math.exp(log_std)

    z = np.linspace(mean - 9 * std, mean + 9 * std, 4001)
    q, p = scipy.stats.norm(mean, std), scipy.stats.norm()
    parts = q.pdf(z) * (q.logpdf(z) - p.logpdf(z))
    gain, loss = (scipy.integrate.trapezoid(np.maximum(sign * parts, 0), z) for sign in (1, -1))
    right = 0.5 * (mean**2 + std**2 - 1) - log_std
    wrong = 0.5 * (mean**2 + std**2 - 1 + log_std**2)
    shown = numbers(words)
    assert shown[:7] == pytest.approx([mean, std, gain, -loss, right, right, wrong], abs=0.006)
    assert round(shown[2] + shown[3], 3) == shown[4], "what is shown adds up"
    assert abs(shown[6] - wrong) <= 0.0005 + 1e-9
    assert ("a divergence is never negative" in words) == (wrong < 0)


def test_the_words_compare_the_formulas():
    def verdict(mean, log_std):
        return divergence.view_divergence(mean=mean, log_std=log_std).words.rsplit(", ", 1)[1]

    assert verdict(0.0, 0.0) == "the same."
    assert verdict(0.0, -2.0) == "the same."  # (log σ)² = −2 log σ
    assert verdict(1.0, -1.0) == "0.500 too little."  # by hand: ½(−2·(−1) − 1)
    assert verdict(0.0, 0.5) == "0.625 too much."  # ½(0.25 + 1)


ORANGE = (213, 94, 0)


def on_plane(picture, log_std, mean):
    """The colours around a point of the plane, whose place follows from its limits alone."""
    left, bottom, wide, high = divergence.PLANE
    column = (left + (log_std + 2.5) / 3 * wide) * 150
    row = picture.shape[0] - (bottom + (mean + 2) / 4 * high) * 150
    return picture[round(row) - 8 : round(row) + 9, round(column) - 8 : round(column) + 9]


def test_the_region_is_marked_where_the_posts_formula_is_below_zero():
    picture = divergence.view_divergence(mean=2.0, log_std=-2.5).figure.pixels()
    seen = set()
    for log_std, mean in itertools.product(np.arange(-2.25, 0.4, 0.25), np.arange(-0.75, 2, 0.25)):
        corners = [gaussian(mean + up, log_std + on) for up in (-0.1, 0.1) for on in (-0.07, 0.07)]
        below = {wrong_kl(corner).item() < 0 for corner in corners}
        if len(below) == 2:
            continue  # the edge runs through the patch
        patch = on_plane(picture, log_std, mean).reshape(-1, 3).astype(int)
        marked = ((patch[:, 0] - patch[:, 2] > 40).mean()) > 0.95
        assert marked == below.pop(), (log_std, mean)
        seen.add(marked)
    assert seen == {True, False}


def test_the_point_stands_where_the_settings_say():
    for mean, log_std in PLACES[:5]:
        picture = divergence.view_divergence(mean=mean, log_std=log_std).figure.pixels()
        assert on_plane(picture, log_std, mean)[8, 8].tolist() == [0, 0x72, 0xB2]


def test_bars_show_the_formulas_to_scale():
    left, bottom, wide, high = divergence.BARS
    picture = divergence.view_divergence(mean=2.0, log_std=-2.5).figure.pixels()
    right = 0.5 * (4 + math.exp(-5) - 1) + 2.5
    row = picture[round(picture.shape[0] - (bottom + 0.75 * high) * 150)]
    (blue,) = np.nonzero((row == (0, 0x72, 0xB2)).all(-1))
    unit = wide / 6 * 150
    assert (blue.max() - blue.min()) / unit == pytest.approx(right, abs=0.08)
    picture = divergence.view_divergence(mean=0.0, log_std=-0.43).figure.pixels()
    row = picture[round(picture.shape[0] - (bottom + 0.25 * high) * 150)]
    (orange,) = np.nonzero(np.abs(row.astype(int) - ORANGE).sum(-1) < 60)
    zero = (left + wide / 6) * 150
    assert orange.min() < zero - 3, "a bar to the left of zero"
    assert orange.max() <= zero + 3


def test_the_lowest_point_of_the_posts_formula_is_lamberts():
    expected = -scipy.special.lambertw(2).real / 2
    turned = explorers.diverge()
    turned.buttons["Lowest for the post's"].click()
    assert turned.settings == pytest.approx({"mean": 0.0, "log_std": expected})
    turned.buttons["q = p"].click()
    assert turned.settings == {"mean": 0.0, "log_std": 0.0}


def test_the_scales_have_room_for_every_setting():
    for mean, log_std in itertools.product((0.0, 1.0, 2.0), np.linspace(-2.5, 0.5, 13)):
        found = divergence.integrand(mean, log_std)
        for values in (found.q, found.values):
            assert values.max().item() <= density.top_for(values.max().item())
        lowest = -0.3 * density.top_for(found.values.max().item())
        assert found.values.min().item() >= lowest
        for formula in (kl, wrong_kl):
            assert -1 < formula(gaussian(mean, log_std)).item() < divergence.WORST
