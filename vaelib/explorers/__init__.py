"""Turn it and see: an explorer for each idea, over functions that need no widget."""

from vaelib.explorers.binarization import binarize
from vaelib.explorers.decoder import decode
from vaelib.explorers.latent import walk
from vaelib.explorers.shell import Explorer, View, strip
from vaelib.explorers.training import train_live

__all__ = ["Explorer", "View", "binarize", "decode", "strip", "train_live", "walk"]
