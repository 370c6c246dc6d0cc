import pytest
import torch

from vaelib.latent import active_units


def test_a_unit_is_active_if_its_mean_varies(generator):
    noise = torch.randn(1000, 3, generator=generator, dtype=torch.float64)
    mean = 5.0 + noise * torch.tensor([0.0, 0.09, 0.11])
    assert active_units(mean).tolist() == [False, False, True]
    assert active_units(mean, threshold=0.005).tolist() == [False, True, True]


def test_a_variance_needs_two():
    with pytest.raises(ValueError, match="at least 2 of them, got 1"):
        active_units(torch.zeros(1, 3))
