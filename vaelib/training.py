"""Maximise the bound: one loop, which returns what it made and prints nothing."""

import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Generator, Tensor

from vaelib.binarization import by_threshold
from vaelib.elbo import ElboTerms, elbo
from vaelib.vae import VAE, evaluating

Objective = Callable[[VAE, Tensor, Tensor], ElboTerms]
Binarize = Callable[[Tensor, Generator | None], Tensor]


class History(NamedTuple):
    """What a training run measured, one value per epoch, in nats per image.

    `train` holds the terms of the objective, averaged over the epoch's images while the weights
    moved; `test` (None without test images) those of the true ELBO, as `mean_terms` measures
    them at the epoch's end; `seconds` is the time since the start.
    """

    train: ElboTerms
    test: ElboTerms | None
    seconds: Float[Tensor, " epoch"]


def train(
    vae: VAE,
    images: UInt8[Tensor, "image pixel"],
    *,
    epochs: int = 10,
    batch_size: int = 100,
    learning_rate: float = 1e-3,
    binarize: Binarize = by_threshold,
    objective: Objective = elbo,
    decoder_penalty: float = 0.0,
    test_images: UInt8[Tensor, "test pixel"] | None = None,
    generator: Generator | None = None,
    on_step: Callable[[int, ElboTerms], None] | None = None,
    on_epoch: Callable[[int, History], None] | None = None,
) -> History:
    """Train `vae` in place by Adam on the batch mean of −`objective`, and return the history.

    Each epoch visits all images once in a fresh order. The loss adds `decoder_penalty` · Σθ²
    over the decoder's parameters (the blog post has 0.01). `generator` decides order,
    binarization and latent noise, so one seed repeats a run exactly on one machine.

    `on_step(step, terms)` follows every step with the batch's terms, `on_epoch(epoch, history)`
    every epoch with the history so far; both count from 1.

    Raises TypeError unless images are uint8, ValueError for images of another shape and for
    epochs or a batch size below 1 or a negative penalty.
    """
    check_pixels(images, vae.pixels)
    if test_images is not None:
        check_pixels(test_images, vae.pixels)
    if epochs < 1 or batch_size < 1 or decoder_penalty < 0:
        raise ValueError(
            "expected epochs and batch_size of at least 1 and a decoder_penalty of at least 0, "
            f"got {epochs}, {batch_size} and {decoder_penalty}"
        )
    optimizer = torch.optim.Adam(vae.parameters(), lr=learning_rate, fused=True)
    draw = dict(generator=generator, device=images.device)
    dtype = next(vae.parameters()).dtype
    train_means, test_means, seconds, start, step = [], [], [], time.perf_counter(), 0
    for epoch in range(1, epochs + 1):
        total = torch.zeros(2, device=images.device)
        for index in torch.randperm(len(images), **draw).split(batch_size):
            image = binarize(images[index], generator).to(dtype)
            noise = torch.randn(len(index), vae.latent, dtype=dtype, **draw)
            terms = objective(vae, image, noise)
            loss = -terms.bound.mean()
            if decoder_penalty:
                loss = loss + decoder_penalty * sum_of_squares(vae.decoder.parameters())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            terms = ElboTerms(*(term.detach() for term in terms))
            total += torch.stack(terms).sum(1)
            step += 1
            if on_step:
                on_step(step, terms)
        train_means.append(total / len(images))
        if test_images is not None:
            test_means.append(torch.stack(mean_terms(vae, test_images, binarize=binarize)))
        seconds.append(time.perf_counter() - start)
        if on_epoch:
            on_epoch(epoch, _history(train_means, test_means, seconds))
    return _history(train_means, test_means, seconds)


@torch.no_grad()
def evaluate(
    vae: VAE,
    images: UInt8[Tensor, "image pixel"],
    *,
    binarize: Binarize = by_threshold,
    batch_size: int = 1000,
    generator: Generator | None = None,
) -> ElboTerms:
    """The bound's terms for each image of a data set, from one latent sample each, in nats.

    Without a `generator` the noise is that of seed 0, so that two epochs of one model, or two
    models with the same latent size, meet the same noise (given the same batch size and
    binarization, since noise is drawn batch by batch). Raises as `train` does.
    """
    check_pixels(images, vae.pixels)
    generator = generator or Generator(images.device).manual_seed(0)
    like, parts = next(vae.parameters()), []
    draw = dict(generator=generator, device=images.device, dtype=like.dtype)
    with evaluating(vae):
        for pixels in images.split(batch_size):
            image = binarize(pixels, generator).to(like.dtype)
            noise = torch.randn(len(pixels), vae.latent, **draw)
            parts.append(elbo(vae, image, noise))
    return ElboTerms(*(torch.cat(terms) for terms in zip(*parts, strict=True)))


def mean_terms(vae: VAE, images: UInt8[Tensor, "image pixel"], **settings: object) -> ElboTerms:
    """The bound's terms averaged over the images of a data set, in nats; as `evaluate`."""
    return ElboTerms(*(term.mean() for term in evaluate(vae, images, **settings)))


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


def check_pixels(images: Tensor, pixels: int) -> None:
    """Raise unless `images` is a data set's bytes: uint8 rows of `pixels` values each."""
    if images.dtype != torch.uint8:
        raise TypeError(
            f"expected images as uint8 from 0 to 255, got {images.dtype}; give them as "
            "vaelib.datasets.load does, they are binarized batch by batch"
        )
    if images.ndim != 2 or images.shape[1] != pixels or not len(images):
        raise ValueError(
            f"expected images of shape (image, {pixels}), one row each, got {tuple(images.shape)}"
        )


def _history(train: list[Tensor], test: list[Tensor], seconds: list[float]) -> History:
    by_term = [ElboTerms(*torch.stack(means).T.cpu()) if means else None for means in (train, test)]
    return History(*by_term, torch.tensor(seconds))
