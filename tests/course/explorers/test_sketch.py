"""The explorer of one's own digit, without a browser: what it says, against direct counts."""

import gc
import re
import tracemalloc

import numpy as np
import pytest
import torch
import traitlets

from vaelib import data, evaluation, training, vae
from vaelib.binarization import threshold
from vaelib.course.explorers import latent_map, sketch
from vaelib.course.explorers.shell import png
from vaelib.course.handwriting import as_mnist
from vaelib.elbo import elbo, kl
from vaelib.encoder import Gaussian


@pytest.fixture(scope="module")
def test():
    loaded = data.load(split="test")
    return loaded._replace(images=loaded.images[:1000], labels=loaded.labels[:1000])


@pytest.fixture(scope="module")
def model(test):
    """A small model that has seen the digits often enough to tell most of them apart."""
    generator = torch.Generator().manual_seed(0)
    made = vae.dense(hidden=100, generator=generator)
    training.train(made, test.images, epochs=40, learning_rate=5e-3, generator=generator)
    return made


@pytest.fixture(scope="module")
def tests(model, test):
    return sketch.gallery(model, test.images, test.labels)


@pytest.fixture(scope="module")
def few(model, test):
    """The first hundred digits alone, for explorers that are made anew."""
    return model, test.images[:100], test.labels[:100]


@pytest.fixture
def explorer(few):
    return sketch.draw(*few)


def drawing(test, number):
    return sketch.ink_of(sketch.enlarged(test.images[number]))


def redrawn(test, number):
    return threshold(as_mnist(drawing(test, number)))


def said(view):
    """The words without marks: −ELBO, share of easier test digits, labels of the neighbours."""
    words = re.sub(r"<[^>]+>", "", view.words)
    found = re.search(
        r"drawing: ([\d.]+) nats.*harder than (\w+(?: %)?) of.*labelled (.*)\.", words
    )
    return float(found[1]), found[2], [int(label) for label in found[3].split(", ")]


def test_its_cost_is_the_negative_bound_of_the_binary_image(model, test, tests):
    """By 4,000 samples of other noise, within five standard errors of the mean of 32."""
    cost, *_ = said(sketch.view_drawing(model, tests, drawing(test, 15)))
    image = threshold(test.images[15]).expand(4000, -1)
    noise = torch.randn(4000, 5, generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        bound = elbo(model, image, noise).bound
    assert abs(cost + bound.mean()) < 5 * bound.std() * (1 / 32 + 1 / 4000) ** 0.5 + 0.05


@pytest.mark.parametrize("number", [0, 8, 15, 62])
def test_its_share_is_a_count_of_easier_digits(model, test, tests, number):
    cost, share, _ = said(sketch.view_drawing(model, tests, drawing(test, number)))
    costs = -evaluation.evaluate(model, test.images).bound
    easier = sum(other < cost for other in costs.tolist())
    assert float(share.removesuffix(" %")) == pytest.approx(
        100 * easier / 1000, abs=0.61
    )  # rounded to 1, and one digit of 1,000


def test_a_share_is_all_or_none_only_where_it_is():
    words = {0.0: "none", 1e-4: "1 %", 0.934: "93 %", 0.9999: "99 %", 1.0: "all"}
    assert {share: sketch.in_words(share) for share in words} == words


def test_its_neighbours_are_the_nearest_by_brute_force(model, test, tests):
    with torch.no_grad():
        every = model.encoder(threshold(test.images)).mean.double().numpy()
    for number in (3, 15, 62):
        distance = np.sqrt(((every - every[number]) ** 2).sum(1))
        nearest = sorted(range(len(every)), key=lambda i, d=distance: d[i])[:5]
        assert tests.nearest(tests.codes[number]).tolist() == nearest
        *_, labels = said(sketch.view_drawing(model, tests, drawing(test, number)))
        assert labels == test.labels[nearest].tolist()
        assert nearest[0] == number  # the digit itself is among the test digits


def test_the_map_has_the_two_dimensions_that_carry_most_nats(model, test, tests):
    with torch.no_grad():
        mean, log_std = model.encoder(threshold(test.images))
    share = [kl(Gaussian(mean[:, [i]], log_std[:, [i]])).mean().item() for i in range(5)]
    assert list(tests.axes) == sorted(range(5), key=lambda i: -share[i])[:2]


def test_digits_enlarged_find_their_own_kind_and_are_rebuilt_as_themselves(model, test, tests):
    own, closest = [], []
    binary = threshold(test.images[:100])
    for number in range(100):
        code, rebuilt, _ = sketch.judge(model, redrawn(test, number))
        labels = test.labels[tests.nearest(code)[1:]]  # the first may be the digit itself
        own.append((labels == test.labels[number]).double().mean().item())
        others = (binary - rebuilt).square().sum(1)
        closest.append((others < others[number]).double().mean().item())
    assert np.mean(own) > 0.5  # by chance 0.1
    assert np.median(closest) < 0.05  # by chance 0.5


def test_setting_the_ink_draws_what_the_function_gives(explorer, few, model, test):
    tests = sketch.gallery(*few)
    empty = explorer.picture.value
    value = sketch.enlarged(test.images[700])
    explorer.set(ink=value)
    expected = sketch.view_drawing(model, tests, sketch.ink_of(value))
    assert explorer.picture.value == png(expected.figure) != empty
    assert expected.words in explorer.words.value


def test_an_empty_box_asks_for_a_digit_in_a_picture_of_the_same_size(explorer, test):
    empty, layout = explorer.picture.value, (explorer.picture.width, explorer.picture.height)
    assert "Draw a digit in the box" in explorer.words.value
    explorer.buttons["Use a test digit"].click()
    assert "Draw a digit" not in explorer.words.value
    assert (explorer.picture.width, explorer.picture.height) == layout
    assert size(explorer.picture.value) == size(empty)
    for value in (b"", bytes(sketch.SIDE**2)):
        explorer.set(ink=value)
        assert explorer.picture.value == empty


def size(picture):
    return np.frombuffer(picture[16:24], ">u4").tolist()


def test_the_button_gives_one_test_digit_after_another_and_reset_clears(explorer, test):
    box = explorer.controls["ink"]
    for number in range(3):
        explorer.buttons["Use a test digit"].click()
        assert box.value == sketch.enlarged(test.images[number])
    explorer.buttons["Reset"].click()
    assert box.value == b""


def test_a_digit_in_the_sketch_is_five_times_as_large(test):
    ink = sketch.ink_of(sketch.enlarged(test.images[4]))
    assert ink.shape == (140, 140)
    expected = test.images[4].view(28, 28) / 255
    for down in range(5):
        for right in range(5):
            assert torch.equal(ink[down::5, right::5], expected)


def test_a_sketch_takes_what_a_browser_sends_and_nothing_of_another_size():
    box = sketch.Sketch()
    box.set_state({"value": memoryview(bytes([7]) * 140**2)})
    assert box.value == bytes([7]) * 140**2
    with pytest.raises(traitlets.TraitError, match="140 × 140, got 3"):
        box.value = b"abc"


def test_a_dot_and_a_full_page_are_drawn_too(model, tests):
    dot = torch.zeros(140, 140)
    dot[70, 70] = 1
    for ink in (dot, torch.ones(140, 140)):  # both become a black square of 20 × 20 pixels
        cost, *_ = said(sketch.view_drawing(model, tests, ink))
        assert cost > tests.costs.median()


def test_what_is_harder_than_all_is_marked_at_the_right_edge(model, tests, generator):
    squares = (torch.rand(20, 20, generator=generator) < 0.5).float()
    ink = squares.repeat_interleave(7, 0).repeat_interleave(7, 1)
    easy = tests._replace(costs=tests.costs.sort().values[:500])
    drawn = sketch.view_drawing(model, easy, ink)
    cost, share, _ = said(drawn)
    assert share == "all"
    left, _, wide, _ = sketch.BARS
    assert orange_in(drawn, sketch.BARS)[1] == pytest.approx(150 * (left + wide), abs=2)
    assert cost > sketch.bins(easy.costs)[-1]


def orange_in(view, place):
    """Row and column in the middle of what is orange within a place of the picture."""
    left, bottom, wide, high = (150 * inches for inches in place)
    rows, columns = np.nonzero((view.figure.pixels() == [0xD5, 0x5E, 0x00]).all(-1))
    row, column = 150 * sketch.HEIGHT - rows, columns
    inside = (row > bottom - 9) & (row < bottom + high + 9)
    inside &= (column > left - 9) & (column < left + wide + 9)
    return row[inside].mean(), column[inside].mean()


@pytest.mark.parametrize("number", [0, 8, 15])
def test_marks_stand_where_the_code_and_the_cost_lie(model, test, tests, number):
    drawn = sketch.view_drawing(model, tests, drawing(test, number))
    edges = sketch.bins(tests.costs)
    share = (said(drawn)[0] - edges[0]) / (edges[-1] - edges[0])
    left, _, wide, _ = sketch.BARS
    _, column = orange_in(drawn, sketch.BARS)
    assert column == pytest.approx(150 * (left + share * wide), abs=2)
    left, bottom, wide, high = sketch.MAP
    with torch.no_grad():
        code = model.encoder(redrawn(test, number)[None]).mean[0]
    x, y = code[list(tests.axes)].tolist()
    row, column = orange_in(drawn, sketch.MAP)
    assert column == pytest.approx(150 * (left + wide * (0.5 + x / 8.8)), abs=2)
    assert row == pytest.approx(150 * (bottom + high * (0.5 + y / 8)), abs=2)


def test_bars_left_of_the_line_are_blue_and_none_at_its_right(model, test, tests):
    drawn = sketch.view_drawing(model, tests, drawing(test, 15))
    blue = (drawn.figure.pixels() == [0x00, 0x72, 0xB2]).all(-1).any(0).nonzero()[0]
    _, line = orange_in(drawn, sketch.BARS)
    assert line - 6 < blue.max() < line
    assert blue.min() < line - 100


def test_a_code_beyond_the_map_is_marked_at_its_edge(tests):
    page = tests.ground.copy()
    sketch._mark_map(page, torch.tensor([99.0, -99.0]), tests.codes[:0, :2])
    rows, columns = np.nonzero((page != tests.ground).any(-1))
    left, bottom, wide, _ = sketch.MAP
    assert columns.mean() == pytest.approx(150 * (left + 0.98 * wide), abs=3)
    assert rows.mean() == pytest.approx(len(page) - 150 * (bottom + 0.045), abs=3)


def test_labels_of_the_map_are_pushed_apart():
    crowd = torch.tensor([[0.0, 0.0], [0.1, 0.0], [0.0, 0.1], [3.0, 3.0]])
    pushed = latent_map.apart(crowd, 0.6)
    between = torch.cdist(pushed, pushed) + 9 * torch.eye(4)
    assert between.min() > 0.58
    assert torch.equal(pushed[3], crowd[3])


def test_a_model_with_one_latent_dimension_has_no_map(test, generator):
    narrow = vae.dense(hidden=20, latent=1, generator=generator)
    with pytest.raises(ValueError, match="two latent dimensions, and this model has 1"):
        sketch.draw(narrow, test.images[:50], test.labels[:50])


def test_models_in_double_precision_draw(test, generator):
    precise = vae.dense(hidden=20, latent=3, generator=generator).double()
    explorer = sketch.draw(precise, test.images[:50], test.labels[:50])
    explorer.buttons["Use a test digit"].click()
    assert "nats" in explorer.words.value


def test_the_model_is_left_as_it_was(model, few):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    explorer = sketch.draw(*few)
    explorer.buttons["Use a test digit"].click()
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_memory_stays_flat_over_many_drawings(explorer, test):
    values = [sketch.enlarged(pixels) for pixels in test.images[:5]]

    def move(times: int) -> int:
        for turn in range(times):
            explorer.set(ink=values[turn % 5])
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = move(6)  # until what is kept once (fonts, names of properties) is kept
        after = move(15)
    finally:
        tracemalloc.stop()
    assert after - before < 150_000  # eight drawings' worth of ink
