"""Images to learn from: `data.load("mnist", "train")`."""

from vaelib.data.loading import Dataset, load
from vaelib.data.store import DataError, UnreachableError

__all__ = ["DataError", "Dataset", "UnreachableError", "load"]
