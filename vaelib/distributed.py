"""Several processes train one model, and their run is the one that a single process would make.

`torchrun --nproc-per-node 4 script.py` starts the script four times, and a call of `train` in it
becomes one run of all four. Every process draws the order, the pixels and the noise of the whole
batch from one seed, and computes its rows; `DistributedDataParallel` averages the gradients. So
nothing is drawn twice, and the number of processes changes nothing but how sums are rounded.
(Seeding all processes alike, and letting each draw for its own rows, gives all of them the same
noise: Lightning's issues 7233 and 17713, threestudio's 195.)
"""

import atexit
import contextlib
import functools
import itertools
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Generator, Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from vaelib.elbo import ElboTerms

STARTED = {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}  # set by torchrun


class Team(NamedTuple):
    """The processes that train one model; this one has the number `rank` of `size`, from 0."""

    rank: int = 0
    size: int = 1

    def share(self, batch: int) -> slice:
        """The rows of a batch that this process computes; two processes' differ by at most one.

        A batch with fewer rows than processes is computed by each process as a whole.
        """
        if batch < self.size:
            return slice(0, batch)
        return slice(batch * self.rank // self.size, batch * (self.rank + 1) // self.size)

    def weight(self, batch: int) -> float:
        """What the mean over this process's rows adds to the batch's mean, as a factor of it."""
        rows = self.share(batch)
        return 1 / self.size if batch < self.size else (rows.stop - rows.start) / batch

    def placed(self, part: Tensor, batch: int) -> Tensor:
        """The values of own rows among zeros for the rows of others, along the last dimension."""
        found = part.new_zeros(*part.shape[:-1], batch)
        if self.rank == 0 or batch >= self.size:
            found[..., self.share(batch)] = part.detach()
        return found

    def any(self, flag: bool) -> bool:
        """Whether `flag` is set in any process. The hosts agree; no accelerator is waited for."""
        return flag if self.size == 1 else summed(torch.tensor(int(flag))).item() > 0

    def from_first(self, make: Callable[[], Any]) -> Any:
        """What `make` returns or raises in the first process, which alone calls it."""
        if self.size == 1:
            return make()
        answer: list[Any] = [None, None]
        if self.rank == 0:
            try:
                answer[0] = make()
            except Exception as error:
                answer[1] = error
        dist.broadcast_object_list(answer)
        if answer[1] is not None:
            raise answer[1]
        return answer[0]

    def gathered(self, some: list) -> list:
        """The lists of all processes, joined in the order of their numbers."""
        if self.size == 1:
            return some
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, some)
        return [each for part in found for each in part]

    def check_alike(self, settings: Mapping[str, object]) -> None:
        """Raise ValueError, in every process, unless all were given the same settings."""
        found = self.gathered([settings])
        differ = [
            f"{name} is {theirs[name]} in process {rank}, but {ours} in process 0"
            for rank, theirs in enumerate(found)
            for name, ours in found[0].items()
            if theirs[name] != ours
        ]
        if differ:
            raise ValueError(
                "the processes of one run were given different things. Give each of them the same "
                "settings and all images; it takes its rows of every batch itself:\n  "
                + "\n  ".join(differ)
            )

    def stepper(self, model: nn.Module) -> Callable[..., tuple[ElboTerms, Tensor]]:
        """A function of objective, image and noise: the batch's terms, and its loss.

        `backward` gives every process the gradient of the whole batch's loss.
        """
        if self.size == 1:
            return functools.partial(_alone, model)
        return functools.partial(
            self._step, DistributedDataParallel(_Loss(model), static_graph=True)
        )

    def _step(
        self, losses: nn.Module, objective: Callable, image: Tensor, noise: Tensor
    ) -> tuple[ElboTerms, Tensor]:
        batch, weight = len(image), self.weight(len(image))
        with self.sharing():
            loss, *terms = losses(objective, *own_rows(image, noise))
            if any(term.shape != own_rows(image)[0].shape[:1] for term in terms):
                return ElboTerms(*terms), loss  # which the guard refuses, in every process
        local = [self.placed(torch.stack(terms), batch).flatten(), weight * loss.detach()[None]]
        *terms, total = summed(torch.cat(local)).split([batch, batch, 1])
        # DDP averages over processes. The value is that of the whole batch.
        loss = loss * (weight * self.size)
        return ElboTerms(*terms), loss + (total[0] - loss.detach())

    @contextlib.contextmanager
    def sharing(self) -> Iterator[None]:
        """Inside the `with` block, each process computes its rows: see `own_rows` and `whole`."""
        token = _sharing.set(self)
        try:
            yield
        finally:
            _sharing.reset(token)


ALONE = Team()
_sharing: ContextVar[Team] = ContextVar("sharing", default=ALONE)
_on_its_own: ContextVar[bool] = ContextVar("on its own", default=False)
_calls = itertools.count()


class _Loss(nn.Module):
    """A loss and its terms as a module's output, since DDP averages what passes through one."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, objective: Callable, image: Tensor, noise: Tensor) -> tuple[Tensor, ...]:
        terms = objective(self.model, image, noise)
        return (terms.loss, *terms)


def _alone(
    model: nn.Module, objective: Callable, image: Tensor, noise: Tensor
) -> tuple[ElboTerms, Tensor]:
    terms = objective(model, image, noise)
    return terms, terms.loss


def own_rows(image: Tensor, noise: Tensor | None = None) -> list[Tensor]:
    """The rows of a batch that this process computes: all of them, unless a team is `sharing`."""
    rows = _sharing.get().share(len(image))
    return [image[rows]] if noise is None else [image[rows], noise[..., rows, :]]


def whole(part: Tensor, batch: int) -> Tensor:
    """The values of all rows of a batch, last dimension, from those of each process's own rows."""
    team = _sharing.get()
    return part if team.size == 1 else summed(team.placed(part, batch))


def batch_mean(values: Tensor) -> Tensor:
    """The mean over the whole batch of `values`, one for each of this process's own rows.

    An objective that needs such a mean takes it from here; otherwise it is that of few rows.
    """
    if _sharing.get().size == 1:
        return values.mean()
    count = summed(torch.tensor(float(len(values)), device=values.device))
    return _Sum.apply(values.sum()) / count


class _Sum(torch.autograd.Function):
    """The sum of a value over processes. Each process's loss depends on it, so gradients add up."""

    @staticmethod
    def forward(context: Any, value: Tensor) -> Tensor:
        return summed(value.clone())

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        return summed(gradient.clone())


def summed(value: Tensor) -> Tensor:
    """`value`, after the other processes' values were added to it."""
    dist.all_reduce(value)
    return value


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Inside the `with` block, each process trains a model of its own, such as one of its seed."""
    token = _on_its_own.set(True)
    try:
        yield
    finally:
        _on_its_own.reset(token)


def device() -> torch.device:
    """The device of this process: under torchrun, each process of a machine has a GPU of its own.

    Without a GPU it is the CPU. Move the model there: `model.to(distributed.device())`.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))


def is_first() -> bool:
    """Whether this process prints and writes: under torchrun, only one of them does."""
    return team().rank == 0


def team() -> Team:
    """The processes that were started together, which are connected at the first call.

    It is this process alone if torchrun did not start it, and inside `alone()`.
    """
    if _on_its_own.get() or not dist.is_available():
        return ALONE
    if not dist.is_initialized():
        if not os.environ.keys() >= STARTED or int(os.environ["WORLD_SIZE"]) == 1:
            return ALONE
        _connect()
    return Team(dist.get_rank(), dist.get_world_size())


def _connect() -> None:
    store, rank, size = next(dist.rendezvous("env://"))
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    _board.append(dist.PrefixStore("vaelib", store))
    dist.init_process_group(backend, store=store, rank=rank, world_size=size)
    atexit.register(dist.destroy_process_group)


_board: list[dist.Store] = []  # where processes leave word for each other, once they are connected


def as_one(train: Callable) -> Callable:
    """`train`, whose call in every process of a team is one run, that of the first process.

    The first process's generator and settings for files count, it alone calls `watch`, warns, and
    writes. An error in one process ends all, and the process that had it first prints it.
    """

    @functools.wraps(train)
    def called(*args: object, **settings: Any) -> object:
        us = team()
        if us.size == 1:
            return train(*args, **settings)
        with _told_once(us), warnings.catch_warnings():
            if us.rank:
                warnings.simplefilter("ignore")
                settings |= dict(save_to=None, watch=lambda report: None)
            with _one_generator(us, settings.get("generator")) as generator:
                return train(*args, **settings | dict(generator=generator))

    return called


@contextlib.contextmanager
def _one_generator(us: Team, given: Generator | None) -> Iterator[Generator | None]:
    """A twin of the first process's generator; `given` gets its state at the end.

    The other processes' global generators, from which dropout draws, are seeded apart.
    """
    if not isinstance(given, Generator | None):
        yield given  # which `train` refuses
        return
    given = given or torch.default_generator
    twin = Generator(given.device)
    twin.set_state(us.from_first(given.get_state))
    if us.rank:
        torch.manual_seed(torch.randint(2**62, ()).item() + us.rank)
    try:
        yield twin
    finally:
        given.set_state(twin.get_state())


@contextlib.contextmanager
def _told_once(us: Team) -> Iterator[None]:
    """Let an error end this process without a word if another process had one before."""
    call = f"error in call {next(_calls)}"
    try:
        yield
    except BaseException as error:
        with contextlib.suppress(RuntimeError):  # the board is gone, and so is the first process
            first = _board and _board[0].compare_set(call, "", str(us.rank)).decode()
            if first == str(us.rank):
                raise
        _silence(error)
        raise


def _silence(silent: BaseException) -> None:
    """Have the interpreter print nothing if it ends by this error."""
    before = sys.excepthook

    def tell(kind: type, error: BaseException, *rest: object) -> None:
        if error is not silent:
            before(kind, error, *rest)

    sys.excepthook = tell
