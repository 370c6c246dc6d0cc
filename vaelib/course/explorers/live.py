"""Explorer on training: start a training run, watch it, and stop it."""

import contextvars
import threading
from functools import cache

import numpy as np
import torch
from ipywidgets import IntSlider, SelectionSlider
from jaxtyping import Float, UInt8
from torch import Generator, Tensor

from vaelib import vae
from vaelib.course import plotting
from vaelib.course.explorers.shell import (
    WIDE,
    Digit,
    Picture,
    Stage,
    View,
    digit_row,
    panel,
    push_button,
)
from vaelib.course.progress import throttle
from vaelib.guard import NonFiniteError
from vaelib.run import History
from vaelib.sampling import decode
from vaelib.training import Report, train

PLACE = (0.75, 0.55, 2.75, 2.1)  # of the curve, in inches
LOW, HIGH = 80.0, 240.0  # nats per image of 784 pixels, the range of the curve's axis
ACROSS, DOWN = 5, 4  # digits drawn from the prior
BATCH = 100
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 1e-1)
SPOKEN = 0.3  # seconds between two reports of progress within an epoch


class Stopped(Exception):  # noqa: N818 (a wish, not an error)
    """The stop button was pressed."""


def view_training(
    loss: Float[Tensor, " epoch"],
    digits: Float[Tensor, "digit pixel"],
    *,
    epochs: int,
    shape: tuple[int, int] | None = None,
) -> View:
    """−ELBO of test images after each epoch, and the current images of twenty fixed latents.

    `shape` is the digits' height and width; without it they are square.
    """
    low, high = frame = _frame(digits.shape[1])
    figure = Picture(3.0, ground=_ground(epochs, frame))
    axes = panel(figure, PLACE, xlim=(0.5, epochs + 0.5), ylim=frame)
    shown = loss.clamp(low, high)
    axes.plot(range(1, len(loss) + 1), shown, "o-", color=plotting.BLUE, ms=5, clip_on=False)
    for row, some in enumerate(digits.split(ACROSS)):
        bottom = 0.08 + 0.67 * (DOWN - 1 - row)
        digit_row(figure, 3.85, bottom, 0.56, *map(Digit, some), shape=shape)
    if not len(loss):
        words = "Untrained: every latent decodes to the same grey. Press <b>Train</b>."
    else:
        last = f"{loss[-1]:.1f}" if loss[-1] < 1e4 else f"{loss[-1]:.0e}"
        words = (
            f"After epoch <b>{len(loss)}</b> of {epochs}: test −ELBO <b>{last}</b> nats "
            "per image. Right: the images of twenty latents from the prior, the same in each epoch."
        )
    return View(figure, words)


def _frame(pixels: int) -> tuple[float, float]:
    """The range of the curve's axis in nats per image: more pixels cost more."""
    return LOW * pixels / 784, HIGH * pixels / 784


@cache
def _ground(epochs: int, frame: tuple[float, float]) -> np.ndarray:
    figure = Picture(3.0)
    ticks = range(1, epochs + 1, -(-epochs // 10))
    panel(
        figure, PLACE, xlim=(0.5, epochs + 0.5), ylim=frame, bare=False, xticks=ticks,
        xlabel="epoch", ylabel="test −ELBO in nats per image", title="test −ELBO after each epoch",
    ).grid(axis="y", color="#dddddd", lw=0.8)  # fmt: skip
    figure.title("images of 20 fixed latents", 3.85, 2.73)
    return figure.pixels()


class Training(Stage):
    """Settings, a button that trains a fresh model in the background, and one that stops it.

    The kernel stays free meanwhile. `model` and `history` belong to the newest run.
    """

    def __init__(
        self,
        images: UInt8[Tensor, "image pixel"],
        test_images: UInt8[Tensor, "test pixel"],
        shape: tuple[int, int] | None = None,
    ) -> None:
        self.images, self.test_images, self.shape = images, test_images, shape
        self.history: History | None = None
        self._stop, self._thread = threading.Event(), None
        counts = [count for count in (1000, 5000, 15_000) if count < len(images)]
        counts.append(len(images))
        names = [f"{count:,}" for count in counts]
        self.controls = {
            "epochs": IntSlider(5, min=1, max=20, description="epochs (passes)", **WIDE),
            "count": SelectionSlider(
                options=list(zip(names, counts, strict=True)),
                value=counts[min(2, len(counts) - 1)],
                description="images (count)",
                **WIDE,
            ),
            "rate": SelectionSlider(
                options=[(f"{rate:g}", rate) for rate in RATES],
                value=1e-3,
                description="learning rate (no unit)",
                **WIDE,
            ),
            "latent": SelectionSlider(
                options=[1, 2, 5, 10, 20], value=5, description="latent size (count)", **WIDE
            ),
        }
        self.first = self.settings
        self.buttons = {label: push_button(label) for label in ("Train", "Stop", "Reset")}
        self.buttons["Train"].on_click(lambda _: self.start())
        self.buttons["Stop"].on_click(lambda _: self.stop())
        self.buttons["Reset"].on_click(lambda _: self.reset())
        rows = [[*self.controls.values()], [*self.buttons.values()]]
        super().__init__(
            "a training run",
            "Left, a curve: the test −ELBO in nats after each epoch. Right: 20 decoded images.",
            rows,
        )
        self.reset()

    @property
    def settings(self) -> dict[str, object]:
        """The value of every control, by name."""
        return {name: control.value for name, control in self.controls.items()}

    @property
    def running(self) -> bool:
        """Whether a run is in progress."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Train a new model with the current settings, in a thread of its own."""
        if self.running:
            return
        self._stop.clear()
        self._busy(True)
        # The thread's outputs belong to the cell whose button was pressed.
        context = contextvars.copy_context()
        self._thread = threading.Thread(
            target=context.run, args=(self._work, self.settings), daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End the run after the current step."""
        self._stop.set()

    def wait(self) -> None:
        """Wait until the run has ended."""
        if self._thread is not None:
            self._thread.join()

    def reset(self) -> None:
        """Stop, restore the first settings, and show an untrained model."""
        self.stop()
        self.wait()
        for name, value in self.first.items():
            self.controls[name].value = value
        self._busy(False)
        self.model, self.history = self._fresh(self.settings["latent"])[0], None
        self._show(torch.zeros(0), self.settings)

    def _work(self, settings: dict) -> None:
        self.model, generator = self._fresh(settings["latent"])
        images = self.images[: settings["count"]]
        steps = -(-len(images) // BATCH)
        self.history = None
        self._show(torch.zeros(0), settings)

        def tell(step: int) -> None:
            epoch, within = divmod(step - 1, steps)
            self.say(f"Epoch {epoch + 1} of {settings['epochs']}, step {within + 1} of {steps} …")

        tell = throttle(tell, seconds=SPOKEN)

        def watch(report: Report) -> None:
            if report.history is not None:
                self.history = report.history
                self._show(-self.history.test.bound, settings)
            if self._stop.is_set():
                raise Stopped(
                    f"Stopped after step {report.step:,}; the model keeps what it has learnt."
                )
            if report.history is None:  # otherwise the words of the epoch's view stay
                tell(report.step)

        try:
            train(
                self.model,
                images,
                test_images=self.test_images,
                epochs=settings["epochs"],
                batch_size=BATCH,
                learning_rate=settings["rate"],
                generator=generator,
                watch=watch,
            )
        except (Stopped, NonFiniteError) as ended:
            self.say(f"{ended}")
        except BaseException as error:
            self.say(f"The run failed: {type(error).__name__}: {error}")
            raise
        finally:
            self._busy(False)

    def _fresh(self, latent: int) -> tuple[vae.VAE, Generator]:
        generator = Generator().manual_seed(0)
        pixels = self.images.shape[1]
        return vae.dense(pixels=pixels, latent=latent, generator=generator), generator

    def _show(self, loss: Tensor, settings: dict) -> None:
        codes = torch.randn(ACROSS * DOWN, self.model.latent, generator=Generator().manual_seed(1))
        digits, epochs = decode(self.model, codes), settings["epochs"]
        self.show(view_training(loss, digits, epochs=epochs, shape=self.shape))

    def _busy(self, busy: bool) -> None:
        self.buttons["Train"].disabled = busy
        self.buttons["Stop"].disabled = not busy


def train_live(
    images: UInt8[Tensor, "image pixel"],
    test_images: UInt8[Tensor, "test pixel"],
    *,
    shape: tuple[int, int] | None = None,
) -> Training:
    """Train the blog post's network with your own settings, and watch its images.

    After each epoch it is evaluated on the first 2,000 `test_images`. `shape` is the height and
    width of each image; without it they are square.
    """
    return Training(images, test_images[:2000], shape)
