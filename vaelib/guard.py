"""What surrounds the training loop: a guard against infinite or NaN losses, and a gentle stop."""

import contextlib
import math
import signal
import threading
import warnings
from collections.abc import Iterator
from types import SimpleNamespace

import torch
from torch import Tensor, nn

from vaelib.device import reading_waits
from vaelib.elbo import ElboTerms
from vaelib.run import Run
from vaelib.vae import Level

KEEP_EVERY = 100  # steps between two copies of parameters that gave a finite loss


class NonFiniteError(FloatingPointError):
    """A loss or a parameter stopped being a number; the message says where, and likely why."""


class Guard:
    """Keeps a run's last good parameters, and goes back to them if the loss is infinite or NaN."""

    def __init__(self, run: Run) -> None:
        self.run, self.waits = run, reading_waits(run.device)
        self.shortened = torch.zeros(2, device=run.device)  # shortened gradients, all gradients
        self._keep()

    def __enter__(self) -> "Guard":
        return self

    def __exit__(self, kind: type | None, *error: object) -> None:
        """If the first step failed after it had changed a weight, mark the model as trained."""
        if kind and not self.run.step:
            before = dict(zip(self.run.model.state_dict(), self._kept, strict=True))
            for name, value in self.run.model.named_parameters():
                if not torch.allclose(value, before[name], rtol=0, atol=0, equal_nan=True):
                    self.run.model.trained_steps = 1

    @torch.no_grad()
    def check(self, loss: Tensor, terms: ElboTerms, image: Tensor, noise: Tensor) -> None:
        """Raise `NonFiniteError` if the loss is infinite or NaN, and go back to good parameters.

        These are the present ones if they give this batch a finite ELBO, else the last copy, which
        is at most `KEEP_EVERY` steps old. On an accelerator the loss is not read here, because
        reading waits; `check_epoch` looks once per epoch. Raises ValueError if the objective did
        not return a term of each kind for each image.
        """
        shapes = [tuple(term.shape) for term in terms]
        if shapes != [(len(image),)] * 2:
            raise ValueError(
                f"expected an objective that returns terms of shape ({len(image)},), one value for "
                f"each image of the batch, got {' and '.join(map(str, shapes))}"
            )
        if self.waits or math.isfinite(loss.item()):
            if self.run.step % KEEP_EVERY == 0 and not self.waits:
                self.check_parameters()
                self._keep()
            return
        self.check_parameters()
        named = zip(("the log-likelihood", "the KL"), terms, strict=True)
        first = " and ".join(name for name, term in named if not term.isfinite().all())
        levels, explained = self.run.model.infer(image, noise.reshape(-1, *noise.shape[-2:])[0])
        spoilt = _first_spoilt(levels)
        first = spoilt or first or "what the objective adds to the loss"
        sound = not spoilt and bool(explained.isfinite().all())
        self._give_up(self.run.step + 1, first, sound=sound)

    def shorten(self) -> None:
        """Shorten a gradient whose norm is above the model's `largest_gradient` to that norm."""
        if (limit := self.run.model.largest_gradient) < math.inf:
            values = [value for value in self.run.model.parameters() if value.grad is not None]
            norm = nn.utils.get_total_norm([value.grad for value in values])
            if self.waits or norm > limit:
                nn.utils.clip_grads_with_norm_(values, limit, norm)
            self.shortened += torch.stack([norm > limit, norm > 0]).to(self.shortened)

    def check_epoch(self) -> None:
        """As `check`, of the parameters after the last step and, on an accelerator, the epoch."""
        if self.waits and not self.run.total.isfinite().all():
            self._give_up(self.run.step, "log-likelihood or KL")
        self.check_parameters()
        if self.waits:
            self._keep()
        shortened, steps = self.shortened.tolist()
        if shortened > max(0.9 * steps, 10):
            warnings.warn(
                f"in epoch {self.run.epoch}, {shortened:.0f} of {steps:.0f} gradients were longer "
                f"than model.largest_gradient, {self.run.model.largest_gradient:g}, and were "
                "shortened to it. No step was skipped. If the loss stays high, lower the learning "
                "rate or raise this limit",
                stacklevel=5,
            )
        self.shortened.zero_()

    def check_parameters(self) -> None:
        """Raise `NonFiniteError` if the last step spoilt a parameter, and go back to good ones."""
        for name, value in self.run.model.named_parameters():
            if not value.isfinite().all():
                self._give_up(self.run.step, f"the gradient of {name}")

    @torch.no_grad()
    def _give_up(self, step: int, first: str, *, sound: bool = False) -> None:
        model, at = self.run.model, self.run.step
        if not sound:
            at = self._kept_step
            for value, kept in zip(model.state_dict().values(), self._kept, strict=True):
                value.copy_(kept)
        model.trained_steps = at
        when = f"at step {step:,}" + (" or before" if self.waits else "")
        raise NonFiniteError(
            f"the loss is not a finite number in epoch {self.run.epoch}, {when}: {first} "
            f"went first. Likely causes: {self._cause()} The model has its last good parameters, "
            f"those after step {at:,}. To try again, build a fresh model and change what was the "
            "cause."
        )

    def _cause(self) -> str:
        dtype, given = next(self.run.model.parameters()).dtype, self.run.settings
        if dtype == torch.float16:
            return f"{dtype}, which overflows at 65,504; train in float32 or bfloat16."
        return (
            f"a learning rate that is too large (it is {given['learning_rate']}, with batches of "
            f"{given['batch_size']}; 0.001 is usual), or a network or objective of your own whose "
            "numbers overflow or are divided by 0."
        )

    def _keep(self) -> None:
        values = self.run.model.state_dict().values()
        self._kept, self._kept_step = [value.detach().clone() for value in values], self.run.step


def _first_spoilt(levels: list[Level]) -> str:
    """The first KL from the top down that is not finite, and its q's size; "" if all are finite."""
    for number, level in enumerate(levels, 1):
        if not level.kl.isfinite().all():
            place = f" of level {number} of {len(levels)} from the top" * (len(levels) > 1)
            mean, log_std = (value.abs().max() for value in level.posterior)
            sizes = f"|μ| up to {mean:.2g} and |log σ| up to {log_std:.2g}"
            if (level.posterior.log_std > 44).any():
                sizes += "; exp(2 log σ) overflows in float32 when log σ is above 44"
            return f"the KL{place} (its q has {sizes})"
    return ""


@contextlib.contextmanager
def interruptible() -> Iterator[SimpleNamespace]:
    """Turn the first Ctrl-C (or stop button) into `requested`; a second one ends at once.

    Outside the main thread, where signals do not arrive, only `watch` can ask to stop.
    """
    stop, before = SimpleNamespace(requested=False), signal.getsignal(signal.SIGINT)
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
