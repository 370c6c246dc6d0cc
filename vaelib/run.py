"""What a training run carries from step to step, so that it can stop anywhere and go on."""

import contextlib
import math
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.optim import Optimizer

from vaelib import checkpoint
from vaelib.checkpoint import CheckpointError
from vaelib.device import reading_waits
from vaelib.elbo import ElboTerms, elbo
from vaelib.vae import VAE

KEEP_EVERY = 100  # steps between two copies of parameters that gave a finite loss


class NonFiniteError(FloatingPointError):
    """A loss or a parameter stopped being a number; the message says where, and likely why."""


class InterruptedTraining(UserWarning):
    """Training was stopped before its last epoch; the message says how to go on."""


class State(NamedTuple):
    """Where a run stands between two steps: all that is needed to go on exactly from there.

    `weights` are the model's; `tensors` hold Adam's averages, the generator's state, the images
    that the epoch has yet to visit, the sums over those that it has visited, and the history;
    `settings` are what must not change meanwhile.
    """

    weights: dict[str, Tensor]
    tensors: dict[str, Tensor]
    settings: dict[str, object]


@dataclass
class Run:
    """A model in training: what moves it, and how far it has come.

    `order` holds the images that the epoch has yet to visit, `total` the sums of the two terms
    over those that it has; `train`, `test` and `seconds` have one entry for each finished epoch.
    """

    vae: VAE
    optimizer: Optimizer
    generator: Generator
    settings: dict[str, object]
    device: torch.device
    order: Tensor = field(init=False)
    total: Float[Tensor, "2"] = field(init=False)
    step: int = 0
    train: list[Tensor] = field(default_factory=list)
    test: list[Tensor] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.identity = uuid.uuid4().hex
        self._earlier = self.vae.trained_steps
        self.order = torch.empty(0, dtype=torch.int64, device=self.device)
        self.total = torch.zeros(2, device=self.device)
        self._began = time.perf_counter()
        self._keep()

    @property
    def epoch(self) -> int:
        """The number of the epoch that is under way, from 1."""
        return len(self.seconds) + 1

    def elapsed(self) -> float:
        """Seconds of training so far, those before a `restore` included."""
        return time.perf_counter() - self._began

    def count(self, terms: ElboTerms) -> None:
        """Note that a step was taken on the next images in order, with these terms."""
        self.total += torch.stack(terms).sum(1)
        self.order = self.order[len(terms.kl) :]
        self.step += 1

    def finish_epoch(self, images: int, test: ElboTerms | None) -> None:
        """Note the means over the epoch's `images`, and what was measured on test images."""
        self.train.append(self.total / images)
        self.total = torch.zeros_like(self.total)
        if test is not None:
            self.test.append(torch.stack(test))
        self.seconds.append(self.elapsed())

    def state(self) -> State:
        """Where the run stands, apart from the model, which may be changed afterwards."""
        weights = {name: value.clone() for name, value in self.vae.state_dict().items()}
        return State(weights, self._tensors(), self.settings | {"run": self.identity})

    def save(self, path: str | Path) -> None:
        """Write the model and where the run stands to `path`; see `vaelib.checkpoint.save`."""
        settings = self.settings | {"run": self.identity}
        checkpoint.save(self.vae, path, tensors=self._tensors(), settings=settings)

    def restore(self, state: State) -> None:
        """Go back to, or on from, where another run stood.

        Raises ValueError if that run was of another network, other images or other settings.
        """
        changed = sorted(
            f"{name} was {state.settings.get(name)}, now {now}"
            for name, now in self.settings.items()
            if state.settings.get(name) != now
        )
        changed += checkpoint.differences(self.vae.state_dict(), state.weights)
        if changed:
            raise ValueError(
                "a run can only be resumed as it was begun:\n  " + "\n  ".join(changed)
            )
        self.vae.load_state_dict(state.weights)
        self.identity = state.settings["run"]
        tensors = {name: value.clone() for name, value in state.tensors.items()}
        self._restore_optimizer(tensors)
        self.generator.set_state(tensors["generator"].cpu())
        self.order, self.total = tensors["order"].to(self.device), tensors["total"].to(self.device)
        self.step = int(tensors["step"])
        self.train = list(tensors["train"].to(self.device))
        self.test = list(tensors["test"].to(self.device))
        self.seconds = tensors["seconds"].tolist()
        self._began = time.perf_counter() - tensors["elapsed"].item()
        self._earlier, self.vae.trained_steps = 0, self.step
        self._keep()

    @torch.no_grad()
    def check(self, loss: Tensor, terms: ElboTerms, image: Tensor, noise: Tensor) -> None:
        """Raise `NonFiniteError` if the loss is no number, and go back to good parameters.

        These are the present ones if the bound that they give this batch is finite, else the
        last that were kept when they gave a finite loss. Raises ValueError if the objective did
        not return a term of each kind for each image.
        """
        shapes = tuple(terms.log_likelihood.shape), tuple(terms.kl.shape)
        if shapes != ((len(image),), (len(image),)):
            raise ValueError(
                f"expected an objective that returns terms of shape ({len(image)},), one value for "
                f"each image of the batch, got {shapes[0]} and {shapes[1]}"
            )
        if reading_waits(self.device) or math.isfinite(loss.item()):
            if self.step % KEEP_EVERY == 0 and not reading_waits(self.device):
                self.check_parameters()
                self._keep()
            self.vae.trained_steps = self._earlier + self.step + 1
            return
        self.check_parameters()
        finite = [bool(term.isfinite().all()) for term in terms]
        first = {
            (False, True): "the log-likelihood",
            (True, False): "the KL",
            (False, False): "log-likelihood and KL at once",
            (True, True): "the penalty on the decoder's parameters",
        }[tuple(finite)]
        self._give_up(self.step + 1, first, self._is_sound(image, noise))

    def check_epoch(self) -> None:
        """Raise as `check` does for what no step has looked at.

        These are the parameters after the last step and, on an accelerator, the whole epoch.
        """
        if reading_waits(self.device) and not self.total.isfinite().all():
            self._give_up(self.step, "log-likelihood or KL", sound=False)
        self.check_parameters()
        if reading_waits(self.device):
            self._keep()

    def check_parameters(self) -> None:
        """Raise `NonFiniteError` if the last step spoilt a parameter, and go back to good ones."""
        for name, value in self.vae.named_parameters():
            if not value.isfinite().all():
                self._give_up(self.step, f"the gradient of {name}", sound=False)

    def _give_up(self, step: int, first: str, sound: bool) -> None:
        at = self.step
        if not sound:
            at = self._kept_step
            for value, kept in zip(self.vae.state_dict().values(), self._kept, strict=True):
                value.copy_(kept)
        self.vae.trained_steps = self._earlier + at
        when = f"at step {step:,}" + (" or before" if reading_waits(self.device) else "")
        raise NonFiniteError(
            f"the loss is not a finite number in epoch {self.epoch}, {when}: {first} "
            f"went first. Likely causes: {CAUSES.get(first, CAUSES[None])} (The learning rate is "
            f"{self.settings['learning_rate']:g}; 0.001 is usual.) The model has its last good "
            f"parameters, those after step {at:,}. To try again, build a fresh model and change "
            "what was the cause."
        )

    def _is_sound(self, image: Tensor, noise: Tensor) -> bool:
        weights = all(value.isfinite().all() for value in self.vae.parameters())
        try:
            one = noise.reshape(-1, *noise.shape[-2:])[0]
            return bool(weights and elbo(self.vae, image, one).bound.isfinite().all())
        except ValueError:
            return False

    def _keep(self) -> None:
        with torch.no_grad():
            values = self.vae.state_dict().values()
            self._kept, self._kept_step = [value.clone() for value in values], self.step

    def _tensors(self) -> dict[str, Tensor]:
        moments = {
            f"adam.{number}.{name}": value
            for number, entry in self.optimizer.state_dict()["state"].items()
            for name, value in entry.items()
        }
        return moments | {
            "generator": self.generator.get_state(),
            "order": self.order,
            "total": self.total,
            "step": torch.tensor(self.step),
            "train": torch.stack(self.train) if self.train else torch.zeros(0, 2),
            "test": torch.stack(self.test) if self.test else torch.zeros(0, 2),
            "seconds": torch.tensor(self.seconds, dtype=torch.float64),
            "elapsed": torch.tensor(self.elapsed(), dtype=torch.float64),
        }

    def _restore_optimizer(self, tensors: dict[str, Tensor]) -> None:
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith("adam."):
                _, number, moment = name.split(".")
                moments.setdefault(int(number), {})[moment] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})


CAUSES = {
    "the KL": "exp(2 log σ) overflows once log σ exceeds 44 (in 32 bits): steps that are too "
    "large, or an objective that rewards a large σ.",
    "the log-likelihood": "logits or codes that overflow: steps that are too large, or a network "
    "or objective of your own that divides by zero or takes the log of it.",
    None: "steps that are too large, or a network or objective of your own that overflows.",
}


class Stop:
    """Whether somebody wants the run to end."""

    requested = False

    def during(self, callback: Callable[..., None] | None, *arguments: object) -> None:
        """Call `callback`, if there is one; a KeyboardInterrupt that it raises is a request."""
        try:
            if callback:
                callback(*arguments)
        except KeyboardInterrupt:
            self.requested = True


@contextlib.contextmanager
def interruptible() -> Iterator[Stop]:
    """Turn the first Ctrl-C (or stop button) into a request; a second one ends at once.

    Outside the main thread, where signals do not arrive, only callbacks can ask to stop.
    """
    stop, before = Stop(), signal.getsignal(signal.SIGINT)
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or before in (signal.SIG_IGN, None):
        yield stop
        return

    def request(number: int, frame: object) -> None:
        if stop.requested:
            raise KeyboardInterrupt
        stop.requested = True

    signal.signal(signal.SIGINT, request)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def read_state(path: str | Path) -> State:
    """The state that `Run.save` wrote to `path`.

    Raises `CheckpointError` if the file is no such checkpoint, or holds a model but no run.
    """
    vae, tensors, settings = checkpoint.load_run(path)
    expected = {"generator", "order", "total", "step", "train", "test", "seconds", "elapsed"}
    if lacking := expected - tensors.keys():
        raise CheckpointError(
            f"{path} holds a model but no run to resume ({', '.join(sorted(lacking))} missing); "
            "train writes such files where `save_to` says"
        )
    return State(dict(vae.state_dict()), tensors, settings)
