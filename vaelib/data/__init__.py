"""Images to learn from: `data.load("mnist", "train")`."""

from vaelib.data.catalogue import DataError, UnreachableError
from vaelib.data.loading import Dataset, load

__all__ = ["DataError", "Dataset", "UnreachableError", "load"]
