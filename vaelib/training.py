"""Maximise the bound: one loop, which returns what it made and prints nothing."""

import operator
import warnings
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from vaelib import checkpoint
from vaelib.adam import Adam
from vaelib.binarization import Protocol, protocol_named
from vaelib.checkpoint import Checkpoint, CheckpointError
from vaelib.data.files import digest
from vaelib.data.rows import Images, in_order, on_disk, some_of
from vaelib.device import generator_on, keep_freed_memory, standard_normal, without_autocast
from vaelib.distributed import sharing, stepper
from vaelib.elbo import ElboTerms, elbo
from vaelib.encoder import in_float32
from vaelib.evaluation import checked_rows, in_full_precision, is_narrow, mean_terms
from vaelib.guard import Guard, interruptible
from vaelib.objectives import Objective, at
from vaelib.processes import as_one, team
from vaelib.run import History, Run, read_state
from vaelib.schedule import Number, Progress, Schedule, value_at
from vaelib.vae import LatentModel


class InterruptedTraining(UserWarning):
    """Training was stopped before its last epoch; the message says how to go on."""


class Report(NamedTuple):
    """A step: its epoch and number, from 1, the batch's terms; at an epoch's end the history."""

    epoch: int
    step: int
    terms: ElboTerms
    history: History | None


@torch.inference_mode(mode=False)
@as_one
def train(
    model: LatentModel,
    images: Images,
    *,
    epochs: int = 10,
    batch_size: int = 100,
    learning_rate: Number | Schedule = 1e-3,
    objective: Objective = elbo,
    protocol: str | Protocol = "threshold",
    test_images: Images | None = None,
    generator: Generator | None = None,
    save_to: str | Path | None = None,
    resume: History | str | Path | None = None,
    watch: Callable[[Report], None] = lambda report: None,
) -> History:
    """Train `model` in place by Adam on the batch mean of −`objective`, and return the history.

    Each epoch visits all images once in a fresh order. `generator` decides order, binarization
    and latent noise, so one seed repeats a run exactly on one machine. `protocol` is a name or a
    function of `vaelib.binarization`, `objective` the ELBO or another of `vaelib.objectives`,
    `learning_rate` a number or a schedule. `test_images` are evaluated after every epoch, and
    `watch` gets a `Report` after every step. Gradients longer than `model.largest_gradient` are
    shortened to that norm. The run takes place where the model is, such as after
    `model.to("cuda")`: images go there as bytes, and no value is read back within an epoch. Images
    in a mapped `.npy` file, or at a path of one, are not loaded: batches are read from it. It is
    computed in the type of the model's weights, whatever autocast says; what is reported of a
    bfloat16 or float16 model is computed again in float32.

    Under torchrun, all processes train one model: see `vaelib.distributed`.

    **Stopping and going on.** Ctrl-C, a notebook's stop button, or a KeyboardInterrupt from
    `watch` ends training after the step under way; the history so far is returned, with a warning
    that says how to go on. `save_to` names a file that gets the run's state after every epoch.
    `resume`, a history or such a file, goes on to `epochs` in all, bit for bit as if the run had
    never stopped (without dropout, which draws from the global generator). If `resume` and
    `save_to` name one file that does not exist yet, a new run starts. Resuming checks that the
    settings are the same; it compares functions by name only.

    Raises what `vaelib.evaluation.checked_rows` raises; ValueError for a setting outside its
    range, a model that has been trained, a `save_to` that exists, and a run that was begun with
    other settings; `NonFiniteError` when the loss is infinite or NaN (the model keeps its last
    good parameters).
    """
    epochs, batch_size = map(operator.index, (epochs, batch_size))
    if min(epochs, batch_size) < 1:
        raise ValueError(f"expected at least 1 epoch and 1 image, got {epochs} and {batch_size}")
    stays, images = on_disk(images), checked_rows(model, images, protocol)
    if test_images is not None:
        test_images = checked_rows(model, test_images, protocol)
    learning_rate = learning_rate if callable(learning_rate) else float(learning_rate)
    binarize, save_to = protocol_named(protocol), _absolute(save_to)
    steps, like = epochs * -(-len(images) // batch_size), next(model.parameters())
    narrow = is_narrow(like)
    start = Progress(0, steps)
    scheduled = callable(learning_rate) or at(objective, start) != objective
    settings = dict(
        batch_size=batch_size,
        learning_rate=_described(learning_rate),
        schedule=f"over {epochs} epochs" if scheduled else "none",
        network=f"{checkpoint.description_of(model)} in {like.dtype}",
        objective=_described(objective),
        protocol=_described(binarize),
        images=_fingerprint(images),
        test_images=_fingerprint(test_images),
        device=like.device.type,
    )
    us = team()
    us.check_alike(settings)
    state = us.from_first(partial(_state_to_resume, model, resume, save_to))
    images = images if stays else images.to(like.device)
    generator = generator_on(like.device, generator)
    samples = [objective.samples] if hasattr(objective, "samples") else []
    optimizer = Adam(model.parameters())
    draw = dict(like=like, generator=generator)
    run = Run(model, optimizer, generator, settings, like.device)
    if state:
        run.restore(state)
    keep_freed_memory()
    tested = sharing(us)(partial(mean_terms, model, test_images, protocol=protocol))
    step, stopped = stepper(model, us), False
    precisely = without_autocast(like.device)  # which would keep its first copies of the weights
    with torch.enable_grad(), precisely, Guard(run) as guard, interruptible() as stop:
        while run.epoch <= epochs and not stopped:
            for pixels in in_order(images, run.order_of_epoch(len(images)), batch_size):
                epoch, history, now = run.epoch, None, Progress(run.step, steps)
                image = binarize(pixels, generator).to(like.dtype)
                noise = standard_normal(*samples, len(image), model.latent, **draw)
                terms, loss = step(at(objective, now), image, noise)
                guard.check(loss, terms, image, noise)
                optimizer.zero_grad()
                loss.backward()
                guard.shorten()
                if narrow:
                    terms = _exact(model, step, at(objective, now), image, noise)
                optimizer.step(value_at(learning_rate, now))
                terms = run.count(terms)
                if not len(run.order):
                    guard.check_epoch()
                    run.finish_epoch(len(images), None if test_images is None else tested())
                    _save(run, save_to)
                    history = run.history()
                try:
                    watch(Report(epoch, run.step, terms, history))
                except KeyboardInterrupt:
                    stop.requested = True
                if stopped := us.any(stop.requested):
                    break
    if run.epoch <= epochs:
        guard.check_epoch()
        file = f", or after a restart resume={str(save_to)!r}" if _save(run, save_to) else ""
        warnings.warn(
            f"training was stopped in epoch {run.epoch} after step {run.step:,}; the model is "
            "whole and keeps what it has learnt. To go on exactly from here, call train again with "
            f"resume=history, the history that this call returns{file}. To start over, build a "
            "fresh model.",
            InterruptedTraining,
            stacklevel=4,  # the decorators are between
        )
    return run.history()._replace(state=run.state())


@torch.no_grad()
def _exact(model: LatentModel, step: Callable, objective: Objective, *batch: Tensor) -> ElboTerms:
    """The terms of a model whose weights are narrower than float32, computed in float32."""
    with in_full_precision(model):
        return step(objective, *map(in_float32, batch))[0]


def _described(setting: object) -> str:
    """A setting in words that are the same in another process: a number, or a function's name."""
    if is_dataclass(setting):
        inner = (_described(getattr(setting, each.name)) for each in fields(setting))
        return f"{type(setting).__name__}({', '.join(inner)})"
    if isinstance(setting, partial):
        inner = (*map(_described, setting.args), *map(str, setting.keywords.items()))
        return f"{_described(setting.func)}({', '.join(inner)})"
    if callable(setting):
        return getattr(setting, "__qualname__", type(setting).__name__)
    return f"{setting:g}" if isinstance(setting, Number) else str(setting)


def _absolute(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path).expanduser().absolute()


def _fingerprint(rows: Tensor | None) -> str:
    return "none" if rows is None else f"{len(rows):,} with SHA-256 {digest({'': some_of(rows)})}"


def _state_to_resume(
    model: LatentModel, resume: History | str | Path | None, save_to: Path | None
) -> Checkpoint | None:
    if isinstance(resume, History) and resume.state is None:
        raise ValueError("this history has no state; give the one that `train` returned")
    if not isinstance(resume, History | str | Path | None):
        expected = "the history that `train` returned or the name of a file that save_to wrote"
        raise TypeError(f"expected resume to be {expected}, got {type(resume).__name__}")
    file = None if isinstance(resume, History) else _absolute(resume)
    state = resume.state if isinstance(resume, History) else None
    if file is not None and (file.exists() or file != save_to):
        state = read_state(file)
    if save_to is not None and save_to.is_dir():
        raise ValueError(f"save_to={str(save_to)!r} is a folder; expected the name of a file")
    if save_to is not None and save_to.exists() and not _holds(save_to, state):
        raise ValueError(
            f"{save_to} exists and would be overwritten. To go on with the run in it, give "
            f"resume={str(save_to)!r} too; to start over, delete it or choose another name"
        )
    if state is None and model.trained_steps:
        raise ValueError(
            f"this model has been trained for {model.trained_steps:,} steps. To start over, build "
            "a fresh one; to go on with an interrupted run, give its history as `resume`; to train "
            "it further with fresh averages of Adam, set model.trained_steps = 0 before"
        )
    return state


def _holds(path: Path, state: Checkpoint | None) -> bool:
    """Whether the file at `path` is of the run that stood at `state`."""
    try:
        return state is not None and read_state(path).settings["run"] == state.settings["run"]
    except CheckpointError:
        return False


def _save(run: Run, path: Path | None) -> bool:
    """Save, or warn and let the training go on: a full disk is no reason to lose it."""
    if path is None:
        return False
    try:
        run.save(path)
    except (OSError, CheckpointError, RuntimeError, ValueError, TypeError) as error:
        warnings.warn(f"{path} could not be written: {error}. Training goes on.", stacklevel=5)
        return False
    return True
