"""What a training run carries from step to step, so that it can stop anywhere and go on."""

import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from vaelib import checkpoint
from vaelib.adam import Adam
from vaelib.checkpoint import Checkpoint, CheckpointError
from vaelib.elbo import ElboTerms
from vaelib.vae import LatentModel

STATE = {"generator", "order", "total", "step", "epochs", "elapsed"}  # and Adam's averages


class History(NamedTuple):
    """What a training run measured, one value per epoch, in nats per image.

    `train` has the terms of the objective, averaged while the weights moved; `test` (None without
    test images) those of the true ELBO at the epoch's end; `seconds` is the time since the start.
    With `state`, training can go on where this run ended: `train(…, resume=history)`.
    """

    train: ElboTerms
    test: ElboTerms | None
    seconds: Float[Tensor, " epoch"]
    state: Checkpoint | None = None


@dataclass
class Run:
    """A model in training: what moves it, and how far it has come.

    `order` has the images that the epoch has yet to visit, `total` the sums of the two terms over
    those that it has visited, `epochs` a row per epoch: two terms, two of the test, seconds.
    """

    model: LatentModel
    optimizer: Adam
    generator: Generator
    settings: dict[str, object]
    device: torch.device
    order: Tensor = field(init=False)
    total: Float[Tensor, "2"] = field(init=False)
    step: int = 0
    epochs: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.identity = uuid.uuid4().hex
        self.order = torch.empty(0, dtype=torch.int64, device=self.device)
        self.total = torch.zeros(2, dtype=torch.float32, device=self.device)
        self._began = time.perf_counter()

    @property
    def epoch(self) -> int:
        """The number of the epoch that is under way, from 1."""
        return len(self.epochs) + 1

    def order_of_epoch(self, images: int) -> Tensor:
        """The images that the epoch has yet to visit; a fresh order if it has just begun."""
        if not len(self.order):
            self.order = torch.randperm(images, generator=self.generator, device=self.device)
        return self.order

    def count(self, terms: ElboTerms) -> ElboTerms:
        """Note that a step was taken on the next images in order; its terms, without gradients."""
        terms = ElboTerms(*(term.detach() for term in terms))
        self.total += torch.stack(terms).sum(1)
        self.order = self.order[len(terms.kl) :]
        self.step = self.model.trained_steps = self.step + 1
        return terms

    def finish_epoch(self, images: int, test: ElboTerms | None) -> None:
        """Note the means over the epoch's `images`, and those over the test images."""
        tested = self.total * torch.nan if test is None else torch.stack(test)
        seconds = torch.tensor([time.perf_counter() - self._began], dtype=torch.float64)
        parts = self.total / images, tested
        self.epochs.append(torch.cat([*(part.cpu().double() for part in parts), seconds]))
        self.total = torch.zeros_like(self.total)

    def history(self) -> History:
        """What was measured so far, without the state."""
        columns = self._rows().float().T
        tested = self.settings["test_images"] != "none"
        test = ElboTerms(*columns[2:4]) if tested else None
        return History(ElboTerms(*columns[:2]), test, columns[4])

    def state(self) -> Checkpoint:
        """Where the run stands; what happens to the model afterwards does not change it."""
        weights = {name: value.clone() for name, value in self.model.state_dict().items()}
        description = checkpoint.description_of(self.model)
        return Checkpoint(description, weights, **self._rest())

    def save(self, path: str | Path) -> None:
        """Write the model and where the run stands to `path`; see `vaelib.checkpoint.save`."""
        checkpoint.save(self.model, path, **self._rest())

    def restore(self, state: Checkpoint) -> None:
        """Go to where another run stood; raise ValueError if it was begun with something else."""
        changed = sorted(
            f"{name} was {state.settings.get(name)}, now {now}"
            for name, now in self.settings.items()
            if state.settings.get(name) != now
        )
        changed += checkpoint.differences(self.model.state_dict(), state.weights)
        if changed:
            raise ValueError(
                "a run can only be resumed with what it was begun with:\n  " + "\n  ".join(changed)
            )
        self.model.load_state_dict(state.weights)
        self.identity = state.settings["run"]
        tensors = {name: value.clone() for name, value in state.tensors.items()}
        self._restore_optimizer(tensors)
        self.generator.set_state(tensors["generator"].cpu())
        self.order, self.total = tensors["order"].to(self.device), tensors["total"].to(self.device)
        self.step = self.model.trained_steps = int(tensors["step"])
        self.epochs = list(tensors["epochs"])
        self._began = time.perf_counter() - tensors["elapsed"].item()

    def _rows(self) -> Tensor:
        return torch.stack(self.epochs) if self.epochs else torch.zeros(0, 5, dtype=torch.float64)

    def _rest(self) -> dict[str, dict]:
        """What a checkpoint has besides the model."""
        averages = {
            f"adam.{number}.{name}": value
            for number, entry in self.optimizer.averages.items()
            for name, value in entry.items()
        }
        tensors = averages | {
            "generator": self.generator.get_state(),
            "order": self.order,
            "total": self.total,
            "step": torch.tensor(self.step),
            "epochs": self._rows(),
            "elapsed": torch.tensor(time.perf_counter() - self._began, dtype=torch.float64),
        }
        return dict(tensors=tensors, settings=self.settings | {"run": self.identity})

    def _restore_optimizer(self, tensors: dict[str, Tensor]) -> None:
        averages: dict[int, dict[str, Tensor]] = {}
        for name in tensors.keys() - STATE:
            _, number, average = name.split(".")
            averages.setdefault(int(number), {})[average] = tensors[name]
        self.optimizer.restore(averages)


def read_state(path: str | Path) -> Checkpoint:
    """What `Run.save` wrote to `path`: all that a run needs to go on exactly.

    Raises `CheckpointError` if the file is missing, damaged, or has a model but no run.
    """
    found = checkpoint.read_checkpoint(path)
    if lacking := STATE - found.tensors.keys():
        raise CheckpointError(
            f"{path} has a model but no run to resume ({', '.join(sorted(lacking))} missing); "
            "train writes such files where `save_to` says"
        )
    return found
