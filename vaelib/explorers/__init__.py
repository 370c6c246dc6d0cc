"""Turn it and see: an explorer for each idea, over functions that need no widget."""

from vaelib.explorers.binarization import binarize
from vaelib.explorers.decoder import decode
from vaelib.explorers.elbo import bound, diverge
from vaelib.explorers.encoder import encode
from vaelib.explorers.evaluation import estimate
from vaelib.explorers.handwriting import draw
from vaelib.explorers.latent import walk
from vaelib.explorers.shell import Explorer, View, strip
from vaelib.explorers.training import train_live

__all__ = [
    "Explorer",
    "View",
    "binarize",
    "bound",
    "decode",
    "diverge",
    "draw",
    "encode",
    "estimate",
    "strip",
    "train_live",
    "walk",
]
