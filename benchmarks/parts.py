"""What each part of a training step costs: the bare script without it, raced against its floor.

`python -m benchmarks.parts` (about three minutes on two cores) prints, for the blog post's network
at batch 100 and 500, the bare script in floors, and by how many floors it falls without each part.
"""

import statistics
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.contenders import Setting, floor
from benchmarks.timing import race, ratios
from vaelib import data
from vaelib.device import keep_freed_memory

PARTS = ("tanh", "likelihood", "KL", "Adam", "biases")
STEPS, ROUNDS = 100, 9


def bare_without(part: str | None, setting: Setting, binary: Tensor) -> Callable[[], None]:
    """`benchmarks.contenders.bare` with one of `PARTS` left out, or with all of them."""
    model = setting.model()
    encoder, decoder = model.encoder, model.decoder
    if part == "tanh":
        encoder.hidden[1] = decoder.hidden[1] = nn.Identity()
    if part == "biases":
        for layer in model.modules():
            if isinstance(layer, nn.Linear):
                layer.bias = None
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

    def epoch() -> None:
        for image in binary.split(setting.batch_size):
            hidden = encoder.hidden(image)
            mean, log_std = encoder.mean(hidden), encoder.log_std(hidden)
            code = mean + log_std.exp() * torch.randn(len(image), setting.latent)
            logits = decoder.logits(decoder.hidden(code))
            if part == "likelihood":
                loss = (logits * image).sum()  # one product, so that there is something to learn
            else:
                loss = F.binary_cross_entropy_with_logits(logits, image, reduction="sum")
            if part != "KL":
                loss = loss + 0.5 * (mean**2 + (2 * log_std).exp() - 1 - 2 * log_std).sum()
            optimizer.zero_grad()
            (loss / len(image)).backward()
            if part != "Adam":
                optimizer.step()

    return epoch


def main() -> None:
    """Race, and print a line for each batch size."""
    keep_freed_memory()
    images = data.load(split="train").images
    for size in (100, 500):
        setting = Setting(f"batch {size}", batch_size=size)
        binary = (images[: STEPS * size] >> 7).float()
        contenders = {part: bare_without(part, setting, binary) for part in (None, *PARTS)}
        seconds = race({"floor": floor(setting, len(binary)), **contenders}, ROUNDS)
        in_floors = {
            part: statistics.median(ratios(seconds[part], seconds["floor"])) for part in contenders
        }
        gains = ", ".join(f"{part} {in_floors[None] - in_floors[part]:.2f}" for part in PARTS)
        print(f"{setting.name}: {in_floors[None]:.2f} floors; of these {gains}")


if __name__ == "__main__":
    main()
