"""Several levels of latents: each prior depends on the levels above it, and each q corrects it.

Sønderby et al. 2016 ("Ladder variational autoencoders"); Vahdat & Kautz 2020 (NVAE), figure 2;
Child 2021 ("Very deep VAEs").
"""

import copy
import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Generator, Tensor, nn

from vaelib.decoder import Bernoulli
from vaelib.encoder import Gaussian, Residual, activation_layer
from vaelib.initialization import glorot_uniform
from vaelib.vae import LatentModel

Shape = tuple[int, ...]  # of what one image has: (size,) or (channels, height, width)


class Bounded(nn.Module):
    """4·tanh(x / 4), which leaves small numbers as they are and keeps log σ between −4 and 4."""

    def forward(self, values: Tensor) -> Tensor:
        return 4 * (values / 4).tanh()


class Stage(nn.Module):
    """One level: its prior, its q, and what goes on to the level below.

    `hidden` comes from the level above (None at the top), `seen` from the image::

        hidden ─┬───────────────────► prior_head ──► μ and log σ of the prior
                ├─ + seen ──────────► correction ──► Δμ and Δ log σ, which q adds to them
                └─ + join(latent) ──► down ────────► hidden of the level below

    Latents have this `shape`. At the top, `correction` alone gives q.
    """

    def __init__(
        self,
        shape: Shape,
        prior_head: nn.Module | None,
        correction: nn.Module,
        join: nn.Module,
        down: nn.Module,
    ) -> None:
        super().__init__()
        self.shape, self.prior_head, self.correction = shape, prior_head, correction
        self.join, self.down, self.bounded = join, down, Bounded()

    def prior(self, hidden: Tensor | None) -> Gaussian | None:
        """p(z|above), or None for N(0, I) at the top."""
        return None if hidden is None else self._gaussian(self.prior_head(hidden))

    def posterior(self, hidden: Tensor | None, seen: Tensor) -> Gaussian:
        """q(z|x, above): the prior, with corrections added to its mean and its log σ."""
        if hidden is None:
            return self._gaussian(self.correction(seen))
        prior, change = self.prior(hidden), self._gaussian(self.correction(hidden + seen))
        return Gaussian(prior.mean + change.mean, prior.log_std + change.log_std)

    def below(self, hidden: Tensor | None, latent: Tensor) -> Tensor:
        """The hidden values for the level below, given this level's latents."""
        joined = self.join(latent.unflatten(1, self.shape))
        return self.down(joined if hidden is None else hidden + joined)

    def _gaussian(self, values: Tensor) -> Gaussian:
        mean, log_std = values.chunk(2, 1)
        return Gaussian(mean.flatten(1), self.bounded(log_std).flatten(1))


class Hierarchy(LatentModel):
    """Levels of latents: a way up from the image, and one `Stage` per level on the way down.

    `dense` and `convolutional` build it. `stages` and `shapes`, of what each gets from the way up,
    begin at the top level, the modules of `up` at the image. `logits` gives one per pixel.
    """

    settings: Mapping[str, object] = {}  # with which a builder of this module builds it again
    largest_gradient = 200.0

    def __init__(
        self,
        up: Sequence[nn.Module],
        shapes: Sequence[Shape],
        stages: Sequence[Stage],
        logits: nn.Module,
        *,
        pixels: int,
    ) -> None:
        super().__init__()
        self.up, self.stages, self.logits = nn.ModuleList(up), nn.ModuleList(stages), logits
        self.sizes = tuple(math.prod(stage.shape) for stage in stages)
        self.shapes, self.pixels = [*shapes], pixels

    def features(self, image: Tensor) -> Tensor:
        """What the way up computes from images for all levels, in one row, top level first."""
        hidden, seen = image, []
        for module in self.up:
            hidden = module(hidden)
            seen.append(hidden.flatten(1))
        return torch.cat(seen[::-1], 1)

    def descend(self, above: list[Tensor], latent: Tensor) -> list[Tensor]:
        """The hidden values below each level, down to the level of this latent."""
        return [*above, self.stages[len(above)].below(above[-1] if above else None, latent)]

    def prior(self, above: list[Tensor]) -> Gaussian | None:
        """The prior of the next stage."""
        return self.stages[len(above)].prior(above[-1] if above else None)

    def posterior(self, features: Tensor, above: list[Tensor]) -> Gaussian:
        """The q of the next stage, from its part of the features."""
        level, hidden = len(above), above[-1] if above else None
        seen = features.split([math.prod(shape) for shape in self.shapes], 1)[level]
        return self.stages[level].posterior(hidden, seen.unflatten(1, self.shapes[level]))

    def likelihood(self, above: list[Tensor]) -> Bernoulli:
        """Bernoulli pixels, from the hidden values below the lowest level."""
        return Bernoulli(self.logits(above[-1]))


class ConvResidual(Residual):
    """A residual block with convolutions of 3 × 3 instead of matrices."""

    def __init__(self, channels: int, activation: str) -> None:
        nn.Module.__init__(self)
        first, second = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        self.correction = nn.Sequential(first, activation_layer(activation), second)


def dense(
    *,
    sizes: Sequence[int] = (20, 50),
    width: int = 200,
    blocks: int = 1,
    activation: str = "silu",
    pixels: int = 784,
    generator: Generator | None = None,
) -> Hierarchy:
    """Levels with these numbers of latents, top level first, between dense layers of one width.

    Wherever something is computed, `blocks` residual blocks compute it. Raises ValueError for no
    level, numbers that are too small, and an unknown activation.
    """
    settings = dict(sizes=[*sizes], width=width, blocks=blocks, activation=activation)
    _check(blocks, width, pixels, levels=sizes)

    def some() -> list[nn.Module]:
        return [Residual(width, activation) for _ in range(blocks)]

    stages = [
        _stage(size, 1, (width,), some, activation, top=level == 0)
        for level, size in enumerate(sizes)
    ]
    up = [nn.Sequential(*some()) for _ in sizes]
    up[0] = nn.Sequential(nn.Linear(pixels, width), activation_layer(activation), *up[0])
    model = Hierarchy(up, [(width,)] * len(sizes), stages, nn.Linear(width, pixels), pixels=pixels)
    return _started(model, generator, kind="dense", pixels=pixels, **settings)


def convolutional(
    *,
    maps: Sequence[Sequence[int]] = ((20, 1), (2, 7)),
    channels: int = 32,
    blocks: int = 1,
    activation: str = "silu",
    generator: Generator | None = None,
) -> Hierarchy:
    """Levels of latents in maps, top level first, between convolutions with so many channels.

    A level is (maps, side): each map has one latent for the whole image (side 1) or for each place
    on a grid (7 or 14). Sides grow from the top down. Images are cut into patches of 4 × 4 pixels,
    or of 2 × 2 if there is a side of 14. Raises ValueError as `dense` does, and for other maps.
    """
    if not all(isinstance(level, Sequence) and len(level) == 2 for level in maps):
        raise ValueError(f"expected (maps, side) for each level, such as ((4, 7),), got {maps}")
    sides = [side for _, side in maps]
    if not set(sides) <= {1, 7, 14} or sides != sorted(sides):
        raise ValueError(f"expected sides of 1, 7 or 14, growing from the top down, got {sides}")
    _check(blocks, channels, levels=[count for count, _ in maps])

    def some() -> list[nn.Module]:
        return [ConvResidual(channels, activation) for _ in range(blocks)]

    stages, up, shapes = [], [], [(channels, max(side, 7), max(side, 7)) for side in sides]
    for level, shape, below in zip(maps, shapes, [*shapes[1:], shapes[-1]], strict=True):
        grow = below > shape
        stages.append(_stage(*level, shape, some, activation, top=not stages, grow=grow))
        shrink = [nn.Conv2d(channels, channels, 2, stride=2)] * grow
        up.insert(0, nn.Sequential(*shrink, *some()))
    patch = 28 // shapes[-1][-1]
    first = nn.Conv2d(patch**2, channels, 3, padding=1), activation_layer(activation)
    up[0] = nn.Sequential(nn.Unflatten(1, (1, 28, 28)), nn.PixelUnshuffle(patch), *first, *up[0])
    last = activation_layer(activation), nn.Conv2d(channels, patch**2, 3, padding=1)
    logits = nn.Sequential(*last, nn.PixelShuffle(patch), nn.Flatten())
    model = Hierarchy(up, shapes, stages, logits, pixels=784)
    settings = dict(maps=[[*level] for level in maps], channels=channels, blocks=blocks)
    return _started(model, generator, kind="convolutional", activation=activation, **settings)


def _stage(
    count: int,
    side: int,
    hidden: Shape,
    some: Callable[[], list[nn.Module]],
    activation: str,
    *,
    top: bool,
    grow: bool = False,
) -> Stage:
    """A level of `count` latents, or maps of them; with `grow`, it passes on twice the side."""
    shape, places = (count,) if side == 1 else (count, side, side), math.prod(hidden)
    head, join = [nn.Linear(places, 2 * count)], nn.Linear(count, places)
    if side > 1:
        head, join = [nn.Conv2d(hidden[0], 2 * count, 1)], nn.Conv2d(count, hidden[0], 1)
    elif len(hidden) > 1:
        head, join = [nn.Flatten(), *head], nn.Sequential(join, nn.Unflatten(1, hidden))
    head.insert(0, activation_layer(activation))
    prior_head = None if top else nn.Sequential(*copy.deepcopy(head))
    correction = nn.Sequential(*([] if top else some()), *head)
    down = nn.Sequential(*[nn.Upsample(scale_factor=2)] * grow, *some())
    return Stage(shape, prior_head, correction, join, down)


BUILDERS = {"dense": dense, "convolutional": convolutional}


def _check(blocks: int, *sizes: int, levels: Sequence[int]) -> None:
    if not levels or min(*sizes, *levels) < 1 or blocks < 0:
        raise ValueError(
            "expected at least one level, positive sizes and 0 blocks or more; "
            f"got {len(levels)} levels of {[*levels]}, sizes of {[*sizes]} and {blocks} blocks"
        )


def _started(model: Hierarchy, generator: Generator | None, **settings: object) -> Hierarchy:
    """The model with drawn weights, but heads of 0: every prior and q begins as N(0, I)."""
    glorot_uniform(model, generator)
    for stage in model.stages:
        for head in filter(None, (stage.prior_head, stage.correction)):
            nn.init.zeros_(head[-1].weight)
    model.settings = settings
    return model
