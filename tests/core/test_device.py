import numpy as np
import pytest
import torch

from vaelib import binarization, evaluation, sampling, training, vae
from vaelib.device import generator_on, reading_waits, standard_normal


def test_only_the_cpu_is_read_without_waiting():
    assert not reading_waits(torch.device("cpu"))
    for accelerator in ("cuda", "cuda:1", "mps", "meta"):
        assert reading_waits(torch.device(accelerator))


def test_a_generator_of_the_device_is_used_as_it_is(generator):
    assert generator_on(torch.device("cpu"), generator) is generator
    assert generator_on(torch.device("cpu")) is torch.default_generator


def test_one_seed_gives_every_type_the_same_noise():
    single, double, half = (
        standard_normal(4, 3, like=torch.empty(0, dtype=dtype), generator=torch.manual_seed(0))
        for dtype in (torch.float32, torch.float64, torch.float16)
    )
    assert torch.equal(single, torch.randn(4, 3, generator=torch.manual_seed(0)))
    assert torch.equal(double, single.double())
    assert torch.equal(half, single.half())


MODEL = vae.dense(hidden=3, latent=2, generator=torch.Generator().manual_seed(0))
USES = {
    "train": lambda x, g: training.train(MODEL, x, epochs=1, generator=g),
    "evaluate": lambda x, g: evaluation.evaluate(MODEL, x, generator=g),
    "estimate": lambda x, g: evaluation.estimate(MODEL, x, protocol="dynamic", generator=g),
    "draw_log_weights": lambda x, g: evaluation.draw_log_weights(
        MODEL, binarization.threshold(x), samples=2, generator=g
    ),
    "sample_prior": lambda x, g: sampling.sample_prior(MODEL, 2, generator=g),
    "reconstruct": lambda x, g: sampling.reconstruct(MODEL, binarization.threshold(x), generator=g),
    "dense": lambda x, g: vae.dense(generator=g),
    "convolutional": lambda x, g: vae.convolutional(generator=g),
    "dynamic": lambda x, g: binarization.dynamic(x, g),
    "freeze": lambda x, g: binarization.freeze(x, g),
}


@pytest.mark.usefixtures("as_users_run")
@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_seed_is_no_generator(use, pixels):
    for given, seed in (
        (0, 0),
        (42, 42),
        (False, 0),
        (np.random.default_rng(1), 0),
        ("7", 0),
        (np.int64(7), 7),
    ):
        said = rf"generator or None, got .*\. Make .* torch\.Generator\(\)\.manual_seed\({seed}\)"
        with pytest.raises(TypeError, match=said):
            use(pixels[:3], given)
    assert MODEL.trained_steps == 0


@pytest.mark.usefixtures("as_users_run")
def test_another_device_gets_a_generator_that_the_given_one_decides(monkeypatch):
    class Elsewhere:
        """Stands for a generator on an accelerator, which this machine may not have."""

        def __init__(self, device):
            self.device, self.seed = device, None

        def manual_seed(self, seed):
            self.seed = seed
            return self

    monkeypatch.setattr("vaelib.device.Generator", Elsewhere)
    cuda = torch.device("cuda")
    seeds = []
    for seed in (0, 0, 1):
        made = generator_on(cuda, torch.Generator().manual_seed(seed))
        assert made.device == cuda
        seeds.append(made.seed)
    assert seeds[0] == seeds[1] != seeds[2]
    generator = torch.Generator().manual_seed(0)
    assert generator_on(cuda, generator).seed != generator_on(cuda, generator).seed
