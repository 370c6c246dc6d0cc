"""What a trained model's latents carry, how they fill the latent space, and a prior fitted to them.

q(z), the aggregate posterior, is the average of q(z|x) over a set of images.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from vaelib.elbo import kl, log_mean_exp, log_ratio
from vaelib.encoder import Gaussian, check_rows, reparameterize

AT_ONCE = 2_000_000  # log densities held in memory: 16 MB, which stay in a cache
LEAST_VARIANCE = 1e-3  # added to every variance, so that no component shrinks to a point

Latents = Float[Tensor, "sample latent"]


def active_units(
    mean: Float[Tensor, "image latent"], threshold: float = 0.01
) -> Bool[Tensor, " latent"]:
    """Which latent dimensions vary with the image: Var_x(E[z|x]) > `threshold`.

    Burda, Grosse & Salakhutdinov 2016, section 5.2. Raises ValueError for fewer than two images.
    """
    if len(mean) < 2:
        raise ValueError(f"a variance over images needs at least 2 of them, got {len(mean)}")
    return mean.var(0) > threshold


def log_prior(latent: Latents) -> Float[Tensor, " sample"]:
    """log p(z) of each latent in nats, for the prior N(0, I)."""
    return -0.5 * (latent.square() + math.log(2 * math.pi)).sum(-1)


def aggregate_log_density(posterior: Gaussian, latent: Latents) -> Float[Tensor, " sample"]:
    """log q(z) of each latent in nats, where q(z) averages the q(z|x) of all images in `posterior`.

    Computed in float64, in memory that does not grow with the number of latents. Raises ValueError
    for latents of another size than those of `posterior`.
    """
    mean, log_std = (value.double() for value in posterior)
    check_rows("latents", latent, mean.shape[1])
    # log N(z; μ, σ²) = z²·(−½/σ²) + z·(μ/σ²) + constant: for all pairs, one matrix product.
    precision = (-2 * log_std).exp()
    factors = torch.cat([-0.5 * precision, mean * precision], 1).T
    constant = log_prior(mean * precision.sqrt()) - log_std.sum(1)
    parts = [
        log_mean_exp((torch.cat([z.square(), z], 1) @ factors + constant).T)
        for z in latent.double().split(max(1, AT_ONCE // len(mean)))
    ]
    return torch.cat(parts).to(latent.dtype)


class RateSplit(NamedTuple):
    """The rate in nats per image, and the two parts that add up to it.

    `standard_error` is that of each part, with both the chosen images and the noise random.
    """

    rate: float
    mutual_information: float
    marginal_kl: float
    standard_error: float


def rate_split(posterior: Gaussian, noise: Latents) -> RateSplit:
    """The rate as I(x; z) + KL(q(z) ‖ p(z)), with the images of `posterior` as all there are.

    With N images, I(x; z) is at most log N. `noise` ~ N(0, I) draws one latent for each of as many
    images, evenly spaced among all. The rate is exact, I(x; z) the average of
    log q(z|x) − log q(z), and the KL the difference. Hoffman & Johnson 2016 ("ELBO surgery").
    Raises ValueError for fewer than two rows of noise, more rows than images, or another size.
    """
    images, count = len(posterior.mean), len(noise)
    check_rows("noise", noise, posterior.mean.shape[1])
    if not 2 <= count <= images:
        raise ValueError(f"expected 2 to {images} rows of noise, for {images} images, got {count}")
    chosen = torch.arange(count) * images // count
    some = Gaussian(*(value[chosen] for value in posterior))
    latent = reparameterize(some, noise)
    own = log_ratio(some, latent) + log_prior(latent)
    gained = (own - aggregate_log_density(posterior, latent)).double()
    rate, information = kl(posterior).double().mean().item(), gained.mean().item()
    error = gained.std().item() / math.sqrt(count)
    return RateSplit(rate, information, rate - information, error)


class Mixture(NamedTuple):
    """A mixture of Gaussians in float64, each with its own covariance; the weights add up to 1."""

    weight: Float[Tensor, " component"]
    mean: Float[Tensor, "component latent"]
    covariance: Float[Tensor, "component latent latent"]

    def log_prob(self, latent: Latents) -> Float[Tensor, " sample"]:
        """log density of each latent in nats. Raises ValueError for latents of another size."""
        check_rows("latents", latent, self.mean.shape[1])
        wide = latent.double()
        return torch.logsumexp(self._log_joint(wide, _products(wide)), 1).to(latent.dtype)

    def draw(self, uniform: Float[Tensor, " sample"], noise: Latents) -> Latents:
        """Latents: `uniform` ~ Uniform[0, 1) picks the component, `noise` ~ N(0, I) the place."""
        bounds = self.weight.cumsum(0)[:-1]  # the last component takes what is above
        chosen = torch.searchsorted(bounds, uniform.double(), right=True)
        shape = torch.linalg.cholesky(self.covariance)[chosen]
        moved = (shape @ noise.double()[..., None])[..., 0]
        return (self.mean[chosen] + moved).to(noise.dtype)

    def _log_joint(self, latent: Tensor, products: Tensor) -> Float[Tensor, "sample component"]:
        """log of weight times density, from latents and their products of pairs, in float64."""
        precision = torch.linalg.inv(self.covariance)
        pull = (precision @ self.mean[..., None])[..., 0]
        distance = products @ precision.flatten(1).T - 2 * latent @ pull.T
        distance = distance + (self.mean * pull).sum(1)
        return self.weight.log() - 0.5 * (distance + torch.logdet(2 * math.pi * self.covariance))


def fit_mixture(
    latent: Latents, components: int, *, steps: int = 20, generator: Generator
) -> Mixture:
    """A mixture fitted to latents by `steps` of expectation–maximization.

    Each step shares every latent among the components, in proportion to weight times density, and
    then gives each component the total, mean and covariance of its shares (Bishop 2006, section
    9.2.2). It starts at latents that `generator` picks, with the covariance of all. Raises
    ValueError for fewer than one component, one step or two latents, or fewer latents than
    components.
    """
    count, size = latent.shape
    if components < 1 or steps < 1 or count < max(2, components):
        raise ValueError(
            "expected at least 1 component, 1 step, 2 latents, and a latent for each component; "
            f"got {components} components, {steps} steps and {count} latents"
        )
    latent = latent.double()
    products, floor = _products(latent), LEAST_VARIANCE * torch.eye(size).double()
    start = latent[torch.randperm(count, generator=generator)[:components]]
    spread = torch.cov(latent.T).reshape(size, size) + floor
    equal = torch.full((components,), 1 / components).double()
    mixture = Mixture(equal, start, spread.expand(components, size, size))
    for _ in range(steps):
        share = mixture._log_joint(latent, products).softmax(1)
        total = share.sum(0).clamp(min=1e-6)
        mean = (share.T @ latent) / total[:, None]
        second = ((share.T @ products) / total[:, None]).unflatten(1, (size, size))
        covariance = second - mean[:, :, None] * mean[:, None, :] + floor
        mixture = Mixture(total / total.sum(), mean, covariance)
    return mixture


def _products(latent: Latents) -> Float[Tensor, "sample pair"]:
    """All products of two entries of each latent."""
    return (latent[:, :, None] * latent[:, None, :]).flatten(1)
