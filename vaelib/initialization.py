"""How weights start: Glorot-uniform, with zero biases, as in Flux; or biases that know the mean."""

from jaxtyping import Float, UInt8
from torch import Generator, Tensor, nn


def glorot_uniform(network: nn.Module, generator: Generator | None = None) -> None:
    """Redraw every weight of `network` from U(−a, a), a = √(6 / (fan_in + fan_out)); zero biases.

    Changes the network in place. Glorot & Bengio 2010, equation 16.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.xavier_uniform_(layer.weight, generator=generator)
            nn.init.zeros_(layer.bias)


def pixel_log_odds(images: UInt8[Tensor, "image pixel"]) -> Float[Tensor, " pixel"]:
    """log(p / (1 − p)) of each pixel's mean intensity p: where a decoder's biases may begin.

    Half an image of ink and half of background are added, so that no pixel is certain. A decoder
    with these biases and no weights is the model of independent pixels.
    """
    mean = (images.sum(0) / 255 + 0.5) / (len(images) + 1)
    return mean.logit()
