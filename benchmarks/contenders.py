"""What `vaelib.training.train` is raced against: the least it could cost, the usual, compilers."""

import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import datasets as torchvision_datasets
from torchvision.transforms import ToTensor

from vaelib import vae
from vaelib.training import train


class Setting(NamedTuple):
    """A network of dense layers and the size of its batches."""

    name: str
    hidden: int = 500
    latent: int = 5
    activation: str = "tanh"
    batch_size: int = 100

    def model(self) -> vae.VAE:
        return vae.dense(hidden=self.hidden, latent=self.latent, activation=self.activation)


def floor(setting: Setting, count: int) -> Callable[[], None]:
    """An epoch of the model's matrix products alone, forward and backward, at the same shapes.

    No bias, activation, likelihood or optimizer; the numbers are noise. The input needs no
    gradient, so that there is no product for it.
    """
    pixels, hidden, latent = 784, setting.hidden, setting.latent
    first, last = torch.randn(hidden, pixels), torch.randn(pixels, hidden)
    mean, log_std = torch.randn(latent, hidden), torch.randn(latent, hidden)
    widen = torch.randn(hidden, latent)
    batches = {size: torch.randn(size, pixels) for size in set(_sizes(setting, count))}

    def epoch() -> None:
        for size in _sizes(setting, count):
            image = batches[size]
            encoded = image @ first.T
            code, spread = encoded @ mean.T, encoded @ log_std.T
            decoded = code @ widen.T
            logits = decoded @ last.T  # and from here back; logits stand for their gradient
            logits.T @ decoded, logits @ last
            decoded.T @ code, decoded @ widen
            code.T @ encoded, code @ mean
            spread.T @ encoded, spread @ log_std
            encoded.T @ image

    return epoch


def bare(setting: Setting, images: Tensor) -> Callable[[], None]:
    """An epoch of the same model and loss as a script of PyTorch, without any of vaelib's loop.

    Images are binarized beforehand and taken in their order; nothing is checked or recorded.
    """
    model, binary = setting.model(), (images >> 7).float()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    encoder, decoder = model.encoder, model.decoder

    def epoch() -> None:
        for image in binary.split(setting.batch_size):
            hidden = encoder.hidden(image)
            mean, log_std = encoder.mean(hidden), encoder.log_std(hidden)
            code = mean + log_std.exp() * torch.randn(len(image), setting.latent)
            logits = decoder.logits(decoder.hidden(code))
            unlikely = F.binary_cross_entropy_with_logits(logits, image, reduction="sum")
            kl = 0.5 * (mean**2 + (2 * log_std).exp() - 1 - 2 * log_std).sum()
            optimizer.zero_grad()
            ((unlikely + kl) / len(image)).backward()
            optimizer.step()

    return epoch


def ours(setting: Setting, images: Tensor, **settings: object) -> Callable[[], None]:
    """An epoch by `vaelib.training.train`, everything that it does included."""
    model = setting.model()

    def epoch() -> None:
        model.trained_steps = 0  # go on with it
        train(model, images, epochs=1, batch_size=setting.batch_size, **settings)

    return epoch


class TutorialVAE(nn.Module):
    """The network as most tutorials write it."""

    def __init__(self, setting: Setting) -> None:
        super().__init__()
        self.activation = {"tanh": torch.tanh, "relu": torch.relu}[setting.activation]
        self.hidden = nn.Linear(784, setting.hidden)
        self.mean = nn.Linear(setting.hidden, setting.latent)
        self.log_var = nn.Linear(setting.hidden, setting.latent)
        self.widen = nn.Linear(setting.latent, setting.hidden)
        self.logits = nn.Linear(setting.hidden, 784)

    def forward(self, image: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        hidden = self.activation(self.hidden(image))
        mean, log_var = self.mean(hidden), self.log_var(hidden)
        code = mean + torch.exp(0.5 * log_var) * noise
        return self.logits(self.activation(self.widen(code))), mean, log_var


def usual(setting: Setting, folder: str) -> Callable[[], None]:
    """An epoch as most tutorials write it: a `DataLoader` over torchvision's MNIST in `folder`.

    Every image goes through `ToTensor` by itself; plain Adam; the loss is read at every step.
    The binarization, which few of them have, is one comparison a batch.
    """
    dataset = torchvision_datasets.MNIST(folder, train=True, transform=ToTensor())
    loader = DataLoader(dataset, batch_size=setting.batch_size, shuffle=True)
    model = TutorialVAE(setting)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def epoch() -> None:
        total = 0.0
        for grey, _ in loader:
            image = (grey.view(-1, 784) > 0.5).float()
            logits, mean, log_var = model(image, torch.randn(len(image), setting.latent))
            unlikely = F.binary_cross_entropy_with_logits(logits, image, reduction="sum")
            kl = -0.5 * torch.sum(1 + log_var - mean.pow(2) - log_var.exp())
            loss = (unlikely + kl) / len(image)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(image)

    return epoch


def compiled(setting: Setting, images: Tensor) -> Callable[[], None]:
    """An epoch of a PyTorch script whose loss is compiled; images stay in memory as bytes."""
    model = TutorialVAE(setting)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

    @torch.compile
    def loss_of(image: Tensor, noise: Tensor) -> Tensor:
        logits, mean, log_var = model(image, noise)
        unlikely = F.binary_cross_entropy_with_logits(logits, image, reduction="sum")
        kl = -0.5 * torch.sum(1 + log_var - mean.pow(2) - log_var.exp())
        return (unlikely + kl) / len(image)

    def epoch() -> None:
        total = torch.zeros(())
        for chosen in torch.randperm(len(images)).split(setting.batch_size):
            image = (images[chosen] > 127).float()
            loss = loss_of(image, torch.randn(len(image), setting.latent))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach()
        total.item()

    return epoch


def by_jax(setting: Setting, images: Tensor) -> Callable[[], None]:
    """An epoch by JAX as its users write it: one compiled `lax.scan` of the steps, optax's Adam.

    Images stay in memory as bytes. An epoch must be a whole number of batches.
    """
    import jax
    import jax.numpy as jnp
    import optax

    latent, hidden, rows = setting.latent, setting.hidden, jnp.asarray(images.numpy())
    activation = {"tanh": jnp.tanh, "relu": jax.nn.relu}[setting.activation]
    sizes = dict(
        hidden=(784, hidden),
        mean=(hidden, latent),
        log_std=(hidden, latent),
        widen=(latent, hidden),
        logits=(hidden, 784),
    )
    glorot, keys = jax.nn.initializers.glorot_uniform(), jax.random.split(jax.random.key(0), 6)
    weights = {
        name: (glorot(key, size), jnp.zeros(size[1]))
        for key, (name, size) in zip(keys, sizes.items(), strict=False)
    }
    optimizer = optax.adam(1e-3)

    def loss_of(weights: dict, key: jax.Array, image: jax.Array) -> jax.Array:
        def layer(name: str, values: jax.Array) -> jax.Array:
            return values @ weights[name][0] + weights[name][1]

        seen = activation(layer("hidden", image))
        mean, log_std = layer("mean", seen), layer("log_std", seen)
        code = mean + jnp.exp(log_std) * jax.random.normal(key, mean.shape)
        logits = layer("logits", activation(layer("widen", code)))
        unlikely = optax.sigmoid_binary_cross_entropy(logits, image).sum(-1)
        kl = 0.5 * (mean**2 + jnp.exp(2 * log_std) - 1 - 2 * log_std).sum(-1)
        return (unlikely + kl).mean()

    def step(state: tuple, given: tuple) -> tuple:
        (weights, averages), (chosen, key) = state, given
        image = (rows[chosen] > 127).astype(jnp.float32)
        loss, gradient = jax.value_and_grad(loss_of)(weights, key, image)
        updates, averages = optimizer.update(gradient, averages)
        return (optax.apply_updates(weights, updates), averages), loss

    @partial(jax.jit, donate_argnums=0)
    def steps(state: tuple, key: jax.Array) -> tuple:
        order, noise = jax.random.split(key)
        chosen = jax.random.permutation(order, len(rows)).reshape(-1, setting.batch_size)
        state, losses = jax.lax.scan(step, state, (chosen, jax.random.split(noise, len(chosen))))
        return state, losses.mean()

    run = SimpleNamespace(state=(weights, optimizer.init(weights)), key=keys[-1])

    def epoch() -> None:
        run.key, key = jax.random.split(run.key)
        run.state, loss = steps(run.state, key)
        loss.block_until_ready()

    return epoch


def forward_floor(setting: Setting, rows: int, count: int, decodings: int) -> Callable[[], None]:
    """The products of evaluation: `count` images encoded, `decodings` codes decoded of each.

    Codes are decoded `rows` at a time, with one decoding a code the images too.
    """
    encoded = torch.randn(count, 784)
    first, last = torch.randn(setting.hidden, 784), torch.randn(784, setting.hidden)
    mean, log_std = torch.randn(2, setting.latent, setting.hidden)
    widen, code = torch.randn(setting.hidden, setting.latent), torch.randn(rows, setting.latent)

    def evaluation() -> None:
        for image in encoded.split(rows if decodings == 1 else 100):
            hidden = image @ first.T
            hidden @ mean.T, hidden @ log_std.T
        for _ in range(math.ceil(count * decodings / rows)):
            code @ widen.T @ last.T

    return evaluation


def write_idx(folder: str, images: Tensor, labels: Tensor) -> None:
    """Lay data out as torchvision expects MNIST's training set in `folder`."""
    raw = Path(folder, "MNIST", "raw")
    raw.mkdir(parents=True, exist_ok=True)
    for name, values in {
        "train-images-idx3-ubyte": images.view(-1, 28, 28),
        "train-labels-idx1-ubyte": labels.to(torch.uint8),
    }.items():
        header = np.array([0x0800 + values.ndim, *values.shape], dtype=">i4").tobytes()
        (raw / name).write_bytes(header + values.numpy().tobytes())
    for name in ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        (raw / name).touch()  # torchvision wants them to exist


def _sizes(setting: Setting, count: int) -> Iterator[int]:
    whole, rest = divmod(count, setting.batch_size)
    yield from [setting.batch_size] * whole
    if rest:
        yield rest
