import itertools
import math

import numpy as np
import pytest
import torch

from vaelib.course.explorers import cloud
from vaelib.course.explorers.plane import Plane, number
from vaelib.course.explorers.shell import Again, Picture, panel, png

SETTINGS = {
    "mean_1": -1.0,
    "mean_2": 0.5,
    "log_std_1": -0.3,
    "log_std_2": 0.2,
    "noise_1": 0.8,
    "noise_2": -1.5,
}
POSTERIOR = ("mean_1", "mean_2", "log_std_1", "log_std_2")


def by_hand(settings):
    """Terms and gradients of the toy, derived on paper: (log-likelihood, KL, of μ, of log σ)."""
    likelihood = kl = 0.0
    gradients = {"log-likelihood": ([], []), "−KL": ([], []), "ELBO": ([], [])}
    for i, star in ((1, 1.5), (2, 1.0)):
        mean, s, noise = (settings[f"{name}_{i}"] for name in ("mean", "log_std", "noise"))
        std = math.exp(s)
        miss = star - (mean + std * noise)
        likelihood += -(miss**2) / (2 * 0.25) - math.log(0.5 * math.sqrt(2 * math.pi))
        kl += 0.5 * (mean**2 + std**2 - 1) - s
        by_mean = {"log-likelihood": miss / 0.25, "−KL": -mean}
        by_log_std = {"log-likelihood": std * noise * miss / 0.25, "−KL": 1 - std**2}
        for found, place in ((by_mean, 0), (by_log_std, 1)):
            found["ELBO"] = found["log-likelihood"] + found["−KL"]
            for pull, value in found.items():
                gradients[pull][place].append(value)
    return likelihood, kl, gradients


def pull_of(settings, pull):
    pairs = [[settings[f"{name}_{i}"] for i in (1, 2)] for name in ("mean", "log_std", "noise")]
    return cloud.pull_of(*torch.tensor(pairs, dtype=torch.float64), pull)


@pytest.mark.parametrize("pull", cloud.PULLS)
@pytest.mark.parametrize("seed", range(4))
def test_autograd_finds_the_gradients_derived_by_hand(pull, seed):
    drawn = torch.randn(6, generator=torch.Generator().manual_seed(seed)).tolist()
    settings = dict(zip(SETTINGS, drawn, strict=True))
    likelihood, kl, gradients = by_hand(settings)
    found = pull_of(settings, pull)
    assert math.isclose(found.log_likelihood, likelihood, rel_tol=1e-12)
    assert math.isclose(found.kl, kl, rel_tol=1e-12)
    assert found.mean.tolist() == pytest.approx(gradients[pull][0], rel=1e-12)
    assert found.log_std.tolist() == pytest.approx(gradients[pull][1], rel=1e-12, abs=1e-12)


def test_on_average_the_elbo_is_at_rest_where_the_true_posterior_is():
    # Star ~ N(z, 0.5² I) and z ~ N(0, I): the posterior is N(0.8 star, 0.2 I). Averages of
    # polynomials up to the fifth degree in ε are exact on three points.
    points = ((-math.sqrt(3), 1 / 6), (0.0, 2 / 3), (math.sqrt(3), 1 / 6))
    at = {"mean_1": 1.2, "mean_2": 0.8} | {f"log_std_{i}": 0.5 * math.log(0.2) for i in (1, 2)}
    average = torch.zeros(4, dtype=torch.float64)
    for (first, weight), (second, other) in itertools.product(points, repeat=2):
        found = pull_of(at | {"noise_1": first, "noise_2": second}, "ELBO")
        average += weight * other * torch.cat([found.mean, found.log_std])
    assert average.tolist() == pytest.approx([0] * 4, abs=1e-12)


def test_an_unknown_pull_is_refused():
    with pytest.raises(KeyError):
        cloud.view_gradient(**SETTINGS, pull="KL")


def test_the_words_hold_the_numbers_and_the_directions():
    likelihood, kl, gradients = by_hand(SETTINGS)
    words = cloud.view_gradient(**SETTINGS).words
    assert f"log-likelihood <b>−{-likelihood:.2f}</b>, KL <b>{kl:.2f}</b>" in words
    assert f"ELBO <b>−{kl - likelihood:.2f}</b> nats" in words
    z = [-1 + 0.8 * math.exp(-0.3), 0.5 - 1.5 * math.exp(0.2)]
    assert f"z = (−{-z[0]:.2f}, −{-z[1]:.2f})" in words
    assert [x > 0 for x in gradients["ELBO"][0] + gradients["ELBO"][1]] == [True, True, True, False]
    assert "the centre <b>right and up</b>" in words
    assert "<b>wider</b> along z₁, <b>narrower</b> along z₂" in words


def test_the_words_at_rest_and_outside():
    prior = dict.fromkeys(SETTINGS, 0.0)
    words = cloud.view_gradient(**prior, pull="−KL").words
    assert "the centre <b>nowhere</b>" in words
    assert "<b>neither wider nor narrower</b> both ways" in words
    assert "outside" not in words
    assert (
        "outside the picture"
        in cloud.view_gradient(**SETTINGS | {"mean_1": 2.0, "noise_1": 3.0}).words
    )


def pixel(picture, x, y):
    """The colour at a point of the plane; where that is follows from the plane's place alone."""
    left, bottom, side, _ = cloud.PLANE
    right = left + (x + 4) / 8 * side
    up = bottom + (y + 4) / 8 * side
    rows = picture.shape[0]
    return picture[round(rows - up * 150), round(right * 150)].tolist()


def rgb(colour):
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]


def test_centre_sample_and_ellipses_stand_where_the_settings_say():
    at = SETTINGS | {"mean_1": -2.0, "mean_2": -2.0, "noise_1": 1.5, "noise_2": 1.2}
    picture = cloud.view_gradient(**at, pull="−KL").figure.pixels()
    std = math.exp(-0.3), math.exp(0.2)
    assert pixel(picture, -2, -2) == rgb(cloud.CENTRE)
    assert pixel(picture, -2 + 1.5 * std[0], -2 + 1.2 * std[1]) == rgb(cloud.SAMPLE)
    direction = np.array([math.cos(-2.5), math.sin(-2.5)])  # down left, where no arrow is
    shades = [
        sum(pixel(picture, *(-2 + radius * direction * std))) for radius in (0.85, 1.15, 1.85, 2.15)
    ]
    assert shades[0] < shades[1] == shades[2] < shades[3] == 3 * 255


def test_arrows_keep_their_direction_grow_with_the_gradient_and_stay_short():
    gradient = np.array([3.0, -4.0])
    lengths = []
    for factor in (0.0, 0.01, 1.0, 10.0, 1e6):
        arrow = cloud.shown(factor * gradient, 1.8)
        lengths.append(np.hypot(*arrow))
        assert arrow[0] * gradient[1] == pytest.approx(arrow[1] * gradient[0])
        assert arrow @ gradient >= 0
    assert lengths[0] == 0
    assert lengths == sorted(lengths)
    assert 1.79 < lengths[-1] < 1.8


def coloured(picture, colour):
    """How many pixels of the plane have a colour, left, right, below and above of its centre."""
    left, bottom, side, _ = (round(150 * x) for x in cloud.PLANE)
    inside = picture[-bottom - side : -bottom, left : left + side]
    rows, columns = np.nonzero((inside == rgb(colour)).all(-1))
    half = side / 2
    return [
        (columns < half).sum(),
        (columns > half).sum(),
        (rows > half).sum(),
        (rows < half).sum(),
    ]


def test_the_arrows_point_where_the_gradient_pushes():
    narrow = dict.fromkeys(SETTINGS, 0.0) | {"log_std_1": -1.5, "log_std_2": -1.5}
    narrow |= {"noise_1": 2.0, "noise_2": -2.0}  # the sample's arrow out of the way
    left, right, below, above = coloured(
        cloud.view_gradient(**narrow, pull="log-likelihood").figure.pixels(), cloud.CENTRE
    )
    assert right > left + 50
    assert above > below + 50

    def reach(log_std):
        """From where to where, of the plane's right half, the push on log σ₁ is drawn."""
        at = dict.fromkeys(SETTINGS, 0.0) | {"log_std_1": log_std}
        picture = cloud.view_gradient(**at, pull="−KL").figure.pixels()
        hits = [x for x in np.arange(0.1, 3, 0.01) if pixel(picture, x, 0) == rgb(cloud.WIDTH)]
        return min(hits), max(hits)

    start, end = reach(-1.5)  # narrower than the prior: pushed outwards from the ellipse
    assert start == pytest.approx(math.exp(-1.5), abs=0.05)
    assert end > start + 0.1
    start, end = reach(0.5)  # wider: pushed inwards, onto the ellipse
    assert start == pytest.approx(math.exp(0.5), abs=0.05)
    assert end > start + 0.1


def test_the_sample_is_carried_by_the_push_on_the_width():
    # At μ = 0 the prior pushes a narrow cloud wider and its centre nowhere: z goes outwards.
    at = dict.fromkeys(SETTINGS, 0.0) | {"log_std_1": -1.0, "log_std_2": -1.0, "noise_1": 2.0}
    picture = cloud.view_gradient(**at, pull="−KL").figure.pixels()
    end = 2 * math.exp(-1)
    beyond = [pixel(picture, x, 0) == rgb(cloud.SAMPLE) for x in (end + 0.21, end + 0.25)]
    assert all(beyond)


def test_a_plane_is_where_axes_of_its_place_would_be():
    figure = Picture(3.0)
    place, limits = (0.7, 0.4, 2.3, 1.9), {"xlim": (-1.0, 5.0), "ylim": (2.0, 3.0)}
    axes, plane = panel(figure, place, **limits), Plane(figure, place, **limits)
    for point in ((0.0, 2.5), (5.0, 2.0), (-3.0, 9.0)):
        assert plane.transform.transform(point) == pytest.approx(axes.transData.transform(point))
    assert plane.frame.extents == pytest.approx(axes.bbox.extents)


def test_numbers_end_where_the_column_ends():
    for text in ("−3.21", "168.82", "0.5"):
        picture = Picture(1.0)
        number(picture, text, 3.0, 0.3)
        (_, columns) = np.nonzero((picture.pixels() < 128).all(-1))
        assert 450 - 6 < columns.max() <= 450


# The explorer.


def noise_of(turned):
    return [turned.settings["noise_1"], turned.settings["noise_2"]]


def test_frozen_noise_stays_while_the_rest_moves():
    turned = cloud.encode()
    before = noise_of(turned)
    for name in POSTERIOR:
        turned.controls[name].value += 0.1
    turned.controls["pull"].value = "−KL"
    assert noise_of(turned) == before


def test_without_freezing_each_move_draws_the_noise_anew_and_one_picture():
    turned, twin = cloud.encode(), cloud.encode()
    noises = []
    for explorer in (turned, twin):
        explorer.controls["frozen"].value = False
        for name in POSTERIOR:
            drawn = explorer.drawn
            explorer.controls[name].value += 0.1
            assert explorer.drawn == drawn + 1
            noises.append(noise_of(explorer))
            shown = {k: v for k, v in explorer.settings.items() if k != "frozen"}
            assert explorer.picture.value == png(cloud.view_gradient(**shown).figure)
    assert noises[:4] == noises[4:], "the same moves draw the same noise"
    assert len({tuple(noise) for noise in noises}) == 4
    turned.controls["noise_1"].value = 0.25  # moved by hand it stays where it was put
    assert turned.settings["noise_1"] == 0.25
    assert turned.settings["noise_2"] == noises[3][1]


def test_fresh_noise_is_standard_normal(monkeypatch):
    turned = cloud.encode()
    monkeypatch.setattr(turned, "_draw", lambda: None)  # the pictures are not looked at
    drawn = []
    for _ in range(1000):
        turned.buttons["Draw a new ε"].click()
        drawn.append(noise_of(turned))
    drawn = torch.tensor(drawn)
    assert (drawn.mean(0).abs() < 4 / math.sqrt(1000)).all()
    assert ((drawn.std(0) - 1).abs() < 4 / math.sqrt(2000)).all()
    assert abs(drawn.T.corrcoef()[0, 1]) < 4 / math.sqrt(1000)


def test_steps_uphill_raise_the_elbo_and_end_where_it_rests(monkeypatch):
    turned = cloud.encode()
    monkeypatch.setattr(turned, "_draw", lambda: None)  # the pictures are not looked at
    heights = []
    for _ in range(150):
        likelihood, kl, gradients = by_hand(turned.settings)
        heights.append(likelihood - kl)
        turned.buttons["One step uphill"].click()
    assert all(later > earlier - 1e-12 for earlier, later in itertools.pairwise(heights))
    assert max(map(abs, itertools.chain(*gradients["ELBO"]))) < 0.02


def test_a_step_goes_along_the_gradient_and_without_freezing_takes_new_noise():
    turned = cloud.encode()
    before = turned.settings
    _, _, gradients = by_hand(before)
    turned.buttons["One step uphill"].click()
    moved = [turned.settings[name] - before[name] for name in POSTERIOR]
    slopes = [*gradients["ELBO"][0], *gradients["ELBO"][1]]
    assert moved == pytest.approx([cloud.STEP * slope for slope in slopes])
    assert noise_of(turned) == [before["noise_1"], before["noise_2"]]
    turned.controls["frozen"].value = False
    drawn = turned.drawn
    turned.buttons["One step uphill"].click()
    assert turned.drawn == drawn + 1
    assert noise_of(turned) != [before["noise_1"], before["noise_2"]]


def test_a_button_draws_another_noise():
    turned = cloud.encode()
    noises = {tuple(noise_of(turned))}
    for _ in range(3):
        turned.buttons["Draw a new ε"].click()
        noises.add(tuple(noise_of(turned)))
    assert len(noises) == 4
    assert not any(isinstance(control, Again) for control in turned.controls.values())


def test_the_bars_have_room_for_the_gradients_at_the_ends_of_all_ranges():
    turned = cloud.encode()
    ends = [(turned.controls[name].min, turned.controls[name].max) for name in SETTINGS]
    for corner in itertools.product(*ends):
        gradients = by_hand(dict(zip(SETTINGS, corner, strict=True)))[2].values()
        assert max(map(abs, itertools.chain(*itertools.chain(*gradients)))) < cloud.MOST
