import pytest
import torch
from torch import nn

from vaelib import checkpoint, vae
from vaelib.decoder import Decoder
from vaelib.elbo import elbo
from vaelib.encoder import Encoder, Gaussian
from vaelib.evaluation import mean_terms
from vaelib.training import train


@pytest.mark.parametrize("build", [vae.dense, vae.convolutional])
def test_any_pair_that_keeps_the_signatures_gives_a_bound(build, generator):
    model = build(generator=generator)
    image = (torch.rand(3, 784, generator=generator) < 0.2).float()
    terms = elbo(model, image, torch.randn(3, 5, generator=generator))
    assert terms.bound.shape == (3,)
    assert ((terms.bound > -800) & (terms.bound < -400)).all()


@pytest.mark.parametrize("build", [vae.dense, vae.convolutional])
def test_each_learns_real_digits(build, digits, generator):
    model = build(generator=generator)
    before = -mean_terms(model, digits[1600:]).bound
    train(model, digits[:600], epochs=4, batch_size=25, learning_rate=3e-3, generator=generator)
    after = -mean_terms(model, digits[1600:]).bound
    assert after < 250 < 540 < before


def test_a_foreign_encoder_works_too(generator):
    class Linear(nn.Module):
        latent, pixels = 2, 784

        def __init__(self):
            super().__init__()
            self.mean = nn.Linear(784, 2)

        def forward(self, image):
            return Gaussian(self.mean(image), torch.zeros(len(image), 2))

    model = vae.VAE(Linear(), Decoder(latent=2))
    terms = elbo(model, torch.zeros(3, 784), torch.zeros(3, 2))
    assert terms.bound.shape == (3,)


def test_a_seed_repeats_the_weights():
    models = [vae.dense(generator=torch.Generator().manual_seed(9)) for _ in range(2)]
    for a, b in zip(*(model.parameters() for model in models), strict=True):
        assert torch.equal(a, b)


def test_networks_that_disagree_are_refused():
    with pytest.raises(ValueError, match="encoder has latent=5 and the decoder latent=2"):
        vae.VAE(Encoder(), Decoder(latent=2))
    with pytest.raises(ValueError, match="pixels=784 and the decoder pixels=100"):
        vae.VAE(Encoder(), Decoder(pixels=100))


def test_the_default_has_the_blog_posts_sizes_in_both_halves():
    model = vae.dense()
    sizes = dict(pixels=784, hidden=500, latent=5, activation="tanh", blocks=0)
    assert model.encoder.settings == model.decoder.settings == sizes


def test_settings_reach_both_halves():
    small = vae.dense(pixels=9, hidden=7, latent=3, activation="relu")
    sizes = dict(pixels=9, hidden=7, latent=3, activation="relu", blocks=0)
    assert small.encoder.settings == small.decoder.settings == sizes
    conv = vae.convolutional(channels=(4, 6), latent=3)
    assert conv.encoder.settings["channels"] == [4, 6]
    assert conv.decoder.settings["channels"] == [6, 4]


def test_evaluating_changes_the_mode_and_restores_it():
    model = vae.dense()
    with vae.evaluating(model):
        assert not model.decoder.training
    assert model.decoder.training


def test_a_deep_model_mirrors_its_widths_and_comes_back_from_a_file(tmp_path, generator):
    model = vae.dense(hidden=[30, 20], blocks=1, activation="silu", generator=generator)
    widths = [
        layer.out_features for layer in model.decoder.hidden if hasattr(layer, "out_features")
    ]
    assert widths == [20, 30]
    again = checkpoint.load(checkpoint.save(model, tmp_path / "deep.safetensors"))
    code = torch.randn(4, 5)
    assert torch.equal(model.decoder(code), again.decoder(code))


def test_a_model_that_was_evaluating_stays_so():
    model = vae.dense(hidden=4).eval()
    with vae.evaluating(model):
        pass
    assert not model.training
