import re

import pytest
import torch
from looking import image_at
from torch import nn
from torch.distributions import Normal, kl_divergence

from vaelib import hierarchy, sampling, vae
from vaelib.binarization import threshold
from vaelib.course import explorers
from vaelib.course.explorers import redraw
from vaelib.evaluation import level_rates

SIZES = {"one level": (4,), "two levels": (2, 3), "three levels": (2, 3, 2)}


def model_of(*sizes):
    """Levels that matter: the heads of a new hierarchy are 0, so they get weights."""
    generator = torch.Generator().manual_seed(0)
    if len(sizes) == 1:
        return vae.dense(hidden=20, latent=sizes[0], generator=generator)
    model = hierarchy.dense(sizes=sizes, width=16, generator=generator)
    heads = (head for stage in model.stages for head in (stage.prior_head, stage.correction))
    for values in (values for head in filter(None, heads) for values in head[-1].parameters()):
        mean, log_std = values.data.chunk(2)
        mean.normal_(0.5, 0.5, generator=generator)
        log_std.normal_(0, 0.05, generator=generator)  # large ones would give some draws vast KLs
    return model


@pytest.fixture(params=SIZES)
def model(request):
    return model_of(*SIZES[request.param])


@pytest.fixture
def noise(model, generator):
    return torch.randn(5, model.latent, generator=generator)


@pytest.fixture
def image(digits):
    return threshold(digits[3])


@torch.no_grad()
def means(model, image):
    """The latents of each level if each is at the mean of its q."""
    levels, _ = model.infer(image[None], torch.zeros(1, model.latent))
    return [level.latent for level in levels]


def test_with_all_levels_kept_it_is_the_reconstruction_from_qs_means(model, image, noise):
    expected = torch.cat(means(model, image), 1)
    assert expected.std() > 0.1
    for each in (0 * noise, noise):
        found = redraw.redraw(model, image, len(model.sizes), each)
        assert torch.allclose(found, expected.expand(5, -1), atol=1e-6)


def test_with_no_level_kept_it_is_a_draw_from_the_prior(model, image, noise):
    with torch.no_grad():
        expected = model.from_prior(noise)
    assert torch.allclose(redraw.redraw(model, image, 0, noise), expected, atol=1e-6)
    assert torch.equal(
        redraw.redraw(model, image, 0, noise), redraw.redraw(model, 1 - image, 0, noise)
    )


def test_kept_levels_are_those_of_q_and_the_same_in_all_draws(model, image, noise):
    for kept in range(1, len(model.sizes) + 1):
        found = redraw.redraw(model, image, kept, noise).split(model.sizes, 1)
        for level, latents in zip(found[:kept], means(model, image), strict=False):
            assert torch.allclose(level, latents.expand(5, -1), atol=1e-6)
        for level in found[kept:]:
            assert level.std(0).min() > 0.1


def test_a_redrawn_level_is_from_the_prior_given_the_kept_one(image, generator):
    model, noise = model_of(2, 3), torch.randn(5, 5, generator=generator)
    top, lower = model.stages
    with torch.no_grad():
        prior = lower.prior(top.below(None, means(model, image)[0]))
    expected = Normal(prior.mean, prior.log_std.exp())
    found = redraw.redraw(model, image, 1, noise)[:, 2:]
    assert torch.allclose((found - expected.mean) / expected.stddev, noise[:, 2:], atol=1e-4)
    assert prior.mean.norm() > 0.1, "not N(0, I)"


@pytest.mark.parametrize("kept", [-1, 3])
def test_a_number_of_levels_that_there_is_not_is_refused(kept, image):
    with pytest.raises(ValueError, match=f"expected 0 to 2 levels to keep, got {kept}"):
        redraw.redraw(model_of(2, 3), image, kept, torch.zeros(1, 5))


def test_noise_for_other_latents_is_refused(image):
    with pytest.raises(ValueError, match=r"expected noise of shape \(batch, 5\).*got \(2, 4\)"):
        redraw.redraw(model_of(2, 3), image, 1, torch.zeros(2, 4))


def numbers(words):
    """The KL of each level that the words tell, and the number of pixels."""
    plain = re.sub(r"</?b>", "", words)
    nats = re.findall(r"level (\d): (\d+\.\d) nats", plain)
    assert [int(level) for level, _ in nats] == list(range(1, len(nats) + 1))
    (apart,) = re.findall(r"by more than ½ in (\d+\.\d) of 784 pixels", plain)
    return [float(value) for _, value in nats], float(apart)


def test_the_words_give_the_kl_of_each_level(model, image, digits):
    told, _ = numbers(redraw.view_levels(model, image, kept=0).words)
    seed = torch.Generator().manual_seed(0)
    each = []
    for noise in torch.randn(redraw.SAMPLES, model.latent, generator=seed):
        with torch.no_grad():
            levels, _ = model.infer(image[None], noise[None])
        for q, prior, _ in levels:
            p = Normal(prior.mean, prior.log_std.exp()) if prior else Normal(0.0, 1.0)
            each.append(kl_divergence(Normal(q.mean, q.log_std.exp()), p).sum())
    each = torch.stack(each).view(redraw.SAMPLES, -1)
    assert told == pytest.approx(each.mean(0).tolist(), abs=0.051)
    rates = level_rates(model, digits[3].repeat(2000, 1))  # one draw of the latents for each row
    error = each.std(0) / redraw.SAMPLES**0.5
    assert ((torch.tensor(told) - rates).abs() < 4 * error + 0.1).all()
    assert min(told) > 0.2, "levels that carry something"


def test_pixels_apart_counts_the_pixels_of_each_pair():
    images = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 0.4]])
    assert redraw.pixels_apart(images) == pytest.approx(2 / 3)
    assert redraw.pixels_apart(images[:, 1:]) == 0


def images_in(view):
    """The digit and the twelve images of a picture, without their frames."""
    picture, step = view.figure.pixels(), int(redraw.SMALL * 150 / 28) * 28 / 150 + 0.12
    places = [(redraw.LEFT + i * step, low, redraw.SMALL) for low in redraw.ROWS for i in range(6)]
    found = [image_at(picture, *place) for place in [(0.05, 0.05, redraw.SIDE), *places]]
    return torch.stack([torch.from_numpy(each)[1:-1, 1:-1].float() for each in found])


def test_digit_and_images_are_where_they_should_be(model, image):
    noise = 0.7 * torch.randn(12, model.latent, generator=torch.Generator().manual_seed(4))
    for kept in range(len(model.sizes) + 1):
        view = redraw.view_levels(model, image, kept=kept, temperature=0.7, draw=4)
        made = sampling.decode(model, redraw.redraw(model, image, kept, noise))
        expected = torch.cat([image[None], made]).view(13, 28, 28)[:, 1:-1, 1:-1]
        assert (images_in(view) - expected).abs().max() < 0.01
        assert numbers(view.words)[1] == pytest.approx(redraw.pixels_apart(made), abs=0.051)


def test_without_noise_all_draws_are_equal(model, image):
    for kept in range(len(model.sizes)):
        still, moved = (
            redraw.view_levels(model, image, kept=kept, temperature=t) for t in (0.0, 1.0)
        )
        *_, apart = numbers(still.words)
        assert apart == 0
        assert (images_in(still)[2:] == images_in(still)[1]).all()
        assert (images_in(moved)[2:] != images_in(moved)[1]).any((1, 2)).all()
        again = redraw.view_levels(model, image, kept=kept, temperature=0.0, draw=2)
        assert (again.figure.pixels() == still.figure.pixels()).all()


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (0, "q(z|x): no level. Redrawn from the prior: levels 1 to 3, with noise times 0.50."),
        (1, "q(z|x): level 1. Redrawn from the prior: levels 2 and 3, with noise times 0.50."),
        (2, "q(z|x): levels 1 and 2. Redrawn from the prior: level 3, with noise times 0.50."),
        (3, "q(z|x): levels 1 to 3. Redrawn from the prior: no level. "),
    ],
)
def test_the_words_say_which_levels_are_redrawn(kept, said, image):
    view = redraw.view_levels(model_of(2, 3, 2), image, kept=kept, temperature=0.5)
    assert f"Kept, at the mean of {said}" in re.sub(r"</?b>", "", view.words)


def test_redraw_changes_the_images_but_neither_digit_nor_kls(digits):
    turned = explorers.levels(model_of(2, 3), digits)
    first = turned.view(**turned.settings)
    turned.controls["draw"].click()
    second = turned.view(**turned.settings)
    changed = (images_in(first) != images_in(second)).flatten(1).any(1)
    assert changed.tolist() == [False] + [True] * 12
    assert numbers(first.words)[0] == numbers(second.words)[0]


def test_first_the_top_level_is_kept_if_there_is_a_level_below(model, digits):
    turned = explorers.levels(model, digits)
    kept = turned.controls["kept"]
    assert (kept.min, kept.max) == (0, len(model.sizes))
    assert kept.value == (0 if len(model.sizes) == 1 else 1)
    assert turned.settings["temperature"] == 1


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_models_of_other_types_are_drawn_alike(dtype, image):
    expected, found = (
        redraw.view_levels(model_of(2, 3).to(kind), image, kept=1)
        for kind in (torch.float32, dtype)
    )
    assert numbers(found.words)[0] == pytest.approx(numbers(expected.words)[0], rel=0.05, abs=0.1)
    assert (images_in(found) - images_in(expected)).abs().max() < 0.1


def test_dropout_is_off_while_it_draws(image):
    model = model_of(2, 3)
    model.up[0].append(nn.Dropout(0.5))
    model.stages[0].down.append(nn.Dropout(0.5))
    model.train()
    first, second = (redraw.view_levels(model, image, kept=1) for _ in range(2))
    assert first.words == second.words
    assert (first.figure.pixels() == second.figure.pixels()).all()
    assert model.training
