"""Maximise the bound: one loop, which returns what it made and prints nothing."""

import operator
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Generator, Tensor

from vaelib import checkpoint
from vaelib.binarization import by_threshold, dynamically
from vaelib.checkpoint import CheckpointError
from vaelib.device import generator_on, keep_freed_memory
from vaelib.elbo import ElboTerms, elbo
from vaelib.files import digest
from vaelib.objectives import Objective
from vaelib.run import InterruptedTraining, Run, State, interruptible, read_state
from vaelib.vae import VAE, evaluating

Binarize = Callable[[Tensor, Generator | None], Tensor]


class History(NamedTuple):
    """What a training run measured, one value per epoch, in nats per image.

    `train` holds the terms of the objective, averaged over the epoch's images while the weights
    moved; `test` (None without test images) those of the true ELBO, as `mean_terms` measures
    them at the epoch's end; `seconds` is the time since the start. With `state`, `train` can go
    on where this run ended: give it the history as `resume`.
    """

    train: ElboTerms
    test: ElboTerms | None
    seconds: Float[Tensor, " epoch"]
    state: State | None = None


def train(
    vae: VAE,
    images: UInt8[Tensor, "image pixel"],
    *,
    epochs: int = 10,
    batch_size: int = 100,
    learning_rate: float = 1e-3,
    binarize: Binarize = by_threshold,
    objective: Objective = elbo,
    samples: int | None = None,
    decoder_penalty: float = 0.0,
    schedule: Callable[[float], float] | None = None,
    test_images: UInt8[Tensor, "test pixel"] | None = None,
    device: str | torch.device | None = None,
    generator: Generator | None = None,
    save_to: str | Path | None = None,
    save_every: int = 1,
    resume: History | str | Path | None = None,
    further: bool = False,
    on_step: Callable[[int, ElboTerms], None] | None = None,
    on_epoch: Callable[[int, History], None] | None = None,
) -> History:
    """Train `vae` in place by Adam on the batch mean of −`objective`, and return the history.

    Each epoch visits all images once in a fresh order. The loss adds `decoder_penalty` · Σθ²
    over the decoder's parameters (the blog post has 0.01). `generator` decides order,
    binarization and latent noise, so one seed repeats a run exactly on one machine.

    `objective` is the ELBO or another of `vaelib.objectives`; its noise is of shape
    (batch, latent), or (samples, batch, latent) where `samples` is given. `schedule` says by
    which factor the learning rate is multiplied when a fraction from 0 to 1 of the run is done,
    such as `to_zero`.

    `device`, such as "cuda" or "mps", is where to train; it is where the model is unless given.
    The model is moved there and stays, and so are all the images, as bytes, for the time of the
    call. On an accelerator values are read once an epoch, so that in between neither waits for
    the other; a loss that is no number is then found at the epoch's end.

    `on_step(step, terms)` follows every step with the batch's terms, `on_epoch(epoch, history)`
    every epoch with the history so far; both count from 1.

    **Stopping and going on.** Ctrl-C, a notebook's stop button, or a KeyboardInterrupt from a
    callback ends training after the step under way; the history so far is returned, with a
    warning that says how to go on. `resume`, a history or a file that `save_to` wrote, puts
    weights, Adam's averages and the generator back and goes on to `epochs` in all, bit for bit
    as if it had never stopped. `save_to` names a file that gets the run's state after every
    `save_every` epochs and at the end; with `resume` the same and no such file yet, the run
    begins. A model that has been trained is trained `further`, with fresh averages, only if you
    say so. (What a run was begun with is compared when it is resumed, images and networks
    included; functions by their names alone. A network of one's own that draws from the global
    generator, as dropout does, is not repeated exactly.)

    Raises TypeError unless images are uint8; ValueError for images of another shape, a
    binarization that leaves grey, a setting outside its range, a model that has been trained, a
    `save_to` that exists, and a run to resume that was begun differently; `CheckpointError` if
    `save_to` is given for a model that could not be loaded again; `NonFiniteError` when the loss
    stops being a number (the model keeps its last good parameters).
    """
    check_pixels(images, vae.pixels, binarize)
    if test_images is not None:
        check_pixels(test_images, vae.pixels, binarize)
    epochs, batch_size, save_every = map(operator.index, (epochs, batch_size, save_every))
    if min(epochs, batch_size, save_every) < 1 or decoder_penalty < 0:
        raise ValueError(
            "expected epochs, batch_size and save_every of at least 1 and a decoder_penalty of at "
            f"least 0, got {epochs}, {batch_size}, {save_every} and {decoder_penalty}"
        )
    save_to = _check_target(vae, save_to)
    device = torch.device(device or next(vae.parameters()).device)
    if samples is not None and (samples := operator.index(samples)) < 1:
        raise ValueError(f"expected at least 1 sample for the objective, got {samples}")
    settings = dict(
        batch_size=batch_size,
        learning_rate=float(learning_rate),
        decoder_penalty=float(decoder_penalty),
        network=_describe(vae),
        objective=_name(objective),
        binarize=_name(binarize),
        images=_fingerprint(images),
        test_images=_fingerprint(test_images),
        device=device.type,
        samples=samples,
        schedule=f"{_name(schedule)} over {epochs} epochs" if schedule else None,
    )
    state = _state_to_resume(vae, resume, save_to, further)
    vae.to(device)
    images = images.to(device)
    test_images = None if test_images is None else test_images.to(device)
    keep_freed_memory()
    generator = generator_on(device, generator)
    draw = dict(generator=generator, device=device)
    dtype = next(vae.parameters()).dtype
    fused = device.type in ("cpu", "cuda") or None  # None lets PyTorch choose
    optimizer = torch.optim.Adam(vae.parameters(), lr=float(learning_rate), fused=fused)
    run = Run(vae, optimizer, generator, settings, device)
    if state:
        run.restore(state)
    leading = () if samples is None else (samples,)
    steps = epochs * -(-len(images) // batch_size)

    with interruptible() as stop:
        while run.epoch <= epochs and not stop.requested:
            if not len(run.order):
                run.order = torch.randperm(len(images), **draw)
            for pixels in images.index_select(0, run.order).split(batch_size):
                image = binarize(pixels, generator).to(dtype)
                noise = torch.randn(*leading, len(image), vae.latent, dtype=dtype, **draw)
                terms = objective(vae, image, noise)
                loss = -terms.bound.mean()
                if decoder_penalty:
                    loss = loss + decoder_penalty * sum_of_squares(vae.decoder.parameters())
                run.check(loss, terms, image, noise)
                optimizer.zero_grad()
                loss.backward()
                if schedule:
                    _set_rate(optimizer, float(learning_rate) * schedule(run.step / steps))
                optimizer.step()
                terms = ElboTerms(*(term.detach() for term in terms))
                run.count(terms)
                stop.during(on_step, run.step, terms)
                if stop.requested:
                    break
            run.check_epoch()
            if len(run.order):
                break
            tested = None
            if test_images is not None:
                tested = _means(_evaluate(vae, test_images, binarize))
            run.finish_epoch(len(images), tested)
            if save_to and (len(run.seconds) % save_every == 0 or len(run.seconds) == epochs):
                _save(run, save_to)
            stop.during(on_epoch, len(run.seconds), _history(run))
        if stop.requested and run.epoch <= epochs:
            saved = save_to is not None and _save(run, save_to)
            how = _how_to_go_on(run, save_to if saved else None)
            warnings.warn(how, InterruptedTraining, stacklevel=2)
    return _history(run)._replace(state=run.state())


def to_zero(fraction: float) -> float:
    """A schedule that lets the learning rate fall to 0 along a straight line."""
    return 1 - fraction


def _set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


def evaluate(
    vae: VAE,
    images: UInt8[Tensor, "image pixel"],
    *,
    binarize: Binarize = by_threshold,
    batch_size: int = 1000,
    generator: Generator | None = None,
) -> ElboTerms:
    """The bound's terms for each image of a data set, from one latent sample each, in nats.

    Computed where the model is. Without a `generator` the noise is that of seed 0, so that two
    epochs of one model, or two models with the same latent size, meet the same noise (given the
    same batch size and binarization, since noise is drawn batch by batch). Raises TypeError
    unless images are uint8, ValueError for images of another shape and a binarization that
    leaves grey.
    """
    check_pixels(images, vae.pixels, binarize)
    return _evaluate(vae, images, binarize, batch_size, generator)


@torch.no_grad()
def _evaluate(
    vae: VAE,
    images: Tensor,
    binarize: Binarize,
    batch_size: int = 1000,
    generator: Generator | None = None,
) -> ElboTerms:
    like, parts = next(vae.parameters()), []
    generator = generator_on(like.device, generator or Generator().manual_seed(0))
    draw = dict(generator=generator, device=like.device, dtype=like.dtype)
    keep_freed_memory()
    with evaluating(vae):
        for pixels in images.to(like.device).split(batch_size):
            image = binarize(pixels, generator).to(like.dtype)
            noise = torch.randn(len(pixels), vae.latent, **draw)
            parts.append(elbo(vae, image, noise))
    return ElboTerms(*(torch.cat(terms) for terms in zip(*parts, strict=True)))


def mean_terms(vae: VAE, images: UInt8[Tensor, "image pixel"], **settings: object) -> ElboTerms:
    """The bound's terms averaged over the images of a data set, in nats; as `evaluate`."""
    return _means(evaluate(vae, images, **settings))


def _means(terms: ElboTerms) -> ElboTerms:
    return ElboTerms(*(term.mean() for term in terms))


def sum_of_squares(parameters: Iterable[Tensor]) -> Float[Tensor, ""]:
    """Σθ² over all values of all `parameters`."""
    return torch.stack([parameter.square().sum() for parameter in parameters]).sum()


def throttle(callback: Callable[..., None], *, seconds: float = 10.0) -> Callable[..., None]:
    """`callback`, run on the first call and then at most once in `seconds`; other calls do nothing.

    What the blog post does to its progress report (Flux's `throttle(f, 10)`).
    """
    last = -float("inf")

    def throttled(*args: object) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= seconds:
            last = now
            callback(*args)

    return throttled


def check_pixels(images: Tensor, pixels: int, binarize: Binarize = by_threshold) -> None:
    """Raise unless `images` are uint8 rows of `pixels` values that `binarize` makes 0 or 1.

    A binarization of one's own is tried on every image, once, with noise of its own.
    """
    if images.dtype != torch.uint8:
        raise TypeError(
            f"expected images as uint8 from 0 to 255, got {images.dtype}; give them as "
            "vaelib.data.load does, they are binarized batch by batch"
        )
    if images.ndim != 2 or images.shape[1] != pixels or not len(images):
        raise ValueError(
            f"expected images of shape (image, {pixels}), one row each, got {tuple(images.shape)}"
        )
    if binarize in (by_threshold, dynamically):
        return
    generator = Generator(images.device).manual_seed(0)
    for some in images.split(1000):
        grey = binarize(some, generator)
        if not isinstance(grey, Tensor) or grey.shape != some.shape:
            raise TypeError(
                f"expected a binarization that returns a tensor of shape {tuple(some.shape)}, like "
                f"the pixels it is given; {_name(binarize)} returned {type(grey).__name__}"
            )
        if not ((grey == 0) | (grey == 1)).all():
            value = grey[(grey != 0) & (grey != 1)][0].item()
            raise ValueError(
                f"the binarization {_name(binarize)} leaves grey pixels ({value:.3g} is one). A "
                "Bernoulli likelihood is a distribution over the outcomes 0 and 1; on grey it "
                "is none, its values cannot be compared with anyone's, and training is pulled "
                "towards coins that are unsure (notebook 1). Use by_threshold or dynamically "
                "from vaelib.binarization"
            )


def _name(function: Callable) -> str:
    function = getattr(function, "func", function)  # what a partial is of
    return getattr(function, "__qualname__", type(function).__name__)


def _describe(vae: VAE) -> str:
    parts = [
        f"{type(network).__name__} {getattr(network, 'settings', '')}"
        for network in (vae.encoder, vae.decoder)
    ]
    return f"{' and '.join(parts)} in {next(vae.parameters()).dtype}"


def _fingerprint(images: Tensor | None) -> str:
    return "none" if images is None else f"{len(images):,} with SHA-256 {digest({'': images})}"


def _check_target(vae: VAE, save_to: str | Path | None) -> Path | None:
    if save_to is None:
        return None
    path = Path(save_to).expanduser()
    if path.is_dir():
        raise ValueError(f"save_to={str(save_to)!r} is a folder; expected the name of a file")
    checkpoint.check(vae)
    return path


def _state_to_resume(
    vae: VAE, resume: History | str | Path | None, save_to: Path | None, further: bool
) -> State | None:
    if isinstance(resume, History) and resume.state is None:
        raise ValueError("this history has no state; give the one that `train` returned")
    if not isinstance(resume, History | str | Path | None):
        raise TypeError(
            "expected resume to be the history that `train` returned or the name of a file that "
            f"save_to wrote, got {type(resume).__name__}"
        )
    file = Path(resume).expanduser() if isinstance(resume, str | Path) else None
    state = resume.state if isinstance(resume, History) else None
    if file is not None and (file.exists() or file != save_to):
        state = read_state(file)
    if save_to is not None and save_to.exists() and not _holds(save_to, state):
        raise ValueError(
            f"{save_to} exists and would be overwritten. To go on with the run in it, give "
            f"resume={str(save_to)!r} too; to start over, delete it or choose another name"
        )
    if state is None and vae.trained_steps and not further:
        raise ValueError(
            f"this model has been trained for {vae.trained_steps:,} steps. To start over, build "
            "a fresh one; to go on with an interrupted run, give its history as `resume`; to "
            "train this one further on purpose, with fresh averages of Adam, give further=True"
        )
    return state


def _holds(path: Path, state: State | None) -> bool:
    """Whether the file at `path` is of the run that stood at `state`."""
    try:
        return state is not None and read_state(path).settings["run"] == state.settings["run"]
    except CheckpointError:
        return False


def _save(run: Run, path: Path) -> bool:
    """Save, or warn and let the training go on: a full disk is no reason to lose it."""
    try:
        run.save(path)
    except (OSError, CheckpointError, RuntimeError, ValueError, TypeError) as error:
        warnings.warn(f"{path} could not be written: {error}. Training goes on.", stacklevel=3)
        return False
    return True


def _how_to_go_on(run: Run, save_to: Path | None) -> str:
    file = f", or after a restart resume={str(save_to)!r}" if save_to else ""
    return (
        f"training was stopped in epoch {run.epoch} after step {run.step:,}; the model is whole "
        "and keeps what it has learnt. To go on exactly from here, call train again with "
        f"resume=history, the history that this call returns{file}. To start over, build a "
        "fresh model."
    )


def _history(run: Run) -> History:
    def by_term(means: list[Tensor]) -> ElboTerms:
        return ElboTerms(*(torch.stack(means).T.cpu() if means else torch.zeros(2, 0)))

    tested = run.settings["test_images"] != "none"
    test = by_term(run.test) if tested else None
    return History(by_term(run.train), test, torch.tensor(run.seconds))
