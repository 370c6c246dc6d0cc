import math

import pytest
import torch

from vaelib import sampling, vae
from vaelib.binarization import threshold
from vaelib.course import explorers
from vaelib.course.explorers import decoding
from vaelib.course.explorers.shell import png


@pytest.fixture
def model(generator):
    return vae.dense(hidden=20, generator=generator)


def test_the_words_give_the_log_likelihood_of_the_chosen_digit(model, digits):
    image, code = threshold(digits[3]), torch.tensor([1.0, -1.0, 0.5, 0.0, 2.0])
    words = decoding.view_decoded(model, image, code).words
    with torch.no_grad():
        coins = torch.distributions.Bernoulli(logits=model.decoder(code[None])[0])
    assert f"<b>−{-coins.log_prob(image).sum():.1f}</b> nats" in words
    normal = torch.distributions.Normal(0.0, 1.0).log_prob(code).sum()
    assert f"log p(z) of the latent: −{-normal:.1f}" in words
    assert f"With π = ½ for all 784 pixels, it would be −{784 * math.log(2):.0f}" in words


def test_mean_code_is_the_mean_of_the_approximate_posterior(model, digits):
    image = threshold(digits[:4])
    with torch.no_grad():
        expected = model.encoder(image).mean
    for one, code in zip(image, expected, strict=True):
        assert torch.allclose(decoding.mean_code(model, one), code, atol=1e-6)


def test_encode_sets_the_sliders_to_the_posterior_mean(model, digits):
    turned = explorers.decode(model, digits)
    turned.set(digit=4)
    turned.buttons["Encode this digit"].click()
    image = threshold(digits[4])
    code = decoding.mean_code(model, image)
    assert code.abs().max() < decoding.FAR, "or the sliders would have cut it"
    found = torch.tensor([turned.settings[f"z{i + 1}"] for i in range(5)])
    assert torch.equal(found, code)
    assert turned.picture.value == png(decoding.view_decoded(model, image, code).figure)


def test_surprise_draws_another_latent_from_the_prior_each_time(model, digits, monkeypatch):
    turned = explorers.decode(model, digits)
    monkeypatch.setattr(turned, "_draw", lambda: None)  # the pictures are not looked at
    codes = []
    for _ in range(300):
        turned.buttons["Surprise me"].click()
        codes.append([turned.settings[f"z{i + 1}"] for i in range(5)])
    codes = torch.tensor(codes)
    assert len(codes.unique(dim=0)) == 300
    assert abs(codes.mean()) < 4 / math.sqrt(1500)
    assert abs(codes.std() - 1) < 4 / math.sqrt(2 * 1500) + 0.01  # cut at three


def test_a_draw_uses_the_mean_image_and_leaves_the_likelihood_alone(model, digits):
    image, code = threshold(digits[0]), torch.zeros(5)
    first = decoding.view_decoded(model, image, code, tossed=1)
    second = decoding.view_decoded(model, image, code, tossed=2)
    assert first.words == second.words
    panels = [range(8 + 270 * i, 8 + 270 * i + 250) for i in range(4)]
    changed = (first.figure.pixels() != second.figure.pixels()).any(-1)[60:]
    assert changed[:, panels[1]].any()
    for untouched in (0, 2, 3):
        assert not changed[:, panels[untouched]].any()


def test_the_cost_panel_is_pale_where_a_trained_model_was_right(digits):
    image = threshold(digits[0])
    sure = vae.dense(hidden=4)
    with torch.no_grad():
        for parameter in sure.parameters():
            parameter.zero_()
        sure.decoder.logits.bias.copy_(torch.where(image > 0, 40.0, -40.0))
    drawn = decoding.view_decoded(sure, image, torch.zeros(5)).figure.pixels()
    cost = drawn[80:300, 820:1060]
    assert (cost == cost[0, 0]).all()
    assert cost.min() > 220


def test_there_is_a_slider_for_each_latent_value(digits):
    two = vae.dense(hidden=4, latent=2)
    assert [name for name in explorers.decode(two, digits).controls if name[0] == "z"] == [
        "z1",
        "z2",
    ]


def test_dropout_is_off_while_it_draws(digits):
    from torch import nn

    model = vae.dense(hidden=20)
    model.decoder.hidden.append(nn.Dropout(0.5))
    model.train()
    image = threshold(digits[0])
    first = decoding.view_decoded(model, image, torch.ones(5)).words
    assert first == decoding.view_decoded(model, image, torch.ones(5)).words
    assert sampling.decode(model, torch.ones(1, 5)).shape == (1, 784)
    assert model.training
