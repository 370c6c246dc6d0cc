"""Interactive explorers, one for each idea. Behind each is a function that needs no widget."""

from vaelib.course.explorers.balance import weigh
from vaelib.course.explorers.bits import compress
from vaelib.course.explorers.cloud import encode
from vaelib.course.explorers.coins import binarize
from vaelib.course.explorers.decoding import decode
from vaelib.course.explorers.divergence import diverge
from vaelib.course.explorers.gap import bound
from vaelib.course.explorers.gradients import differentiate
from vaelib.course.explorers.latent_map import walk
from vaelib.course.explorers.live import train_live
from vaelib.course.explorers.redraw import levels
from vaelib.course.explorers.shell import Explorer, View, strip
from vaelib.course.explorers.sketch import draw
from vaelib.course.explorers.weights import estimate

__all__ = [
    "Explorer",
    "View",
    "binarize",
    "bound",
    "compress",
    "decode",
    "differentiate",
    "diverge",
    "draw",
    "encode",
    "estimate",
    "levels",
    "strip",
    "train_live",
    "walk",
    "weigh",
]
