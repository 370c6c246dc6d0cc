"""How sharp a model's images are, and whether its samples look like the images of a data set.

No number here says everything. Undecided pixels measure blur, but an overconfident model has fewer
of them too. A judge, which is a small classifier, looks at samples only: is each one clearly some
digit, do all digits occur, and how do the samples overlap with real images in its features?
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Generator, Tensor, nn

from vaelib.adam import Adam
from vaelib.binarization import dynamic
from vaelib.decoder import Bernoulli
from vaelib.encoder import check_images, check_rows
from vaelib.initialization import glorot_uniform
from vaelib.schedule import Progress, ToZero
from vaelib.vae import LatentModel

AT_ONCE = 2_000_000  # distances held in memory: 16 MB, which stay in a cache

Features, Samples = Float[Tensor, "image feature"], Float[Tensor, "sample feature"]


def undecided(mean_image: Float[Tensor, "image pixel"]) -> Float[Tensor, " image"]:
    """How many pixels of each mean image have a probability π with 0.1 < π < 0.9."""
    return ((mean_image > 0.1) & (mean_image < 0.9)).sum(1).to(mean_image.dtype)


class Overconfident(LatentModel):
    """A model with its decoder's logits multiplied by `factor`, and all else as it was.

    For a factor above 1, every pixel probability moves towards 0 or 1. The model must have
    Bernoulli pixels.
    """

    def __init__(self, model: LatentModel, factor: float | int) -> None:
        super().__init__()
        self.model, self.factor = model, factor
        self.sizes, self.pixels = model.sizes, model.pixels
        self.prior, self.posterior = model.prior, model.posterior
        self.features, self.descend = model.features, model.descend

    def likelihood(self, latents: list[Tensor]) -> Bernoulli:
        """The model's own, with other logits."""
        return Bernoulli(self.factor * self.model.likelihood(latents).logits)


class Judge(nn.Module):
    """A small classifier of binary images of 28 × 28 pixels, to judge samples with.

    Its output is one logit per class. `train_judge` trains it.
    """

    def __init__(
        self, *, classes: int = 10, features: int = 64, generator: Generator | None = None
    ) -> None:
        super().__init__()
        self.pixels = 784
        self.features = nn.Sequential(
            nn.Unflatten(1, (1, 28, 28)),
            nn.Conv2d(1, 16, kernel_size=5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(16, 32, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * 7 * 7, features),
            nn.ReLU(),
        )
        self.logits = nn.Linear(features, classes)
        glorot_uniform(self, generator)

    def forward(self, image: Float[Tensor, "image pixel"]) -> Float[Tensor, "image class"]:
        """One logit per class. Raises TypeError unless images are floats, ValueError by shape."""
        check_images(image, self.pixels)
        return self.logits(self.features(image))


def train_judge(
    images: UInt8[Tensor, "image pixel"],
    labels: Tensor,
    *,
    epochs: int = 2,
    batch_size: int = 200,
    learning_rate: float = 4e-3,
    generator: Generator,
) -> Judge:
    """A judge trained by Adam on images of bytes, whose pixels are drawn anew in each epoch.

    The learning rate falls to 0 along a straight line. `generator` decides the weights, the order
    and the pixels. Raises ValueError unless there is one label per image.
    """
    if len(labels) != len(images):
        raise ValueError(f"expected {len(images)} labels, one per image, got {len(labels)}")
    labels = labels.long()
    judge = Judge(classes=int(labels.max()) + 1, generator=generator)
    optimizer, rate = Adam(judge.parameters()), ToZero(learning_rate)
    steps = epochs * math.ceil(len(images) / batch_size)
    progress = (Progress(step, steps) for step in range(steps))
    for _ in range(epochs):
        for chosen in torch.randperm(len(images), generator=generator).split(batch_size):
            image = dynamic(images[chosen], generator)
            loss = F.cross_entropy(judge(image), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step(rate(next(progress)))
    return judge


class Opinion(NamedTuple):
    """What a judge makes of a set of images.

    `confidence` is the mean of its largest class probability, and `entropy`, in nats, that of the
    classes it predicts: log 10 if ten classes are equally frequent, 0 if there is only one.
    """

    confidence: float
    entropy: float

    @property
    def classes(self) -> float:
        """The number of equally frequent classes that would have this entropy, its exponential."""
        return math.exp(self.entropy)


@torch.no_grad()
def probabilities(
    judge: Judge, image: Float[Tensor, "image pixel"]
) -> Float[Tensor, "image class"]:
    """The probability that the judge gives to each class, for binary images."""
    return torch.cat([judge(some).softmax(1) for some in image.split(1000)])


def opinion(judge: Judge, image: Float[Tensor, "image pixel"]) -> Opinion:
    """The judge's confidence in its classes of binary images, and how these are spread."""
    found = probabilities(judge, image).double()
    share = found.argmax(1).bincount().double() / len(found)
    return Opinion(found.amax(1).mean().item(), torch.special.entr(share).sum().item())


@torch.no_grad()
def features(judge: Judge, image: Float[Tensor, "image pixel"]) -> Features:
    """What the judge computes of binary images in its last layer but one."""
    check_images(image, judge.pixels)
    return torch.cat([judge.features(some) for some in image.split(1000)])


class Overlap(NamedTuple):
    """The share of samples that lie among real images, and of real images among samples."""

    precision: float
    recall: float


def overlap(real: Features, made: Samples, *, neighbours: int = 3) -> Overlap:
    """Precision and recall of samples `made`, by nearest neighbours among features.

    Each member of a set has a ball that reaches to its k-th nearest neighbour in the same set, with
    k = `neighbours`. Precision is the share of samples in at least one ball of a real image, recall
    the share of real images in at least one ball of a sample. Both depend on how many there are,
    so compare only sets of equal sizes. Kynkäänniemi et al. 2019, equations 1 and 2. Computed in
    float64, in memory that does not grow with the number of pairs. Raises ValueError for features
    of different sizes, and for sets of at most k.
    """
    check_rows("features of samples", made, real.shape[1])
    if not 1 <= neighbours < min(len(real), len(made)):
        raise ValueError(
            f"expected from 1 neighbour to fewer than the {min(len(real), len(made))} images of "
            f"the smaller set, got {neighbours}"
        )
    real, made = real.double(), made.double()
    real_radius, made_radius = (_radius(points, neighbours) for points in (real, made))
    among_real, among_made = [], torch.zeros(len(real), dtype=torch.bool)
    pieces = max(1, AT_ONCE // len(real))
    for some, radius in zip(made.split(pieces), made_radius.split(pieces), strict=True):
        distance = torch.cdist(some, real)
        among_real.append((distance <= real_radius).any(1))
        among_made |= (distance <= radius[:, None]).any(0)
    precision, recall = (
        found.double().mean().item() for found in (torch.cat(among_real), among_made)
    )
    return Overlap(precision, recall)


def _radius(points: Features, neighbours: int) -> Float[Tensor, " image"]:
    """The distance from each point to its k-th nearest neighbour, itself not counted."""
    pieces = points.split(max(1, AT_ONCE // len(points)))
    # A point is its own nearest, at distance 0.
    return torch.cat([torch.cdist(p, points).kthvalue(neighbours + 1).values for p in pieces])
