"""What to maximise instead of the plain ELBO: weighted, warmed up, other gradients, tighter.

Each is what `train` takes as `objective`: a function that maps a model, images and noise to the
bound's two terms for each image, in nats. To compare models, evaluate the ELBO itself, with
`vaelib.evaluation`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from vaelib.distributed import batch_mean
from vaelib.elbo import ElboTerms, elbo, log_mean_exp
from vaelib.schedule import Number, Progress, Schedule, value_at
from vaelib.vae import LatentModel

Objective = Callable[[LatentModel, Tensor, Tensor], ElboTerms]


@dataclass(frozen=True)
class Weighted:
    """An objective with its KL multiplied by β: E[log p(x|z)] − β·KL(q(z|x) ‖ p(z)).

    For β < 1 it is not a lower bound, for β > 1 a looser one. `beta` may be a schedule, such as
    `WarmUp(600)`. Higgins et al. 2017 (β-VAE), equation 4. Raises ValueError for β < 0, and for
    `ImportanceWeighted`, because its second term is not a KL.
    """

    beta: Number | Schedule
    objective: Objective = elbo

    def __post_init__(self) -> None:
        if not callable(self.beta) and not self.beta >= 0:
            raise ValueError(f"expected a β of at least 0, got {self.beta}")
        if isinstance(self.objective, ImportanceWeighted):
            raise ValueError(
                "expected an objective whose second term is a KL, such as elbo or "
                "path_derivative; in ImportanceWeighted it is not, so weighting it means nothing"
            )

    def at(self, progress: Progress) -> "Weighted":
        """The objective at this point of a run, with a β that is a number."""
        return Weighted(value_at(self.beta, progress), at(self.objective, progress))

    def __call__(self, model: LatentModel, image: Tensor, noise: Tensor) -> ElboTerms:
        if callable(self.beta):
            raise ValueError("this β is a schedule; take the objective .at(progress) of a run")
        terms = self.objective(model, image, noise)
        return terms._replace(kl=self.beta * terms.kl)


@dataclass(frozen=True)
class FreeBits:
    """The ELBO, in which a level of latents whose KL is below `nats` counts as `nats`.

    The KL is averaged over the batch. Below `nats` it has no gradient, so the level gains nothing
    by an even smaller KL. Kingma et al. 2016 ("Improved variational inference with inverse
    autoregressive flow"), equation 15, with levels in the place of groups. Raises ValueError for a
    negative number of nats.
    """

    nats: Number

    def __post_init__(self) -> None:
        if not self.nats >= 0:
            raise ValueError(f"expected at least 0 nats for each level, got {self.nats}")

    def __call__(self, model: LatentModel, image: Tensor, noise: Tensor) -> ElboTerms:
        levels, log_likelihood = model.infer(image, noise)
        costs = [level.kl for level in levels]
        raised = [cost + (self.nats - batch_mean(cost)).clamp(min=0) for cost in costs]
        return ElboTerms(log_likelihood, sum(raised))


def path_derivative(model: LatentModel, image: Tensor, noise: Tensor) -> ElboTerms:
    """The ELBO with both terms estimated from one latent, and without the score in its gradient.

    log q(z|x) is differentiated along z only, not along the μ and σ that say which q it is. What
    is left out is 0 on average. Without it, the encoder's gradient has no variance once q is the
    true posterior of a single level, because log p(x, z) − log q(z|x) is then the same for every z.
    Roeder, Wu & Duvenaud 2017 ("Sticking the landing"), equation 8.
    """
    return model.sampled_terms(image, noise, fixed=True)


@dataclass(frozen=True)
class ImportanceWeighted:
    """log of the mean of `samples` importance weights, a tighter bound than the ELBO.

    The noise is (sample, batch, latent). The terms are the log-likelihood, averaged over samples by
    their normalised weights, and what must be subtracted from it to get the bound. Burda, Grosse &
    Salakhutdinov 2016 (IWAE), equation 8. Raises ValueError for noise of another shape, and for
    fewer than one sample.
    """

    samples: int

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ValueError(f"expected at least 1 sample for the objective, got {self.samples}")

    def __call__(self, model: LatentModel, image: Tensor, noise: Tensor) -> ElboTerms:
        if noise.ndim != 3 or len(noise) != self.samples:
            raise ValueError(
                f"expected noise of shape ({self.samples}, {len(image)}, {model.latent}), "
                f"got {tuple(noise.shape)}"
            )
        terms = model.sampled_terms(image, noise)
        averaged = (terms.bound.softmax(0) * terms.log_likelihood).sum(0)
        return ElboTerms(averaged, averaged - log_mean_exp(terms.bound))


def at(objective: Objective, progress: Progress) -> Objective:
    """The objective as it is at this point of a run."""
    return objective.at(progress) if hasattr(objective, "at") else objective
