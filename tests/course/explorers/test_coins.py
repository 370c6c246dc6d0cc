import math

import torch

from vaelib.course import explorers
from vaelib.course.explorers import coins


def test_draws_have_the_right_probability_and_are_repeatable():
    grey = torch.tensor([0.0, 0.1, 0.5, 0.9, 1.0])
    tosses = torch.stack([coins.toss(grey, number) for number in range(4000)])
    error = (grey * (1 - grey) / 4000).sqrt()
    assert ((tosses.mean(0) - grey).abs() <= 4 * error).all()
    assert torch.equal(coins.toss(grey, 7), tosses[7])


def test_entropy_is_that_of_torch_and_zero_for_certain_pixels():
    probability = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
    expected = torch.distributions.Bernoulli(probability).entropy()
    assert torch.allclose(coins.entropy(probability), expected)
    assert coins.entropy(torch.tensor([0.0, 1.0])).tolist() == [0.0, 0.0]
    assert math.isclose(coins.entropy(torch.tensor(0.5)).item(), math.log(2), rel_tol=1e-6)


def test_the_words_count_what_the_picture_shows():
    pixels = torch.zeros(784, dtype=torch.uint8)
    pixels[:10], pixels[10:14] = 255, 51  # ten certain, four with probability 1/5
    words = coins.view_binarized(pixels, level=0.1, tossed=3).words
    now = coins.toss(pixels / 255, 3)
    flipped = int((now != coins.toss(pixels / 255, 2)).sum())
    assert "<b>14</b> pixels by the threshold" in words
    assert f"<b>{int(now.sum())}</b> in this draw" in words
    assert f"{10 + 4 / 5:.0f} expected" in words
    assert f"<b>{flipped}</b> pixels" in words
    assert f"{4 * 2 * 0.2 * 0.8:.0f} expected. Entropy" in words
    entropy = -4 * (0.2 * math.log(0.2) + 0.8 * math.log(0.8))
    assert f"<b>{entropy:.1f}</b> nats" in words


def test_the_picture_shows_the_threshold_where_it_stands(digits):
    half = coins.view_binarized(digits[0]).figure.pixels()
    low = coins.view_binarized(digits[0], level=0.05).figure.pixels()
    panels = [range(8 + 270 * i, 8 + 270 * i + 250) for i in range(4)]
    changed = (half != low).any(-1)[60:]
    assert changed[:, panels[1]].any()
    for untouched in (0, 2, 3):
        assert not changed[:, panels[untouched]].any()


def test_a_small_data_set_is_enough(digits):
    assert explorers.binarize(digits[:3]).controls["digit"].max == 2
