import pytest
import torch

from vaelib import binarization as b


def test_intensity_spans_zero_to_one():
    pixels = torch.tensor([0, 51, 255], dtype=torch.uint8)
    torch.testing.assert_close(b.intensity(pixels), torch.tensor([0.0, 0.2, 1.0]))


def test_threshold_is_an_intensity_above_a_half_for_every_byte():
    pixels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(b.threshold(pixels), (pixels / 255 > 0.5).float())


def test_protocols_are_known_by_name():
    assert [b.protocol_named(name) for name in b.PROTOCOLS] == [b.threshold, b.dynamic, b.static]
    assert b.protocol_named(b.freeze) is b.freeze
    with pytest.raises(ValueError, match="no protocol is called 'by coin'; there is threshold, dy"):
        b.protocol_named("by coin")


def test_bernoulli_by_hand_and_at_the_ends():
    noise = torch.tensor([0.0, 0.3, 0.9, 0.9999])
    assert b.bernoulli(torch.tensor([0.0, 0.4, 0.6, 1.0]), noise).tolist() == [0, 1, 0, 1]


def test_dynamic_pixels_are_ink_as_often_as_their_intensity_says(generator):
    pixels = torch.arange(256, dtype=torch.uint8).repeat(4000, 1)
    mean = b.dynamic(pixels, generator).mean(0)
    intensity = torch.arange(256) / 255
    error = (intensity * (1 - intensity) / 4000).sqrt()
    assert ((mean - intensity).abs() <= 5 * error).all()
    assert mean[0] == 0
    assert mean[255] == 1


def test_dynamic_agrees_with_bernoulli_on_the_same_noise(pixels):
    noise = b.byte_noise(pixels.shape, torch.Generator().manual_seed(5))
    drawn = b.dynamic(pixels, torch.Generator().manual_seed(5))
    middle_of_its_level = (noise + 0.5) / 255
    assert torch.equal(drawn, b.bernoulli(b.intensity(pixels), middle_of_its_level))


def test_all_255_levels_of_noise_are_equally_likely(generator):
    count = 4_000_000
    noise = b.byte_noise((count // 8, 8), generator)
    for bytes_of_a_word in (noise, noise[:, :1], noise[:, -1:]):
        found = bytes_of_a_word.flatten().long().bincount(minlength=256)
        assert found[255] == 0
        expected = bytes_of_a_word.numel() / 255
        chi_squared = ((found[:255] - expected) ** 2 / expected).sum()
        assert abs(chi_squared - 254) < 5 * (2 * 254) ** 0.5
    centred = noise.double() - 127
    neighbours = (centred[:, 1:] * centred[:, :-1]).mean() / centred.square().mean()
    assert abs(neighbours) < 5 / (count * 7 / 8) ** 0.5


@pytest.mark.parametrize("shape", [(0,), (1,), (3, 5), (7, 784), (2, 3, 4)])
def test_noise_has_any_shape(shape, generator):
    noise = b.byte_noise(shape, generator)
    assert noise.shape == shape
    assert noise.dtype == torch.uint8


def test_noise_is_drawn_again_when_too_many_words_are_left_out(generator, monkeypatch):
    calls, select = [], torch.Tensor.masked_select

    def few(words, mask):
        calls.append(len(words))
        return select(words, mask)[: 1 if len(calls) == 1 else None]

    monkeypatch.setattr(torch.Tensor, "masked_select", few)
    assert b.byte_noise((4, 784), generator).shape == (4, 784)
    assert len(calls) == 2


def test_noise_is_made_on_the_device_of_the_pixels():
    assert b.dynamic(torch.zeros(2, 3, dtype=torch.uint8, device="meta")).is_meta


def test_a_seed_repeats_and_another_differs(pixels):
    one, same, other = (
        b.dynamic(pixels, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_frozen_pixels_stay_under_every_protocol(pixels, generator):
    frozen = b.freeze(pixels, generator)
    assert set(frozen.unique().tolist()) == {0, 255}
    assert torch.equal(b.threshold(frozen), b.dynamic(frozen, generator))
    assert torch.equal(b.threshold(frozen), frozen / 255)


@pytest.mark.usefixtures("as_users_run")
class TestErrors:
    @pytest.mark.parametrize("value", [-0.01, 1.01, 255.0, float("nan")])
    def test_intensity_outside_its_range(self, value):
        with pytest.raises(ValueError, match="expected probabilities from 0 to 1"):
            b.bernoulli(torch.tensor([0.5, value]), torch.zeros(2))

    def test_bytes_where_intensities_belong(self, pixels):
        with pytest.raises(TypeError, match=r"binarization\.intensity"):
            b.bernoulli(pixels, torch.zeros(pixels.shape))

    def test_floats_where_bytes_belong(self):
        for function in (b.intensity, b.threshold, b.dynamic, b.freeze):
            with pytest.raises(TypeError, match="uint8"):
                function(torch.rand(3))

    def test_noise_of_another_shape(self):
        with pytest.raises(ValueError, match=r"noise of one shape, got \(3,\) and \(1,\)"):
            b.bernoulli(torch.rand(3), torch.rand(1))


def test_freezing_tosses_coins():
    grey = torch.full((1000,), 128, dtype=torch.uint8)
    frozen = b.freeze(grey, torch.Generator().manual_seed(0))
    assert 400 < (frozen == 255).sum() < 600


def test_frozen_images_are_taken_as_they_are(pixels, generator):
    frozen = b.freeze(pixels, generator)
    assert torch.equal(b.static(frozen), frozen / 255)


@pytest.mark.usefixtures("as_users_run")
def test_grey_images_are_not_frozen(pixels):
    with pytest.raises(ValueError, match=r"all 0 or 255, but one is \d+; draw .* freeze\("):
        b.static(pixels)
    with pytest.raises(TypeError, match="uint8"):
        b.static(torch.rand(3))
