"""What to maximise instead of the plain ELBO: weighted, warmed up, other gradients, tighter.

Each is what `vaelib.training.train` takes as `objective`: from a model, binary images and noise
to the bound's two terms for each image, in nats. Only what is maximised differs. To compare
models, measure the bound itself (`vaelib.elbo.elbo`) or log p(x) (`vaelib.evaluation`).
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from vaelib.decoder import log_likelihood
from vaelib.elbo import ElboTerms, elbo
from vaelib.encoder import Gaussian, reparameterize
from vaelib.vae import VAE

Objective = Callable[[VAE, Tensor, Tensor], ElboTerms]


def weighted(beta: float) -> Objective:
    """The ELBO with its KL weighed by β: E[log p(x|z)] − β·KL(q(z|x) ‖ p(z)).

    No bound on log p(x) for β < 1, a loose one for β > 1; each β asks for another balance of
    rate and distortion. Higgins et al. 2017 (β-VAE), equation 4. Raises ValueError for β < 0.
    """
    if not beta >= 0:
        raise ValueError(f"expected a β of at least 0, got {beta}")

    def weighted_elbo(vae: VAE, image: Tensor, noise: Tensor) -> ElboTerms:
        terms = elbo(vae, image, noise)
        return terms._replace(kl=beta * terms.kl)

    weighted_elbo.__qualname__ = f"weighted({beta:g})"
    return weighted_elbo


def warm_up(steps: int, objective: Objective = elbo) -> Objective:
    """`objective` with its KL weighed by a β that grows from 0 to 1 over the first `steps`.

    How far the model has come is read from the model (`vae.trained_steps`), so an interrupted
    run goes on where it was, and a model that has these steps behind it gets no warm-up. Bowman
    et al. 2016, section 3.1; Sønderby et al. 2016, section 2.3.
    Raises ValueError for fewer than one step, and for `importance_weighted`, which has no KL.
    """
    if not steps >= 1:
        raise ValueError(f"expected at least 1 step of warm-up, got {steps}")
    if objective is importance_weighted:
        raise ValueError(
            "expected an objective whose second term is a KL, such as elbo or path_derivative; "
            "what importance_weighted takes off is none, and weighing it means nothing"
        )

    def warmed_up(vae: VAE, image: Tensor, noise: Tensor) -> ElboTerms:
        terms = objective(vae, image, noise)
        return terms._replace(kl=min(1.0, vae.trained_steps / steps) * terms.kl)

    inner = getattr(objective, "__qualname__", type(objective).__name__)
    warmed_up.__qualname__ = f"warm_up({steps}, {inner})"
    return warmed_up


def path_derivative(
    vae: VAE, image: Float[Tensor, "batch pixel"], noise: Float[Tensor, "batch latent"]
) -> ElboTerms:
    """The ELBO with both terms estimated from one code, and a gradient that ends with the gap.

    log q(z|x) is differentiated along z only, not along μ and σ where they say which q it is. The
    part that is left out is 0 on average; without it the gradient with respect to the encoder
    has no noise once q is the posterior, where log p(x, z) − log q(z|x) is the same for every z.
    Roeder, Wu & Duvenaud 2017 ("sticking the landing"), equation 8.
    """
    posterior = vae.encoder(image)
    code = reparameterize(posterior, noise)
    fixed = Gaussian(posterior.mean.detach(), posterior.log_std.detach())
    return ElboTerms(log_likelihood(image, vae.decoder(code)), log_ratio(fixed, code))


def importance_weighted(
    vae: VAE, image: Float[Tensor, "batch pixel"], noise: Float[Tensor, "sample batch latent"]
) -> ElboTerms:
    """log of the mean of the importance weights of k codes, a tighter bound than the ELBO.

    `train(…, samples=k)` gives noise for k codes. The terms are the log-likelihood, averaged over
    the codes by their normalised weights, and what has to be taken off it to get the bound.
    Burda, Grosse & Salakhutdinov 2016 (IWAE), equation 8. Raises ValueError for other noise.
    """
    if noise.ndim != 3:
        raise ValueError(
            f"expected noise of shape (sample, batch, {vae.latent}), got {tuple(noise.shape)}; "
            "give train the number of samples: train(…, objective=importance_weighted, samples=5)"
        )
    posterior = vae.encoder(image)
    code = reparameterize(posterior, noise)
    logits = vae.decoder(code.flatten(0, 1)).unflatten(0, code.shape[:2])
    likelihoods = log_likelihood(image.expand(len(code), *image.shape), logits)
    log_weights = likelihoods - log_ratio(posterior, code)
    averaged = (log_weights.softmax(0) * likelihoods).sum(0)
    return ElboTerms(averaged, averaged - log_mean_exp(log_weights))


def log_ratio(
    posterior: Gaussian, code: Float[Tensor, "*sample batch latent"]
) -> Float[Tensor, "*sample batch"]:
    """log q(z|x) − log p(z) at each code in nats; its average over z ~ q(z|x) is the KL."""
    mean, log_std = posterior
    standardised = (code - mean) * (-log_std).exp()
    return (0.5 * (code**2 - standardised**2) - log_std).sum(-1)


def log_mean_exp(
    values: Float[Tensor, "sample *batch"],
) -> Float[Tensor, "*batch"]:
    """log of the mean of exp(values) over the first dimension.

    The largest value is taken out before the exponential, so nothing overflows, and what
    underflows is too small to count.
    """
    return torch.logsumexp(values, 0) - math.log(len(values))
