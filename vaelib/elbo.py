"""The evidence lower bound: two terms for each image, in nats."""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from vaelib.decoder import log_likelihood
from vaelib.encoder import Gaussian, check_gaussian, reparameterize
from vaelib.vae import VAE


class ElboTerms(NamedTuple):
    """Terms of the bound for each image (or, averaged, for each epoch), in nats.

    `bound` is their difference, log p(x) ≥ E[log p(x|z)] − KL(q(z|x) ‖ p(z)).
    """

    log_likelihood: Float[Tensor, "*batch"]
    kl: Float[Tensor, "*batch"]

    @property
    def bound(self) -> Float[Tensor, "*batch"]:
        """log-likelihood − KL, the ELBO, in nats."""
        return self.log_likelihood - self.kl


def kl(posterior: Gaussian) -> Float[Tensor, " batch"]:
    """KL(q(z|x) ‖ N(0, I)) of each image in nats, summed over latent dimensions.

    Kingma & Welling 2014, appendix B, written in log σ instead of log σ².
    Raises ValueError where the shapes of mean and log_std differ.
    """
    check_gaussian(posterior)
    mean, log_std = posterior
    return 0.5 * (mean**2 + (2 * log_std).exp() - 1 - 2 * log_std).sum(-1)


def elbo(
    vae: VAE, image: Float[Tensor, "batch pixel"], noise: Float[Tensor, "batch latent"]
) -> ElboTerms:
    """Estimate the bound's terms for each image from one latent sample, drawn by `noise` ~ N(0, I).

    The log-likelihood is a one-sample Monte Carlo estimate, the KL is exact
    (Kingma & Welling 2014, equation 7). Raises what encoder, decoder and `log_likelihood` do.
    """
    posterior = vae.encoder(image)
    logits = vae.decoder(reparameterize(posterior, noise))
    return ElboTerms(log_likelihood(image, logits), kl(posterior))
