"""The evidence lower bound: two terms for each image, in nats."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vaelib.binarization import check_alike
from vaelib.encoder import Gaussian, in_float32


class ElboTerms(NamedTuple):
    """The two terms of log p(x) ≥ E[log p(x|z)] − KL(q(z|x) ‖ p(z)), in nats.

    They are those of each image or, averaged, those of each epoch.
    """

    log_likelihood: Float[Tensor, "*batch"]
    kl: Float[Tensor, "*batch"]

    @property
    def bound(self) -> Float[Tensor, "*batch"]:
        """log-likelihood − KL, the ELBO, in nats."""
        return self.log_likelihood - self.kl

    @property
    def loss(self) -> Float[Tensor, ""]:
        """What training minimises: −bound, averaged over the batch."""
        return -self.bound.mean()


def elbo(
    model: nn.Module, image: Float[Tensor, "batch pixel"], noise: Float[Tensor, "*sample latent"]
) -> ElboTerms:
    """Estimate the bound's terms for each image from one latent sample, drawn by `noise` ~ N(0, I).

    The log-likelihood is a one-sample estimate, the KL is exact (Kingma & Welling 2014, equation
    7). The model computes both: see `vaelib.vae.LatentModel.terms`. Raises ValueError for images or
    noise of the wrong shape.
    """
    return model(image, noise)


def kl(posterior: Gaussian, prior: Gaussian | None = None) -> Float[Tensor, "*batch"]:
    """KL(q(z|x) ‖ p(z)) of each image in nats, summed over latent dimensions.

    The prior is N(0, I) unless given. Kingma & Welling 2014, appendix B, with log σ in the place of
    log σ². Raises ValueError where the shapes of mean and log_std differ.
    """
    return kl_per_dimension(posterior, prior).sum(-1)


def kl_per_dimension(
    posterior: Gaussian, prior: Gaussian | None = None
) -> Float[Tensor, "*batch latent"]:
    """KL(q(z|x) ‖ p(z)) of each image in nats, one value for each latent dimension; see `kl`."""
    check_alike("a mean and a log_std", *posterior)
    mean, log_std = map(in_float32, posterior)
    if prior is not None:  # in units of the prior's standard deviation, that prior is N(0, I)
        mean = (mean - prior.mean) * (-prior.log_std).exp()
        log_std = log_std - prior.log_std
    return 0.5 * (mean**2 + (2 * log_std).exp() - 1 - 2 * log_std)


def log_ratio(
    posterior: Gaussian, latent: Float[Tensor, "*sample latent"], prior: Gaussian | None = None
) -> Float[Tensor, "*sample"]:
    """log q(z|x) − log p(z) at each latent in nats, summed over latent dimensions.

    Its average over z ~ q(z|x) is the KL. The prior is N(0, I) unless given. Both densities have
    the constant −½ log 2π in each dimension, which cancels.
    """
    mean, log_std = map(in_float32, posterior)
    latent = in_float32(latent)
    under_posterior = (latent - mean) * (-log_std).exp()
    under_prior = latent
    if prior is not None:
        under_prior = (latent - prior.mean) * (-prior.log_std).exp()
        log_std = log_std - prior.log_std
    return (0.5 * (under_prior**2 - under_posterior**2) - log_std).sum(-1)


def log_mean_exp(values: Float[Tensor, "sample *batch"]) -> Float[Tensor, "*batch"]:  # noqa: F821
    """log of the mean of exp(values) over the first dimension, without overflow."""
    return torch.logsumexp(values, 0) - math.log(len(values))
