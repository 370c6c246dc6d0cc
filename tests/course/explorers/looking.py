"""What an explorer's picture shows, read off its pixels; places are in inches."""

import numpy as np


def pixel_at(picture: np.ndarray, left: float, bottom: float) -> tuple[int, int]:
    """Row and column of the pixel at a place."""
    return round(picture.shape[0] - bottom * 150), round(left * 150)


def image_at(
    picture: np.ndarray, left: float, bottom: float, side: float, shape=(28, 28)
) -> np.ndarray:
    """The values, 0 to 1, of an image that is drawn in grey in a square of `side` inches."""
    high, wide = shape
    scale = int(side * 150 / max(shape))
    row, column = pixel_at(picture, left, bottom)
    rows = row - high * scale + np.arange(high) * scale + scale // 2
    columns = column + np.arange(wide) * scale + scale // 2
    return 1 - picture[rows][:, columns, 0] / 255
