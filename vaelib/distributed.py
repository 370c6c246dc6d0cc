"""Several processes train one model, and their run is the one that a single process would make.

Every process draws the order, the pixels and the noise of the whole batch from one seed, and
computes its rows; `DistributedDataParallel` averages the gradients. So nothing is drawn twice, and
the number of processes changes nothing but how sums are rounded. (Seeding all processes alike, and
letting each draw for its own rows, gives all of them the same noise: Lightning's issues 7233 and
17713, threestudio's 195.)
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from vaelib.elbo import ElboTerms
from vaelib.processes import ALONE, Team, summed

_sharing: ContextVar[Team] = ContextVar("sharing", default=ALONE)


def share(batch: int, team: Team) -> slice:
    """The rows of a batch that this process computes; two processes' differ by at most one.

    A batch with fewer rows than processes is computed by each process as a whole.
    """
    if batch < team.size:
        return slice(0, batch)
    return slice(batch * team.rank // team.size, batch * (team.rank + 1) // team.size)


def weight(batch: int, team: Team) -> float:
    """What the mean over this process's rows adds to the batch's mean, as a factor of it."""
    rows = share(batch, team)
    return 1 / team.size if batch < team.size else (rows.stop - rows.start) / batch


@contextlib.contextmanager
def sharing(team: Team) -> Iterator[None]:
    """Inside the `with` block, each process computes its rows: see `own_rows` and `whole`."""
    token = _sharing.set(team)
    try:
        yield
    finally:
        _sharing.reset(token)


def own_rows(image: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """The rows of a batch that this process computes: all of them, unless a team is `sharing`."""
    rows = share(len(image), _sharing.get())
    return image[rows], noise[..., rows, :]


def whole(part: Tensor, batch: int) -> Tensor:
    """The values of all rows of a batch, last dimension, from those of each process's own rows."""
    team = _sharing.get()
    return part if team.size == 1 else summed(_placed(part, batch, team))


def batch_mean(values: Tensor) -> Tensor:
    """The mean over the whole batch of `values`, one for each of this process's own rows.

    An objective that needs such a mean takes it from here; otherwise it is that of few rows.
    """
    if _sharing.get().size == 1:
        return values.mean()
    count = summed(torch.tensor(float(len(values)), device=values.device))
    return _Sum.apply(values.sum()) / count


def stepper(model: nn.Module, team: Team) -> Callable[..., tuple[ElboTerms, Tensor]]:
    """A function of objective, image and noise: the batch's terms, and its loss.

    `backward` gives every process the gradient of the whole batch's loss.
    """
    if team.size == 1:
        return functools.partial(_alone, model)
    # Static: in every step the same parameters have a gradient, so DDP need not search for them.
    losses = DistributedDataParallel(_Loss(model), static_graph=True)
    return functools.partial(_together, losses, team)


def _alone(
    model: nn.Module, objective: Callable, image: Tensor, noise: Tensor
) -> tuple[ElboTerms, Tensor]:
    terms = objective(model, image, noise)
    return terms, terms.loss


def _together(
    losses: nn.Module, team: Team, objective: Callable, image: Tensor, noise: Tensor
) -> tuple[ElboTerms, Tensor]:
    batch, factor = len(image), weight(len(image), team)
    with sharing(team):
        image, noise = own_rows(image, noise)
        loss, *terms = losses(objective, image, noise)
    if any(term.shape != image.shape[:1] for term in terms):
        return ElboTerms(*terms), loss  # which the guard refuses, in every process
    values = _placed(torch.stack(terms), batch, team).flatten()
    values = summed(torch.cat([values, factor * loss.detach()[None]]))
    *terms, total = values.split([batch, batch, 1])
    # The mean that DDP takes over processes gives the gradient; the value is the whole batch's.
    loss = loss * (factor * team.size)
    return ElboTerms(*terms), loss + (total[0] - loss.detach())


class _Loss(nn.Module):
    """A loss and its terms as a module's output, since DDP averages what passes through one."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, objective: Callable, image: Tensor, noise: Tensor) -> tuple[Tensor, ...]:
        terms = objective(self.model, image, noise)
        return (terms.loss, *terms)


class _Sum(torch.autograd.Function):
    """The sum of a value over processes. Each process's loss depends on it, so gradients add up."""

    @staticmethod
    def forward(context: Any, value: Tensor) -> Tensor:
        return summed(value.clone())

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        return summed(gradient.clone())


def _placed(part: Tensor, batch: int, team: Team) -> Tensor:
    """The values of own rows among zeros for the rows of others, along the last dimension."""
    found = part.new_zeros(*part.shape[:-1], batch)
    if team.rank == 0 or batch >= team.size:
        found[..., share(batch, team)] = part.detach()
    return found
