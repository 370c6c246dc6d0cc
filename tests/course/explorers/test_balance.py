import re

import pytest
import torch
from looking import image_at, pixel_at

from vaelib import sampling, vae
from vaelib.binarization import threshold
from vaelib.course import explorers
from vaelib.course.explorers import balance
from vaelib.course.explorers.shell import png
from vaelib.decoder import log_likelihood
from vaelib.encoder import Gaussian, reparameterize


def model_of(seed, latent=5):
    return vae.dense(hidden=20, latent=latent, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def models():
    return {2.0: model_of(2), 0.25: model_of(1), 20: model_of(3)}


@pytest.fixture
def among(models, digits):
    return balance.family(models, digits)


def expected_terms(model, digits):
    """Rate and distortion by torch.distributions, with the noise of seed 0."""
    image = threshold(digits[: balance.MEASURED])
    with torch.no_grad():
        q = model.encoder(image)
        noise = torch.randn(*q.mean.shape, generator=torch.Generator().manual_seed(0))
        logits = model.decoder(q.mean + q.log_std.exp() * noise)
    each = torch.distributions.Normal(q.mean, q.log_std.exp())
    rate = torch.distributions.kl_divergence(each, torch.distributions.Normal(0.0, 1.0))
    return rate.mean(0), -log_likelihood(image, logits).mean()


def test_each_model_is_measured_and_the_smallest_beta_comes_first(among, models, digits):
    assert [member.beta for member in among.members] == [0.25, 2, 20]
    for member in among.members:
        assert member.model is models[member.beta]
        nats, distortion = expected_terms(member.model, digits)
        assert member.rate == pytest.approx(nats.sum().item(), rel=1e-4)
        assert member.distortion == pytest.approx(distortion.item(), rel=1e-4)
        assert torch.allclose(member.nats, nats.sort(descending=True).values, atol=1e-5)


def test_the_words_say_what_was_measured(among):
    member = among.members[1]
    words = re.sub(r"</?b>", "", balance.view_balance(among, beta=2, digit=0).words)
    assert f"β = 2: rate {member.rate:.1f} nats, distortion {member.distortion:.1f}" in words
    assert f"so −ELBO {member.rate + member.distortion:.1f}." in words
    used = (member.nats > 0.1).sum().item()
    assert f"{used} of 5 dimensions" in words


def test_digit_reconstruction_and_new_images_are_where_they_should_be(among, digits):
    picture = balance.view_balance(among, beta=20, digit=3, drawn=4).figure.pixels()
    member, images = among.members[2], threshold(digits[: balance.MEASURED])
    generator = torch.Generator().manual_seed(4)
    noise = torch.randn(13, 5, generator=generator)
    picked = torch.randint(len(images), (7,), generator=generator).tolist()
    picked[0] = 3
    q = Gaussian(*(value[picked] for value in member.posterior))
    encoded = sampling.decode(member.model, reparameterize(q, noise[:7]))
    from_prior = sampling.decode(member.model, noise[7:])

    def shown(left, bottom, side):
        return torch.from_numpy(image_at(picture, left, bottom, side))[1:-1, 1:-1].float()

    def same(found, image):
        return (found - image.view(28, 28)[1:-1, 1:-1]).abs().max() < 0.01

    assert same(shown(0.05, balance.PAIR, balance.SIDE), images[3])
    right = 0.05 + int(balance.SIDE * 150 / 28) * 28 / 150 + 0.12
    assert same(shown(right, balance.PAIR, balance.SIDE), encoded[0])
    step = int(balance.SMALL * 150 / 28) * 28 / 150 + 0.12
    for bottom, row in zip(balance.ROWS, (from_prior, encoded[1:]), strict=True):
        for place, image in enumerate(row):
            assert same(shown(balance.LEFT + place * step, bottom, balance.SMALL), image)


def orange(picture, left, bottom):
    row, column = pixel_at(picture, left, bottom)
    return picture[row, column].tolist() == [0xD5, 0x5E, 0x00]


def test_the_mark_is_at_the_models_rate_and_distortion(among):
    (most, highest), _ = balance._limits(among.members)
    left, bottom, wide, high = balance.CURVE
    for member in among.members:
        picture = balance.view_balance(among, beta=member.beta, digit=0).figure.pixels()
        x = left + wide * member.rate / most
        y = bottom + high * member.distortion / highest
        assert orange(picture, x, y)


def test_a_bar_is_as_high_as_its_kl(among):
    _, largest = balance._limits(among.members)
    left, bottom, wide, high = balance.BARS
    for member in among.members:
        picture = balance.view_balance(among, beta=member.beta, digit=0).figure.pixels()
        for place, value in enumerate(member.nats.tolist(), 1):
            x, top = left + wide * (place - 0.4) / 5.2, bottom + high * value / largest
            if value > 0.1 * largest:
                assert orange(picture, x, top - 0.03)
            assert not orange(picture, x, top + 0.03)


def test_another_draw_changes_latents_but_neither_digit_nor_words(among):
    first, second = (balance.view_balance(among, beta=2, digit=1, drawn=n) for n in (1, 2))
    assert first.words == second.words
    changed = (first.figure.pixels() != second.figure.pixels()).any(-1)
    half = round(2.2 * 150)  # from the top to below the digit
    assert not changed[:half, : round((0.05 + balance.SIDE) * 150)].any()
    assert changed[half:, round(balance.LEFT * 150) :].any()


def test_beta_is_chosen_among_those_of_the_models(models, digits, among):
    turned = explorers.weigh(models, digits)
    choice = turned.controls["beta"]
    assert choice.options == (("0.25", 0.25), ("2", 2.0), ("20", 20))
    for beta in (20, 0.25):
        choice.value = beta
        expected = balance.view_balance(among, beta=beta, digit=0)
        assert turned.picture.value == png(expected.figure)


def test_a_beta_without_a_model_is_refused(among):
    with pytest.raises(ValueError, match=r"no model has β = 3; there is 0.25, 2, 20"):
        balance.view_balance(among, beta=3, digit=0)


@pytest.mark.parametrize(("latents", "said"), [({1: 5}, "{1: 5}"), ({1: 5, 2: 4}, "{1: 5, 2: 4}")])
def test_one_model_or_unlike_ones_are_refused(latents, said, digits):
    models = {beta: model_of(0, latent) for beta, latent in latents.items()}
    with pytest.raises(ValueError, match=f"of the same latent size, got {re.escape(said)}"):
        explorers.weigh(models, digits)
