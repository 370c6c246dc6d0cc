"""A variational autoencoder: any encoder and any decoder that agree on the code."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import Generator, nn

from vaelib.decoder import ConvDecoder, Decoder
from vaelib.encoder import ConvEncoder, Encoder


class VAE(nn.Module):
    """An encoder q(z|x) and a decoder p(x|z) that share a code and an image size.

    The encoder maps images (batch, pixels) to a `Gaussian`, the decoder codes (batch, latent)
    to logits (batch, pixels); both name their sizes `latent` and `pixels`. Training and
    sampling ask nothing else of them. Raises ValueError if their sizes differ.

    `trained_steps` counts the steps of `vaelib.training.train` that made the weights.
    """

    trained_steps = 0

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        for size in ("latent", "pixels"):
            ours, theirs = getattr(encoder, size), getattr(decoder, size)
            if ours != theirs:
                raise ValueError(
                    f"the encoder has {size}={ours} and the decoder {size}={theirs}; "
                    "they must be equal"
                )
        self.encoder = encoder
        self.decoder = decoder
        self.latent, self.pixels = encoder.latent, encoder.pixels


@contextmanager
def evaluating(vae: VAE) -> Iterator[None]:
    """Put a model into evaluation mode (dropout off, batch statistics still) for a while."""
    was_training = vae.training
    vae.eval()
    try:
        yield
    finally:
        vae.train(was_training)


def dense(
    *,
    pixels: int = 784,
    hidden: int | Sequence[int] = 500,
    latent: int = 5,
    activation: str = "tanh",
    blocks: int = 0,
    generator: Generator | None = None,
) -> VAE:
    """A VAE of dense layers; by default the blog post's, 784-500-5 and back with tanh.

    `hidden` names one width or several; the decoder has them in reverse. `blocks` residual
    blocks of the last width follow in each. Raises what `Encoder` does.
    """
    shared = dict(pixels=pixels, latent=latent, activation=activation, blocks=blocks)
    backwards = hidden if isinstance(hidden, int) else list(hidden)[::-1]
    return VAE(
        Encoder(hidden=hidden, **shared, generator=generator),
        Decoder(hidden=backwards, **shared, generator=generator),
    )


def convolutional(
    *,
    channels: Sequence[int] = (16, 32),
    latent: int = 5,
    activation: str = "relu",
    generator: Generator | None = None,
) -> VAE:
    """A VAE that shrinks by convolution and max pooling and grows back: 28-14-7-code-7-14-28."""
    shared = dict(latent=latent, activation=activation, generator=generator)
    return VAE(
        ConvEncoder(channels=channels, **shared), ConvDecoder(channels=channels[::-1], **shared)
    )
