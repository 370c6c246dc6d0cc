"""The model of notebook 4 with one latent number and three pixels, where integrals are exact."""

import torch
from torch import Tensor
from torch.distributions import Normal

from vaelib.decoder import log_likelihood


def toy(points=12_001, dtype=torch.float64, image=(1.0, 1.0, 0.0)) -> tuple[Tensor, Tensor]:
    """A grid of codes, and log p(x, z) of one image there."""
    grid = torch.linspace(-12, 12, points, dtype=dtype)
    logits = grid[:, None] * torch.tensor([3.0, 2.0, -1.0]) + torch.tensor([-1.0, 1.0, 1.0])
    image = torch.tensor(image, dtype=dtype).expand(points, 3)
    return grid, log_likelihood(image, logits.to(dtype)) + Normal(0.0, 1.0).log_prob(grid)
