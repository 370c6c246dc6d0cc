"""How weights start: Glorot-uniform, with zero biases, as in Flux."""

from torch import Generator, nn

from vaelib.device import checked_generator


def glorot_uniform(network: nn.Module, generator: Generator | None = None) -> None:
    """Redraw every weight of `network` from U(−a, a), a = √(6 / (fan_in + fan_out)); zero biases.

    Changes the network in place. Glorot & Bengio 2010, equation 16.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.xavier_uniform_(layer.weight, generator=checked_generator(generator))
            nn.init.zeros_(layer.bias)
