"""Processes that were started together: who they are, what they agree on, and how they end.

`torchrun --nproc-per-node 4 script.py` starts the script four times. A call of `train` in it is one
call of all four processes, the `Team`: see `vaelib.distributed`.
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
from torch import Generator, Tensor

STARTED = {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}  # set by torchrun


class Team(NamedTuple):
    """The processes that train one model; this one has the number `rank` of `size`, from 0."""

    rank: int = 0
    size: int = 1

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


ALONE = Team()
_on_its_own: ContextVar[bool] = ContextVar("on its own", default=False)
_calls = itertools.count()
_board: list[Any] = []  # where processes leave word for each other, once they are connected


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

    Without a GPU it is the CPU. Move the model there: `model.to(processes.device())`.
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
        if _told_before(call, str(us.rank)):
            _silence(error)
        raise


def _told_before(call: str, rank: str) -> bool:
    """Whether another process had an error in this call before this one; note that one has."""
    if not _board:
        return False
    try:
        return _board[0].compare_set(call, "", rank).decode() != rank
    except RuntimeError:  # the board is gone, and so is the first process
        return True


def _silence(silent: BaseException) -> None:
    """Have the interpreter print nothing if it ends by this error."""
    before = sys.excepthook

    def tell(kind: type, error: BaseException, *rest: object) -> None:
        if error is not silent:
            before(kind, error, *rest)

    sys.excepthook = tell
