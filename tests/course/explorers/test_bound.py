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
from toy import toy

from benchmarks.objectives import wrong_kl
from vaelib.course.explorers import elbo
from vaelib.course.explorers.shell import png
from vaelib.elbo import kl
from vaelib.encoder import Gaussian

PLACES = [(1.0, -0.7), (0.0, -0.43), (-2.0, -2.5), (2.0, 0.5), (0.3, 0.0), (0.0, 0.0)]


def gaussian(mean, log_std):
    return Gaussian(*(torch.tensor([[x]], dtype=torch.float64) for x in (mean, log_std)))


def numbers(words):
    return [float(x.replace("−", "-")) for x in re.findall(r"−?\d+\.\d+", words)]


@pytest.mark.parametrize(("mean", "log_std"), PLACES)
def test_the_shaded_areas_add_up_to_the_divergence(mean, log_std):
    found = elbo.integrand(mean, log_std)
    area = torch.trapezoid(found.values, found.z).item()
    exact = kl_divergence(Normal(mean, math.exp(log_std)), Normal(0.0, 1.0)).item()
    assert area == pytest.approx(exact, abs=1e-6)
    assert area == pytest.approx(kl(gaussian(mean, log_std)).item(), abs=1e-6)
    assert torch.trapezoid(found.q, found.z).item() == pytest.approx(1, abs=1e-9)
    q, p = Normal(mean, math.exp(log_std)), Normal(0.0, 1.0)
    assert found.q.numpy() == pytest.approx(q.log_prob(found.z).exp().numpy(), rel=1e-4, abs=1e-12)
    assert found.p.numpy() == pytest.approx(p.log_prob(found.z).exp().numpy(), rel=1e-4, abs=1e-12)


def test_the_posts_formula_is_the_one_that_the_course_measures():
    posterior = Gaussian(*torch.randn(2, 50, 3, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(elbo.post_kl(posterior), wrong_kl(posterior))


@pytest.mark.parametrize(("mean", "log_std"), PLACES)
def test_the_words_hold_both_formulas_and_the_parts_add_up(mean, log_std):
    words = elbo.view_divergence(mean=mean, log_std=log_std).words
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
    assert ("which no divergence can be" in words) == (wrong < 0)


def test_the_words_compare_the_formulas():
    def verdict(mean, log_std):
        return elbo.view_divergence(mean=mean, log_std=log_std).words.rsplit(", ", 1)[1]

    assert verdict(0.0, 0.0) == "the same."
    assert verdict(0.0, -2.0) == "the same."  # (log σ)² = −2 log σ
    assert verdict(1.0, -1.0) == "0.500 too little."  # by hand: ½(−2·(−1) − 1)
    assert verdict(0.0, 0.5) == "0.625 too much."  # ½(0.25 + 1)


ORANGE = (213, 94, 0)


def on_plane(picture, log_std, mean):
    """The colours around a point of the plane, whose place follows from its limits alone."""
    left, bottom, wide, high = elbo.PLANE
    column = (left + (log_std + 2.5) / 3 * wide) * 150
    row = picture.shape[0] - (bottom + (mean + 2) / 4 * high) * 150
    return picture[round(row) - 8 : round(row) + 9, round(column) - 8 : round(column) + 9]


def test_the_region_is_marked_where_the_posts_formula_is_below_zero():
    picture = elbo.view_divergence(mean=2.0, log_std=-2.5).figure.pixels()
    seen = set()
    for log_std, mean in itertools.product(np.arange(-2.25, 0.4, 0.25), np.arange(-0.75, 2, 0.25)):
        corners = [gaussian(mean + up, log_std + on) for up in (-0.1, 0.1) for on in (-0.07, 0.07)]
        below = {elbo.post_kl(corner).item() < 0 for corner in corners}
        if len(below) == 2:
            continue  # the edge runs through the patch
        patch = on_plane(picture, log_std, mean).reshape(-1, 3).astype(int)
        marked = ((patch[:, 0] - patch[:, 2] > 40).mean()) > 0.95
        assert marked == below.pop(), (log_std, mean)
        seen.add(marked)
    assert seen == {True, False}


def test_the_point_stands_where_the_settings_say():
    for mean, log_std in PLACES[:5]:
        picture = elbo.view_divergence(mean=mean, log_std=log_std).figure.pixels()
        assert on_plane(picture, log_std, mean)[8, 8].tolist() == [0, 0x72, 0xB2]


def test_bars_show_the_formulas_to_scale():
    left, bottom, wide, high = elbo.BARS
    picture = elbo.view_divergence(mean=2.0, log_std=-2.5).figure.pixels()
    right = 0.5 * (4 + math.exp(-5) - 1) + 2.5
    row = picture[round(picture.shape[0] - (bottom + 0.75 * high) * 150)]
    (blue,) = np.nonzero((row == (0, 0x72, 0xB2)).all(-1))
    unit = wide / 6 * 150
    assert (blue.max() - blue.min()) / unit == pytest.approx(right, abs=0.08)
    picture = elbo.view_divergence(mean=0.0, log_std=-0.43).figure.pixels()
    row = picture[round(picture.shape[0] - (bottom + 0.25 * high) * 150)]
    (orange,) = np.nonzero(np.abs(row.astype(int) - ORANGE).sum(-1) < 60)
    zero = (left + wide / 6) * 150
    assert orange.min() < zero - 3, "a bar to the left of zero"
    assert orange.max() <= zero + 3


def test_the_lowest_point_of_the_posts_formula_is_lamberts():
    expected = -scipy.special.lambertw(2).real / 2
    turned = elbo.diverge()
    turned.buttons["Lowest for the post's"].click()
    assert turned.settings == pytest.approx({"mean": 0.0, "log_std": expected})
    turned.buttons["q = p"].click()
    assert turned.settings == {"mean": 0.0, "log_std": 0.0}


# The toy of notebook 4.


@pytest.fixture(scope="module")
def model():
    return toy()


@pytest.fixture(scope="module")
def log_evidence():
    """log p(x) of the toy by scipy's quadrature, from the coins' probabilities."""

    def joint(z):
        coins = [scipy.special.expit(x) for x in (3 * z - 1, 2 * z + 1, -z + 1)]
        normal = math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
        return coins[0] * coins[1] * (1 - coins[2]) * normal

    return math.log(scipy.integrate.quad(joint, -12, 12, epsabs=1e-12)[0])


def scalars(*values):
    return [torch.tensor(value, dtype=torch.float64) for value in values]


def test_bound_and_gap_add_up_to_log_evidence_and_the_gap_is_never_negative(model, log_evidence):
    gaps = []
    for mean, log_std in itertools.product(np.arange(-3, 3.1, 0.5), np.arange(-2, 0.71, 0.3)):
        found = elbo.bound_of(*model, *scalars(mean, log_std))
        assert found.log_evidence == pytest.approx(log_evidence, abs=1e-6)
        # A wide q reaches a little beyond the grid; what lies within is shared out exactly.
        within = Normal(mean, math.exp(log_std)).cdf(torch.tensor([-12.0, 12.0])).diff().item()
        assert within > 1 - 1e-5
        assert found.elbo + found.gap == pytest.approx(log_evidence * within, abs=1e-6)
        gaps.append(found.gap)
    assert min(gaps) > 0
    assert max(gaps) > 20


def test_the_bound_is_log_likelihood_minus_kl(model):
    grid, log_joint = model
    for mean, log_std in ((0.0, math.log(0.8)), (1.1, -0.4), (-2.0, 0.5)):
        q = Normal(*scalars(mean, math.exp(log_std)))
        explained = log_joint - Normal(0.0, 1.0).log_prob(grid)
        explain = torch.trapezoid(q.log_prob(grid).exp() * explained, grid)
        expected = explain - kl(gaussian(mean, log_std))[0]
        found = elbo.bound_of(grid, log_joint, *scalars(mean, log_std)).elbo
        assert found == pytest.approx(expected.item(), abs=1e-6)


def test_no_gap_is_left_where_the_posterior_is_a_gaussian():
    # A code z ~ N(0, 1), seen with Gaussian noise of variance ¼ as 1: the posterior is N(0.8, 0.2).
    grid = torch.linspace(-12, 12, 4001, dtype=torch.float64)
    log_joint = Normal(grid, 0.5).log_prob(torch.tensor(1.0)) + Normal(0.0, 1.0).log_prob(grid)
    best = elbo.best_gaussian(grid, log_joint)
    assert best == pytest.approx((0.8, 0.5 * math.log(0.2)), abs=1e-4)
    found = elbo.bound_of(grid, log_joint, *scalars(*best))
    assert found.gap == pytest.approx(0, abs=1e-6)
    evidence = Normal(0.0, math.sqrt(1.25)).log_prob(torch.tensor(1.0)).item()
    assert found.elbo == pytest.approx(evidence, abs=1e-6)


@pytest.mark.parametrize("image", [(1.0, 1.0, 0.0), (0.0, 1.0, 1.0), (0.0, 0.0, 0.0)])
def test_the_best_gaussian_beats_its_neighbours_and_the_posteriors_mean_and_width(image):
    grid, log_joint = toy(image=image)
    best = elbo.best_gaussian(grid, log_joint)
    highest = elbo.bound_of(grid, log_joint, *scalars(*best)).elbo
    for step in itertools.product((-0.01, 0, 0.01), repeat=2):
        if any(step):
            at = [x + move for x, move in zip(best, step, strict=True)]
            assert elbo.bound_of(grid, log_joint, *scalars(*at)).elbo < highest
    posterior = (log_joint - torch.logsumexp(log_joint, 0)).exp()
    mean = (posterior * grid).sum().item()
    std = (posterior * (grid - mean) ** 2).sum().sqrt().item()
    matched = elbo.bound_of(grid, log_joint, *scalars(mean, math.log(std)))
    assert matched.elbo < highest < matched.log_evidence


@pytest.mark.parametrize(("mean", "log_std"), [(-1.0, 0.0), (0.9, -1.2), (-3.0, -2.0), (3.0, 0.7)])
def test_the_words_hold_the_sum_and_it_adds_up(model, log_evidence, mean, log_std):
    found = elbo.bound_of(*model, *scalars(mean, log_std))
    shown = numbers(elbo.view_bound(*model, mean=mean, log_std=log_std).words)
    truth = [mean, math.exp(log_std), log_evidence, found.elbo, found.gap]
    assert shown == pytest.approx(truth, abs=0.006)
    assert shown[2:] == pytest.approx(truth[2:], abs=0.00151)
    assert round(shown[3] + shown[4], 3) == shown[2], "what is shown adds up"


def test_the_column_is_filled_up_to_the_bound(model, log_evidence):
    left, bottom, wide, high = elbo.COLUMN
    for mean, log_std in ((-1.0, 0.0), (0.9, -1.2), (3.0, 0.7), (1.14, -0.42)):
        picture = elbo.view_bound(*model, mean=mean, log_std=log_std).figure.pixels()
        column = picture[:, round((left + 0.5 * wide) * 150)]
        (blue,) = np.nonzero((column == (0, 0x72, 0xB2)).all(-1))
        top = (picture.shape[0] - blue.min()) / 150
        height = -9 + (top - bottom) / high * 8  # the ceiling is at −1 nat, the floor at −9
        elbo_there = elbo.bound_of(*model, *scalars(mean, log_std)).elbo
        assert height == pytest.approx(elbo_there, abs=0.1)
        ceiling = picture.shape[0] - (bottom + (log_evidence + 9) / 8 * high) * 150
        gap = column[round(ceiling) : blue.min()]
        assert (gap < 255).any(-1).all(), "hatched all the way up to log p(x)"


def test_the_picture_does_not_depend_on_how_fine_or_exact_the_grid_is(model):
    for other in (toy(2401), toy(dtype=torch.float32)):
        for settings in ({"mean": 1.0, "log_std": -2.0}, {"mean": -1, "log_std": 0}):
            ours, theirs = (elbo.view_bound(*one, **settings) for one in (model, other))
            assert ours.words == theirs.words


# The explorers.


@pytest.fixture(params=["diverge", "bound"])
def explorer_and_view(request, model):
    if request.param == "diverge":
        return elbo.diverge, elbo.view_divergence
    return (lambda: elbo.bound(*model)), (lambda **settings: elbo.view_bound(*model, **settings))


def test_every_control_says_what_it_is_and_in_which_unit(explorer_and_view):
    turned = explorer_and_view[0]()
    assert list(turned.controls) == ["mean", "log_std"]
    for control in turned.controls.values():
        assert re.fullmatch(r".+ \(.+\)", control.description)
        assert control.min < control.value < control.max


def test_turning_it_shows_the_view_of_the_settings(explorer_and_view):
    make, view = explorer_and_view
    turned = make()
    for settings in ({"mean": 0.35, "log_std": -1.15}, {"mean": -1.5, "log_std": 0.2}):
        for name, value in settings.items():
            turned.controls[name].value = value
        assert turned.picture.value == png(view(**settings).figure)
        assert view(**settings).words in turned.words.value


def test_reset_restores_all_and_draws_once(explorer_and_view):
    turned = explorer_and_view[0]()
    before, picture = turned.settings, turned.picture.value
    turned.set(mean=-0.5, log_std=-1.5)
    assert turned.picture.value != picture
    drawn = turned.drawn
    turned.buttons["Reset"].click()
    assert turned.settings == before
    assert turned.picture.value == picture
    assert turned.drawn == drawn + 1


def test_all_over_their_ranges_pictures_have_one_size(explorer_and_view):
    make, view = explorer_and_view
    controls = make().controls
    ranges = [np.linspace(c.min, c.max, 5).tolist() for c in controls.values()]
    shapes = set()
    for mean, log_std in itertools.product(*ranges):
        shapes.add(view(mean=mean, log_std=log_std).figure.pixels().shape)
    assert len(shapes) == 1
    assert shapes.pop()[1] == 1080


def test_the_scales_have_room_for_every_setting():
    for mean, log_std in itertools.product((0.0, 1.0, 2.0), np.linspace(-2.5, 0.5, 13)):
        found = elbo.integrand(mean, log_std)
        for values in (found.q, found.values):
            assert values.max().item() <= elbo.top_for(values.max().item())
        lowest = -0.3 * elbo.top_for(found.values.max().item())
        assert found.values.min().item() >= lowest
        for formula in (kl, elbo.post_kl):
            assert -1 < formula(gaussian(mean, log_std)).item() < elbo.WORST


def test_the_button_finds_the_best_gaussian(model):
    turned = elbo.bound(*model)
    turned.buttons["Best Gaussian"].click()
    found = turned.settings["mean"], turned.settings["log_std"]
    assert found == elbo.best_gaussian(*model)
    assert elbo.bound_of(*model, *scalars(*found)).gap == pytest.approx(0.0124, abs=0.0005)
