"""What the blog post computes and no other part of the package does."""

from jaxtyping import Float
from torch import Tensor

from vaelib.encoder import Gaussian


def wrong_kl(posterior: Gaussian) -> Float[Tensor, " batch"]:
    """The formula that the post takes for `elbo.kl`: +(log σ)² where −2 log σ belongs, in nats.

    It is not a divergence: it falls below zero (see notebook 4).
    """
    mean, log_std = posterior
    return 0.5 * (mean**2 + (2 * log_std).exp() - 1 + log_std**2).sum(-1)
