"""Turn it and see: an explorer for each idea, over functions that need no widget."""

from vaelib.course.explorers.binarization import binarize
from vaelib.course.explorers.decoder import decode
from vaelib.course.explorers.elbo import bound, diverge
from vaelib.course.explorers.encoder import encode
from vaelib.course.explorers.evaluation import estimate
from vaelib.course.explorers.handwriting import draw
from vaelib.course.explorers.latent import walk
from vaelib.course.explorers.shell import Explorer, View, strip
from vaelib.course.explorers.training import train_live

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
