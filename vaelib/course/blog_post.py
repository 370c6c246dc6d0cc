"""What the blog post does in its own way: a wrong KL, and a penalty on the decoder."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vaelib.decoder import log_likelihood
from vaelib.elbo import ElboTerms, elbo
from vaelib.encoder import Gaussian, reparameterize
from vaelib.objectives import Objective
from vaelib.vae import VAE


def wrong_kl(posterior: Gaussian) -> Float[Tensor, " batch"]:
    """The blog post's formula, with + (log σ)² where the KL has − 2 log σ; no divergence."""
    mean, log_std = posterior
    return 0.5 * (mean**2 + (2 * log_std).exp() - 1 + log_std**2).sum(-1)


def wrong_elbo(model: VAE, image: Tensor, noise: Tensor) -> ElboTerms:
    """The bound's terms with the wrong KL in place of the right one."""
    posterior = model.encoder(image)
    logits = model.decoder(reparameterize(posterior, noise))
    return ElboTerms(log_likelihood(image, logits), wrong_kl(posterior))


@dataclass(frozen=True)
class Penalised:
    """An objective with `weight` · Σθ² over the decoder's parameters added to its loss.

    The blog post has a weight of 0.01. The terms stay those of the objective. Raises ValueError
    for a negative weight.
    """

    weight: float
    objective: Objective = elbo

    def __post_init__(self) -> None:
        if not self.weight >= 0:
            raise ValueError(f"expected a penalty of at least 0, got {self.weight}")

    def __call__(self, model: VAE, image: Tensor, noise: Tensor) -> ElboTerms:
        terms = PenalisedTerms(*self.objective(model, image, noise))
        terms.penalty = self.weight * sum_of_squares(model.decoder.parameters())
        return terms


class PenalisedTerms(ElboTerms):
    """Terms with a `penalty` in their loss."""

    penalty: Tensor

    @property
    def loss(self) -> Float[Tensor, ""]:
        """−bound, averaged over the batch, plus the penalty."""
        return -self.bound.mean() + self.penalty


def sum_of_squares(parameters: Iterable[Tensor]) -> Float[Tensor, ""]:
    """Σθ² over all values of all `parameters`."""
    return torch.stack([parameter.square().sum() for parameter in parameters]).sum()
