import pytest
import torch

from vaelib.device import generator_on, reading_waits


def test_only_the_cpu_is_read_without_waiting():
    assert not reading_waits(torch.device("cpu"))
    for accelerator in ("cuda", "cuda:1", "mps", "meta"):
        assert reading_waits(torch.device(accelerator))


def test_a_generator_of_the_device_is_used_as_it_is(generator):
    assert generator_on(torch.device("cpu"), generator) is generator
    assert generator_on(torch.device("cpu")) is torch.default_generator


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
