import hashlib
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from scipy.stats import norm
from test_seam import TwoLevels
from torch import nn

from vaelib import archive, checkpoint, evaluation, vae
from vaelib.ans import Stack
from vaelib.archive import ArchiveError, compress, decompress, group_sizes
from vaelib.binarization import freeze, threshold
from vaelib.compression import BINS, POSTERIOR, Codec
from vaelib.decoder import Bernoulli
from vaelib.encoder import Gaussian
from vaelib.exact import on_grid
from vaelib.training import train

HOME = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def trained(digits):
    generator = torch.Generator().manual_seed(0)
    model = vae.dense(hidden=100, latent=10, activation="silu", generator=generator)
    # after fewer steps its means may lie beyond the prior's last bin, which is dear
    train(model, digits, protocol="dynamic", batch_size=50, epochs=2, generator=generator)
    return model


@pytest.fixture(scope="module")
def codec(trained):
    return Codec(trained)


@pytest.fixture(scope="module")
def images(digits):
    return freeze(digits[:100], torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def file(codec, images):
    return compress(codec, images)


class Tabled(TwoLevels):
    """Two levels, with its non-linearity as a layer."""

    def __init__(self):
        super().__init__()
        self.tanh = nn.Tanh()

    def likelihood(self, latents):
        return Bernoulli(self.logits(self.tanh(self.down(latents[0]) + self.mix(latents[1]))))


@pytest.fixture(scope="module")
def two_levels(digits):
    torch.manual_seed(0)
    model = Tabled()
    train(model, digits, protocol="dynamic", epochs=1)
    return model


class TestLatents:
    def q(self, *rows):
        return Gaussian(*(on_grid(torch.tensor(row, dtype=torch.float64))[None] for row in rows))

    @pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (1.3, 0.2), (-2.5, 0.05), (9.0, 3.0)])
    def test_a_bin_has_the_probability_that_q_gives_it(self, codec, mean, std):
        q = self.q([mean], [math.log(std)])
        bins = torch.arange(BINS)[:, None]
        start, size = codec.interval(Gaussian(*(x.expand(BINS, 1) for x in q)), bins)
        assert start[0] == 0
        assert torch.equal(start[1:], (start + size)[:-1]), "no gap between bins"
        assert (start + size)[-1] == 2**POSTERIOR
        assert size.min() >= 1
        ends = norm.ppf([i / BINS for i in range(BINS + 1)])
        exactly = norm.cdf(ends[1:], mean, std) - norm.cdf(ends[:-1], mean, std)
        assert abs(size[:, 0].numpy() / 2**POSTERIOR - exactly).max() < 0.004
        wasted = sum(p * math.log2(p * 2**POSTERIOR / s) for p, s in zip(
            exactly, size[:, 0].tolist(), strict=True) if p > 1e-9)  # fmt: skip
        assert wasted < 0.005, "bits that a latent costs more than under q itself"

    def test_popped_bins_are_those_of_the_slots_and_go_back(self, codec, generator):
        q = Gaussian(
            on_grid(torch.randn(40, 10, generator=generator).double() * 2),
            on_grid(torch.randn(40, 10, generator=generator).double() - 1.5),
        )
        stack = Stack(borrow=True)
        bins = codec.pop_latents(stack, q)
        start, size = (x.flatten().flip(0).tolist() for x in codec.interval(q, bins))
        stack.push(start, size, POSTERIOR)
        stack.check_returned()
        assert bins.min() >= 0
        assert bins.max() < BINS


class TestLength:
    def test_the_file_is_as_long_as_the_elbo_says(self, trained, images, file):
        """Up to four standard errors of one latent per image, of which the file has another one."""
        generator = torch.Generator().manual_seed(3)
        weights = evaluation.draw_log_weights(
            trained, threshold(images), samples=500, generator=generator
        )
        expected = -weights.mean().item() / math.log(2)
        error = (weights.var(0).mean() / len(images)).sqrt().item() / math.log(2)
        bits = 8 * len(file) / len(images)
        assert error < 0.015 * expected
        # what is borrowed for the first images, header and head
        most = 4 * error + 800 / len(images)
        assert -4 * error < bits - expected < most

    def test_the_bills_add_up_to_the_file(self, codec, images, file):
        bills = []
        compress(codec, images, watch=lambda done, bill: bills.append((done, bill)))
        assert [done for done, _ in bills][-1] == len(images)
        total = sum(bill.total.sum().item() for _, bill in bills)
        written = 8 * (len(file) - archive.HEADER.size)
        assert 0 < written - total < 600, "the first latents have nothing to come back to"

    def test_images_in_one_file_get_bits_back_that_each_alone_does_not(self, codec, images):
        alone = sum(len(compress(codec, images[at : at + 1])) for at in range(10))
        together = len(compress(codec, images[:10]))
        headers = 9 * archive.HEADER.size
        assert together < alone - headers - 9 * 3, "three bytes or more come back at each but one"


class TestRoundTrip:
    def test_images_come_back_bit_for_bit(self, codec, images, file):
        assert torch.equal(decompress(codec, file), images)

    @pytest.mark.parametrize("count", [1, 2, 3, 17])
    def test_of_any_number(self, codec, images, count):
        made = compress(codec, images[:count])
        assert torch.equal(decompress(codec, made), images[:count])

    def test_images_that_no_model_expects_come_back_and_are_dear(self, codec, file, generator):
        noise = (torch.rand(20, 784, generator=generator) < 0.5).byte() * 255
        extremes = torch.tensor([0, 255], dtype=torch.uint8)[:, None].expand(2, 784)
        strange = torch.cat([noise, extremes])
        made = compress(codec, strange)
        assert torch.equal(decompress(codec, made), strange)
        assert len(made) / 22 > 4 * len(file) / 100

    def test_a_model_of_two_levels_which_costs_what_its_elbo_says(self, images, two_levels):
        codec = Codec(two_levels)
        made = compress(codec, images)
        assert torch.equal(decompress(codec, made), images)
        bound = -evaluation.mean_terms(two_levels, images, protocol="static").bound.item()
        assert abs(8 * len(made) / len(images) / (bound / math.log(2)) - 1) < 0.03

    def test_a_model_that_calls_functions_is_refused(self, images):
        torch.manual_seed(0)
        with pytest.raises(TypeError, match="must use layers for its non-linearities"):
            compress(Codec(TwoLevels()), images[:2])

    def test_a_convolutional_model(self, images, generator):
        codec = Codec(vae.convolutional(channels=(4, 6), generator=generator))
        assert torch.equal(decompress(codec, compress(codec, images[:9])), images[:9])


def in_a_process(code, *arguments, threads):
    """What a Python of its own prints; its PyTorch has so many threads."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(HOME)}
    run = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return run.stdout.strip()


def test_processes_with_other_threads_write_one_file_and_read_each_others(
    trained, images, file, tmp_path
):
    checkpoint.save(trained, tmp_path / "model")
    torch.save(images, tmp_path / "images")
    write = """if True:
        import sys, torch
        from vaelib import archive, checkpoint
        from vaelib.compression import Codec
        model, images, out = sys.argv[1:]
        made = archive.compress(Codec(checkpoint.load(model)), torch.load(images))
        open(out, "wb").write(made)"""
    read = """if True:
        import sys, torch
        from vaelib import archive, checkpoint
        from vaelib.compression import Codec
        model, images, file = sys.argv[1:]
        back = archive.decompress(Codec(checkpoint.load(model)), open(file, "rb").read())
        print(torch.equal(back, torch.load(images)))"""
    for threads in (1, 2):
        paths = tmp_path / "model", tmp_path / "images", tmp_path / f"file-{threads}"
        in_a_process(write, *paths, threads=threads)
        assert paths[-1].read_bytes() == file
        assert in_a_process(read, *paths, threads=3 - threads) == "True"


def test_another_library_of_linear_algebra_writes_the_same_file(trained, images, file):
    """NumPy's OpenBLAS multiplies, image by image, in the place of PyTorch's own library."""
    codec = Codec(trained)
    for layer in codec.model.modules():
        if isinstance(layer, nn.Linear):
            layer.forward = lambda x, own=layer: torch.stack(
                [torch.from_numpy(own.weight.numpy() @ row.numpy()) for row in x]
            ).add(own.bias)
    assert compress(codec, images) == file
    assert torch.equal(decompress(codec, file), images)


class TestGroups:
    @pytest.mark.parametrize("share", [1, 64, 255])
    @pytest.mark.parametrize("count", [1, 2, 999, 20_000])
    def test_sizes_add_up_grow_and_are_bounded(self, count, share):
        sizes = list(group_sizes(count, share))
        assert sum(sizes) == count
        assert max(sizes) <= archive.AT_ONCE
        assert sizes[0] == 1
        assert sizes[:-1] == sorted(sizes[:-1])


class TestRefusals:
    def damaged(self, codec, file, words):
        with pytest.raises(ArchiveError, match=words):
            decompress(codec, file)

    def test_other_files(self, codec, file):
        self.damaged(codec, b"", "not a file of images")
        self.damaged(codec, b"PK\x03\x04" + bytes(100), "not a file of images")
        self.damaged(codec, file[:-4], "damaged or cut short")
        self.damaged(codec, file[:-3], "cut short")
        self.damaged(codec, file[:20], "cut short")
        self.damaged(codec, file + bytes(4), "damaged or cut short")
        self.damaged(codec, file[:4] + b"\x07" + file[5:], "version 7")

    def test_another_model_is_named(self, codec, file, generator):
        other = Codec(vae.dense(hidden=100, latent=10, activation="silu", generator=generator))
        self.damaged(other, file, f"it names {codec.name.hex()}, and this model is")

    def test_two_thousand_damaged_files_are_refused(self, codec, file):
        import random

        from damage import damaged

        dice, refused = random.Random(0), 0
        for _ in range(2000):
            made = damaged(dice, file)
            if made != file:
                refused += 1
                with pytest.raises(ArchiveError):
                    decompress(codec, made)
        assert refused > 1000

    def test_a_file_that_claims_too_much_ends_where_its_words_end(self, codec, images):
        """Its checksum is right, as a forger's would be; a million images are not in it."""
        made = compress(codec, images[:3])
        fields = list(archive.HEADER.unpack_from(made))
        fields[3], tail = archive.MOST, made[archive.HEADER.size :]
        fields[7] = bytes(8)
        fields[7] = archive.checksum(archive.HEADER.pack(*fields), tail)
        self.damaged(codec, archive.HEADER.pack(*fields) + tail, "more to pop|was not there")

    @pytest.mark.parametrize("place", [0, 5, 9])
    def test_other_words_under_a_checksum_that_fits_leave_something_behind(
        self, codec, images, place
    ):
        made = bytearray(compress(codec, images[:9]))
        made[archive.HEADER.size + place] ^= 1
        fields = [*archive.HEADER.unpack_from(made)]
        fields[7], tail = bytes(8), bytes(made[archive.HEADER.size :])
        fields[7] = archive.checksum(archive.HEADER.pack(*fields), tail)
        self.damaged(codec, archive.HEADER.pack(*fields) + tail, "is damaged: ")

    @pytest.mark.parametrize(("field", "value"), [(3, 0), (3, 2_000_000), (4, 27), (5, 1)])
    def test_a_forged_number_or_shape_is_named(self, codec, images, field, value):
        made = compress(codec, images[:3])
        fields, tail = [*archive.HEADER.unpack_from(made)], made[archive.HEADER.size :]
        fields[field], fields[7] = value, bytes(8)
        fields[7] = archive.checksum(archive.HEADER.pack(*fields), tail)
        self.damaged(codec, archive.HEADER.pack(*fields) + tail, "the file claims")

    @pytest.mark.usefixtures("as_users_run")
    @pytest.mark.parametrize("shape", [(-28, -28), (784,), (4, 14, 14), (28.0, 28.0), (28, 27)])
    def test_a_shape_that_is_none(self, codec, images, shape):
        with pytest.raises(ValueError, match=r"a shape \(height, width\)"):
            compress(codec, images[:1], shape)

    @pytest.mark.usefixtures("as_users_run")
    def test_other_types_are_taken_or_named_and_nothing_is_lost(self, codec, images):
        for same in (images > 0, images.numpy(), images.view(-1, 28, 28)):
            assert compress(codec, same) == compress(codec, images)
        for wrong in (images.float(), images.int()):
            with pytest.raises(TypeError, match="expected images as uint8"):
                compress(codec, wrong)

    def test_a_likelihood_of_another_shape_or_kind(self, trained, images):
        class Odd(type(trained)):
            def likelihood(self, latents):
                return self.odd(super().likelihood(latents).logits)

        model = Odd(trained.encoder, trained.decoder)
        for odd in (lambda logits: Bernoulli(logits[:, :1]), lambda logits: norm):
            model.odd = odd
            with pytest.raises(TypeError, match="expected a model of binary images"):
                compress(Codec(model), images[:2])

    @pytest.mark.usefixtures("as_users_run")
    def test_images_that_are_grey_of_another_size_or_none(self, codec, digits, images):
        with pytest.raises(ValueError, match="binarize them first"):
            compress(codec, digits[:10])
        with pytest.raises(ValueError, match=r"shape \(batch, 784\)"):
            compress(codec, images[:, :100])
        with pytest.raises(ValueError, match="one row each"):
            compress(codec, images[:0])
        with pytest.raises(ValueError, match="784 pixels"):
            compress(codec, images[:2], (27, 28))


def test_a_file_of_this_version_stays_what_it_is():
    """Weights and images that can be written down, and the digest of their file."""
    model = vae.dense(pixels=12, hidden=6, latent=2, activation="silu")
    for number, weights in enumerate(model.parameters()):
        steps = torch.arange(weights.numel()) * (7 + number) % 17 - 8
        weights.data = (steps.float() / 8).view_as(weights)
    images = (torch.arange(40 * 12).view(40, 12) * 5 % 7 < 3).byte() * 255
    codec = Codec(model)
    made = compress(codec, images, (3, 4))
    assert torch.equal(decompress(codec, made), images)
    assert hashlib.sha256(made).hexdigest()[:16] == "0e3e2e250bcc9853", "count VERSION up"
