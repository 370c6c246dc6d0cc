import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset
from torchvision.datasets import VisionDataset

from vaelib import data, evaluation, training, vae
from vaelib.binarization import freeze
from vaelib.data.rows import check_ink, rows_of


def small():
    return vae.dense(hidden=5, latent=2, generator=torch.Generator().manual_seed(0))


WAYS = {
    "rows": lambda x: x,
    "with side lengths": lambda x: x.view(-1, 28, 28),
    "with a channel": lambda x: x.view(-1, 1, 28, 28),
    "NumPy": lambda x: x.numpy(),
    "NumPy, read-only": lambda x: np.frombuffer(x.numpy().tobytes(), np.uint8).reshape(-1, 28, 28),
    "NumPy, upside down and back": lambda x: x.numpy()[::-1].copy()[::-1],
    "what load returns": lambda x: data.Dataset(x, torch.zeros(len(x), dtype=torch.uint8), "own"),
}


@pytest.mark.parametrize("way", WAYS)
def test_images_are_taken_in_every_unambiguous_form(way, pixels):
    given = WAYS[way](pixels)
    assert torch.equal(rows_of(given), pixels)
    model, found = small(), {}
    history = training.train(
        model, given, test_images=given, epochs=1, generator=torch.Generator().manual_seed(0)
    )
    twin = small()
    expected = training.train(
        twin, pixels, test_images=pixels, epochs=1, generator=torch.Generator().manual_seed(0)
    )
    assert torch.equal(history.train.bound, expected.train.bound)
    assert torch.equal(history.test.bound, expected.test.bound)
    assert history.state.settings["images"] == expected.state.settings["images"]
    found = evaluation.estimate(model, given, protocol="dynamic", samples=2)
    exact = evaluation.estimate(model, pixels, protocol="dynamic", samples=2)
    assert torch.equal(found.log_evidence, exact.log_evidence)


def test_true_is_ink(pixels):
    for given in (pixels > 127, (pixels > 127).numpy()):
        assert torch.equal(rows_of(given), (pixels > 127).to(torch.uint8) * 255)


class Bytes(VisionDataset):
    """As torchvision's MNIST: the bytes in .data."""

    def __init__(self, images):
        super().__init__(root=None)
        self.data = images.view(-1, 28, 28)


@pytest.mark.usefixtures("as_users_run")
@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda x: x.float() / 255, r"got torch.float32.* by \(255 \* images\)\.round\(\)\.to\("),
        (lambda x: x.numpy() / 255, r"got a NumPy array of float64\..*\.astype\(\"uint8\"\)"),
        (lambda x: x.long(), r"got torch.int64.* by images\.to\(torch\.uint8\)"),
        (lambda x: x.float(), r"by images\.round\(\)\.to\(torch\.uint8\)"),
        (lambda x: x.numpy().astype(int), r"int64.* by images\.astype\(\"uint8\"\)"),
        (lambda x: x.numpy() / 100 - 1, r"Their values go from -1 to 1.55; scale them"),
        (lambda x: x.float() / 0, "Give bytes"),
        (lambda x: small(), "The model comes first, then the images"),
        (lambda x: DataLoader(TensorDataset(x)), r"DataLoader\. .* at once: torch\.stack"),
        (lambda x: TensorDataset(x), r"TensorDataset\. Give all images at once: torch\.stack"),
        (lambda x: Bytes(x), r"Bytes\. .* in \.data, of shape \(60, 28, 28\)"),
        (lambda x: list(x), r"got list\. .*torch\.stack\(images\)"),
        (lambda x: Bytes(x.float()), r"Bytes\. Give all images at once"),
        (lambda x: "pictures", r"got str\. Load them first: vaelib\.data\.load"),
        (lambda x: None, r"got NoneType\."),
    ],
)
def test_for_the_rest_the_error_names_the_way(made, said, pixels):
    for use in (training.train, evaluation.evaluate):
        with pytest.raises(TypeError, match=said) as caught:
            use(small(), made(pixels))
        assert "a tensor or NumPy array of shape (image, pixel)" in str(caught.value)


def test_the_advice_works(pixels):
    """What the messages tell to write gives the bytes."""
    images, np_images = pixels.float() / 255, pixels.numpy() / 255
    assert torch.equal((255 * images).round().to(torch.uint8), pixels)
    assert torch.equal(rows_of((255 * np_images).round().astype(np.uint8)), pixels)
    for given in (images, pixels):
        dataset = TensorDataset(given, torch.zeros(60))
        stacked = torch.stack([image for image, label in dataset])
        assert torch.equal(stacked, given)
    assert torch.equal(rows_of(pixels.float().round().to(torch.uint8)), pixels)
    dim = pixels // 16
    most = dim.max().item()
    scaled = (dim * (255 / most)).round().to(torch.uint8)
    check_ink(scaled, least=128)
    assert scaled.max() == 255


def test_bytes_that_end_far_below_255_have_no_ink(pixels):
    binary = (pixels > 127).to(torch.uint8)
    with pytest.raises(ValueError, match=r"bytes 0 and 1\. Multiply them by 255"):
        check_ink(binary)
    with pytest.raises(ValueError, match=r"bytes 0 and 1\. Multiply them by 255"):
        freeze(binary)
    with pytest.raises(ValueError, match="the largest one is 16"):
        check_ink(pixels // 16 + 1)
    for fine in (pixels, pixels[:0], torch.zeros_like(pixels), binary * 255):
        check_ink(fine, least=128)
