"""The playground in headless Chromium: its numbers against PyTorch's, its pages by hand and key."""

import base64
import itertools
import json
import math
import sys
import time
from pathlib import Path

import journey
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Generator
from torch.distributions import Normal
from toy import toy

from vaelib import data
from vaelib.ans import Stack
from vaelib.binarization import threshold
from vaelib.compression import Codec
from vaelib.course import demonstration
from vaelib.course.explorers import gap
from vaelib.course.handwriting import as_mnist
from vaelib.elbo import elbo
from vaelib.evaluation import evaluate

HOME = Path(__file__).parents[2]
sys.path.insert(0, str(HOME / "tools"))

import playground  # noqa: E402

PAGES = ("draw", "walk", "bound", "bits", "loss")
HOST = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title>
<link rel="stylesheet" href="playground.css">{model}<script defer src="playground.js"></script>
<main><div class="playground" data-playground="{name}"></div></main></html>"""
PRESETS = json.loads((playground.SOURCE / "presets.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def test_set():
    return data.load(split="test")


@pytest.fixture(scope="module")
def exported(test_set):
    found = playground.Source(demonstration.model(), test_set.name, demonstration.EPOCHS)
    return found.model, *playground.export(found)


@pytest.fixture(scope="module")
def rounded(exported):
    """The model that the page has: its large matrices are rounded."""
    return playground.in_bytes(exported[0])[0]


@pytest.fixture(scope="module")
def folder(exported, tmp_path_factory):
    """The playground's files, and a bare page for each of its parts."""
    made = tmp_path_factory.mktemp("playground")
    (made / "model.js").write_text(playground.packed(*exported[1:]), encoding="utf-8")
    (made / "playground.js").write_text(playground.script(), encoding="utf-8")
    (made / "playground.css").write_text(playground.styles(), encoding="utf-8")
    for name in PAGES:
        model = '<script defer src="model.js"></script>' * (name in ("draw", "walk", "bits"))
        (made / f"{name}.html").write_text(HOST.format(name=name, model=model), encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def chromium():
    with journey.chromium() as found:
        yield found


class Visit:
    """A page opened from a file, without network; what it asked for, and its faults."""

    def __init__(self, chromium, address: str) -> None:
        self.context = chromium.new_context(offline=True)
        self.page = self.context.new_page()
        self.faults, self.asked = [], []
        self.page.on("console", lambda said: said.type == "error" and self.faults.append(said.text))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(address)
        self.page.evaluate("playgroundModule.filled")

    def maths(self, body: str, argument: object = None) -> object:
        """What a function of the page's maths and model, and of an argument, returns."""
        return self.page.evaluate(
            f"""async argument => {{
                const {{ maths, loaded }} = playgroundModule;
                const model = await loaded;
                {body}
            }}""",
            argument,
        )

    def texts(self, selector: str) -> list[str]:
        return self.page.locator(selector).all_text_contents()


@pytest.fixture(scope="module")
def visit(chromium, folder):
    """Open a page by its name; each is open once for all tests of this file."""
    opened: dict[str, Visit] = {}

    def visited(name: str) -> Visit:
        if name not in opened:
            opened[name] = Visit(chromium, (folder / f"{name}.html").as_uri())
        return opened[name]

    yield visited
    for each in opened.values():
        each.context.close()


@pytest.fixture(scope="module")
def digits(test_set):
    """Fifty test digits of all kinds, binarized, and noise for each."""
    noise = torch.randn(50, 5, generator=Generator().manual_seed(4))
    return threshold(test_set.images[100:150]), noise


def test_codes_images_and_nats_of_fifty_digits_are_pytorchs(visit, rounded, digits):
    image, noise = digits
    found = visit("draw").maths(
        """return argument.map(([image, noise]) => {
            const q = maths.encode(model, image);
            const found = maths.evaluate(model, image, q, noise);
            const lists = [q.mean, q.logStd, found.latent, found.logits];
            const numbers = [found.logLikelihood, found.kl, found.cost];
            return [...lists.map(each => Array.from(each)), ...numbers];
        })""",
        list(zip(image.tolist(), noise.tolist(), strict=True)),
    )
    mean, log_std, latent, logits, log_likelihood, kl, cost = (
        torch.tensor(each, dtype=torch.float64) for each in zip(*found, strict=True)
    )
    with torch.no_grad():
        q = rounded.encoder(image)
        z = q.mean + q.log_std.exp() * noise
        terms = elbo(rounded, image, noise)
        expected = rounded.decoder(z).double()
    for ours, theirs in ((mean, q.mean), (log_std, q.log_std), (latent, z)):
        assert torch.allclose(ours, theirs.double(), atol=1e-4)
    assert torch.allclose(logits.sigmoid(), expected.sigmoid(), atol=1e-4)
    assert (log_likelihood - terms.log_likelihood).abs().max() < 1e-2
    assert (kl - terms.kl).abs().max() < 1e-2
    assert (cost + terms.bound).abs().max() < 1e-2


def test_rounding_moves_no_weight_by_more_than_half_a_unit(exported, rounded):
    model = exported[0]
    for layer in (lambda m: m.encoder.hidden[0].weight.T, lambda m: m.decoder.logits.weight):
        before, after = layer(model), layer(rounded)
        unit = before.abs().max() / 127
        assert ((before - after).abs() <= 0.5001 * unit).all()
        assert not torch.equal(before, after)
    untouched = "encoder.mean.weight"
    assert torch.equal(model.state_dict()[untouched], rounded.state_dict()[untouched])


def test_rounding_costs_less_than_a_tenth_of_a_nat_and_the_page_has_the_right_averages(
    exported, rounded, test_set
):
    model, about, _ = exported
    before, after = (-evaluate(each, test_set.images).bound.mean() for each in (model, rounded))
    assert about["cost"] == pytest.approx(after.item(), abs=0.006)
    assert about["roundingCosts"] == pytest.approx((after - before).item(), abs=1e-3)
    assert abs(about["roundingCosts"]) < 0.1


def test_the_binary_is_at_most_a_megabyte(folder):
    assert 300_000 < (folder / "model.js").stat().st_size <= 1_000_000


def test_the_share_of_easier_digits_is_a_count(visit, rounded, test_set):
    costs = -evaluate(rounded, test_set.images).bound
    asked = [*costs[:20].tolist(), 0.0, 1e4]
    shares = visit("draw").maths(
        "return argument.map(cost => maths.shareEasier(model.costs, cost))", asked
    )
    for cost, share in zip(asked, shares, strict=True):
        assert share == pytest.approx((costs < cost).double().mean().item(), abs=2e-3)
    assert shares[-2:] == [0, 1]


def strokes(seed):
    """Ink of a few round strokes at random, as a drawing's bytes."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:140, :140] + 0.5
    ink = np.zeros((140, 140))
    points = generator.uniform(5, 135, (generator.integers(2, 6), 2))
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        length = (x1 - x0) ** 2 + (y1 - y0) ** 2
        along = (((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length).clip(0, 1)
        distance = np.hypot(x - x0 - along * (x1 - x0), y - y0 - along * (y1 - y0))
        ink = np.maximum(ink, (generator.uniform(2, 8) - distance).clip(0, 1))
    return (255 * ink).round().astype(np.uint8)


def test_a_drawing_is_placed_as_pythons_places_it(visit, test_set):
    dot = np.zeros((140, 140), np.uint8)
    dot[3, 130] = 255
    bar = np.zeros((140, 140), np.uint8)
    bar[20:120, 60:80] = 255
    large = [image.view(28, 28).numpy().repeat(5, 0).repeat(5, 1) for image in test_set.images[:10]]
    drawings = [*map(strokes, range(40)), dot, bar, *large]
    found = visit("draw").maths(
        """const bytes = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
        return argument.map(text => Array.from(maths.asMnist(bytes(text), 140)));""",
        [base64.b64encode(drawing.tobytes()).decode() for drawing in drawings],
    )
    for drawing, image in zip(drawings, found, strict=True):
        expected = as_mnist(torch.from_numpy(drawing) / 255)
        assert image == expected.tolist()


def test_an_empty_box_has_no_image(visit):
    assert visit("draw").maths("return maths.asMnist(new Uint8Array(140 * 140), 140)") is None


def test_the_normal_distribution_is_torchs(visit):
    z = torch.linspace(-7, 7, 57, dtype=torch.float64)
    p = torch.linspace(0.001, 0.999, 57, dtype=torch.float64)
    cdf, quantile = visit("draw").maths(
        "return [argument[0].map(maths.cdf), argument[1].map(maths.quantile)]",
        [z.tolist(), p.tolist()],
    )
    assert torch.allclose(torch.tensor(cdf).double(), Normal(0, 1).cdf(z), atol=1e-7)
    assert torch.allclose(torch.tensor(quantile).double(), Normal(0, 1).icdf(p), atol=1e-6)


def test_noise_is_standard_normal_and_its_seed_decides_it(visit):
    first, again, other = visit("draw").maths(
        "return [1, 1, 2].map(seed => Array.from(maths.normals(5000, seed)))"
    )
    assert first == again != other
    noise = torch.tensor(first).sort().values
    steps = torch.arange(1, 5001) / 5000
    assert (Normal(0, 1).cdf(noise) - steps).abs().max() < 0.028  # Kolmogorov and Smirnov, 0.1 %


def test_a_bill_is_the_codecs_for_the_same_bins(visit, rounded, digits):
    """The codec rounds its networks and probabilities, which moves a bill by tenths of a bit."""
    codec, stack = Codec(rounded), Stack(borrow=True)
    images, bills, bins = digits[0][:20], [], []
    for image in images:
        bills.append(codec.push(stack, image[None].double()))
        copied = Stack(borrow=True)
        copied.head, copied.tail = stack.head, stack.tail[:]
        bins.append(copied.pop_uniform(5, 8)[::-1])
    found = visit("bits").maths(
        """return argument.map(([image, bins]) => {
            const { latent, pixels, back } =
                maths.bill(model, image, maths.encode(model, image), bins, 8);
            return [latent, pixels, back];
        })""",
        list(zip(images.tolist(), bins, strict=True)),
    )
    for (latent, pixels, back), bill in zip(found, bills, strict=True):
        assert latent == bill.latent.item() == 40
        assert pixels == pytest.approx(bill.pixels.item(), abs=0.3)
        assert back == pytest.approx(bill.back.item(), abs=0.1)


@pytest.mark.parametrize("bits", [2, 6, 11])
def test_a_bill_adds_up_masses_of_bins(visit, rounded, digits, bits):
    image = digits[0][:1]
    with torch.no_grad():
        q = rounded.encoder(image)
    prior, count = Normal(0.0, 1.0), 2**bits
    bins = (prior.cdf(q.mean[0].double()) * count).floor()
    centre = prior.icdf((bins + 0.5) / count)
    ends = [prior.icdf(((bins + i) / count).clamp(1e-300, 1)) for i in (0, 1)]
    guess = Normal(q.mean[0].double(), q.log_std[0].double().exp())
    mass = guess.cdf(ends[1]) - torch.where(bins > 0, guess.cdf(ends[0]), 0)
    with torch.no_grad():
        pixels = -rounded.decode(centre[None].float()).log_prob(image).item() / math.log(2)
    latent, paid, back = visit("bits").maths(
        f"""const found = maths.bill(
            model, argument[0], maths.encode(model, argument[0]), argument[1], {bits});
        return [found.latent, found.pixels, found.back];""",
        [image[0].tolist(), bins.tolist()],
    )
    assert latent == 5 * bits
    assert paid == pytest.approx(pixels, abs=1e-2)
    assert back == pytest.approx(-mass.log2().sum().item(), abs=1e-3)


@pytest.mark.parametrize("image", list(itertools.product((0, 1), repeat=3)))
def test_bound_gap_and_best_gaussian_are_those_of_the_notebooks_explorer(visit, image):
    model = toy(image=tuple(map(float, image)))
    guesses = [(0.0, 0.0), (-1.0, -0.7), (0.9, -1.9), (2.5, 0.6)]
    found, best = visit("bound").maths(
        """const joint = maths.logJoint(argument[0]);
        const { mean, logStd } = maths.bestGaussian(argument[0]);
        const parts = ({ logEvidence, elbo, gap }) => [logEvidence, elbo, gap];
        return [
            argument[1].map(([mean, logStd]) => parts(maths.boundOf(joint, { mean, logStd }))),
            [mean, logStd],
        ];""",
        [list(image), guesses],
    )
    for (mean, log_std), ours in zip(guesses, found, strict=True):
        theirs = gap.bound_and_gap(*model, Normal(mean, math.exp(log_std)))
        assert ours == pytest.approx(list(theirs), abs=1e-5)
    assert best == pytest.approx(list(gap.best_gaussian(*model)), abs=1e-3)


# Each tutorial's loss, written anew from the lines that presets.json names.


def kl_of(mean, log_var):
    return -0.5 * (1 + log_var - mean**2 - log_var.exp())


def summed(error):
    def loss(x_hat, x, mean, log_var):
        return error(x_hat, x, reduction="sum") + kl_of(mean, log_var).sum()

    return loss


def per_image(error, *, pixels, first=1.0, kl=1.0):
    """A loss that averages over images; `pixels` is what is done with the pixels of each."""

    def loss(x_hat, x, mean, log_var):
        each = getattr(error(x_hat, x, reduction="none").flatten(1), pixels)(1)
        return first * each.mean() + kl * kl_of(mean, log_var).sum(1).mean()

    return loss


def all_means(x_hat, x, mean, log_var):
    variance = log_var.exp()
    divergence = 0.5 * torch.mean(mean * mean + variance - torch.log(variance) - 1)
    return torch.nn.MSELoss()(x_hat, x) + divergence


BCE, MSE = F.binary_cross_entropy, F.mse_loss
TUTORIALS = {
    "vae/main.py": summed(BCE),
    "examples/generative/vae.py": per_image(BCE, pixels="sum"),
    "examples/variational_autoencoder.py": per_image(BCE, pixels="mean"),
    "models/vanilla_vae.py": per_image(MSE, pixels="mean", kl=0.00025),
    "vae.py": all_means,
    "notebooks/03_vae/02_vae_fashion/vae_fashion.ipynb": per_image(BCE, pixels="mean", first=500),
    "notebooks/03_vae/03_vae_faces/vae_faces.ipynb": per_image(MSE, pixels="mean", first=2000),
    "solver.py": per_image(MSE, pixels="sum", kl=4),
    "L17/helper_train.py": per_image(MSE, pixels="sum"),
    "run_simple_vae.py": per_image(MSE, pixels="mean", kl=1e-5),
}


def trained_beta(loss, *, channels, height, width, latents, batch, squared):
    """β by autograd: how the loss weighs the gradient of the KL against that of log p(x|z).

    For squared error, p(x|z) is a Gaussian with σ = 1.
    """
    generator = Generator().manual_seed(0)
    shape = batch, channels, height, width
    x = (torch.rand(shape, generator=generator) < 0.5).double()
    x_hat = torch.rand(shape, generator=generator).double().mul(0.8).add(0.1).requires_grad_()
    mean, log_var = (
        torch.randn(batch, latents, generator=generator).double().requires_grad_() for _ in "12"
    )
    density = Normal(x_hat, 1.0) if squared else torch.distributions.Bernoulli(x_hat)
    log_likelihood = density.log_prob(x).sum()
    q = Normal(mean, (log_var / 2).exp())
    divergence = torch.distributions.kl_divergence(q, Normal(0.0, 1.0)).sum()
    weights = []
    for term, inputs in ((-log_likelihood, [x_hat]), (divergence, [mean, log_var])):
        ours = torch.cat([g.flatten() for g in torch.autograd.grad(term, inputs)])
        total = loss(x_hat, x, mean, log_var)
        theirs = torch.cat([g.flatten() for g in torch.autograd.grad(total, inputs)])
        ratio = theirs[ours.abs() > 1e-6] / ours[ours.abs() > 1e-6]
        assert ratio.std() < 1e-6 * ratio.mean(), "the loss is no weighted sum of the two terms"
        weights.append(ratio.mean().item())
    return weights[1] / weights[0]


SIZES = ("channels", "height", "width", "latents", "batch")


@pytest.mark.parametrize("preset", PRESETS, ids=[preset["name"] for preset in PRESETS])
def test_the_beta_of_a_tutorial_is_that_of_its_gradients(visit, preset):
    loss = preset["loss"]
    sizes = {name: loss[name] for name in SIZES} | {"batch": min(loss["batch"], 8)}
    squared = loss["error"] == "squared"
    beta = trained_beta(TUTORIALS[preset["path"]], squared=squared, **sizes)
    found = visit("loss").maths("return maths.trained(argument)", loss)
    assert found["beta"] == pytest.approx(beta, rel=1e-6)
    if squared:
        assert found["sigma"] ** 2 == pytest.approx(beta, rel=1e-6)


def test_ten_tutorials_are_there_each_with_its_own_source():
    assert len(PRESETS) == 10
    assert {preset["path"] for preset in PRESETS} == set(TUTORIALS)
    for preset in PRESETS:
        assert len(preset["commit"]) == 40
        assert all(line[0] == "L" and int(line[1:]) > 0 for line in preset["lines"])


WAYS = list(itertools.product(("squared", "cross-entropy"), *[("sum", "mean")] * 4))


@pytest.mark.parametrize("way", WAYS, ids=[" ".join(way) for way in WAYS])
def test_the_line_of_pytorch_that_is_shown_trains_the_beta_that_is_shown(visit, way):
    names = ("error", "overPixels", "overBatch", "overLatents", "klOverBatch")
    sizes = dict(channels=2, height=3, width=5, latents=7, batch=4)
    weights = dict(reconstructionWeight=3.5, klWeight=1e-7)
    loss = dict(zip(names, way, strict=True)) | sizes | weights
    line, found = visit("loss").maths(
        "return [maths.written(argument), maths.trained(argument)]", loss
    )

    def as_written(x_hat, x, mean, log_var):
        return eval(line, {"F": F, "x": x, "x_hat": x_hat, "kl": kl_of(mean, log_var)})

    beta = trained_beta(as_written, squared=way[0] == "squared", **sizes)
    assert found["beta"] == pytest.approx(beta, rel=1e-6)


# The pages.


@pytest.mark.parametrize("name", PAGES)
def test_a_page_works_from_a_file_without_network_and_without_an_error(visit, folder, name):
    page = visit(name)
    assert page.page.locator(".playground > *").count() > 3
    assert page.faults == []
    assert all(url.startswith((folder.as_uri(), "blob:", "data:")) for url in page.asked)


@pytest.mark.parametrize("name", PAGES)
def test_every_control_has_a_name_of_its_own_in_its_group(visit, name):
    controls = visit(name).page.locator(
        ".playground :is(input, select, button, [tabindex='0']):visible"
    )
    named = []
    for control in controls.all():
        tree = control.aria_snapshot()
        group = control.evaluate("each => each.closest('fieldset, .pg-row')?.innerText ?? ''")
        named.append((group, tree.split("\n")[0].rpartition(":")[0] or tree))
        assert '"' in tree.split("\n")[0], f"no name: {tree}"
    assert len(named) >= 3
    assert len(set(named)) == len(named)


@pytest.mark.parametrize("name", PAGES)
def test_every_picture_is_described(visit, name):
    page = visit(name).page
    bare = page.locator(".playground canvas[role=img]:not([aria-label])").count()
    bare += page.locator(".playground svg:not([aria-hidden]):not([aria-label])").count()
    assert bare == 0


def nats_on(page):
    return [float(text.replace("−", "-")) for text in page.texts(".pg-numbers dd")]


def pixels_of(page, number):
    """The pixels of a picture on the page."""
    return (
        page.page.locator(".pg-picture canvas")
        .nth(number)
        .evaluate("canvas => Array.from(canvas.getContext('2d').getImageData(0, 0, 28, 28).data)")
    )


@pytest.fixture
def fresh(chromium, folder):
    """A page that no other test has touched."""
    opened = []

    def visited(name):
        opened.append(Visit(chromium, (folder / f"{name}.html").as_uri()))
        return opened[-1]

    yield visited
    for each in opened:
        assert each.faults == []
        each.context.close()


def test_a_test_digit_is_evaluated_as_in_pytorch(fresh, rounded, test_set):
    """The page begins with the first test digit, and ε of seed 1."""
    page = fresh("draw")
    noise = torch.tensor([page.maths("return Array.from(maths.normals(5, 1))")])
    with torch.no_grad():
        terms = elbo(rounded, threshold(test_set.images[:1]), noise)
    expected = terms.log_likelihood.item(), terms.kl.item(), -terms.bound.item()
    assert nats_on(page) == pytest.approx(expected, abs=0.06)


def test_a_stroke_by_mouse_and_one_by_keyboard_change_image_q_and_nats(fresh):
    page = fresh("draw")
    box = page.page.locator(".vaelib-sketch-box")
    page.page.get_by_role("button", name="Clear").click()
    assert page.texts(".pg-numbers dd") == ["–"] * 3
    place = box.bounding_box()
    page.page.mouse.move(place["x"] + 140, place["y"] + 50)
    page.page.mouse.down()
    page.page.mouse.move(place["x"] + 140, place["y"] + 220, steps=6)
    page.page.mouse.up()
    page.page.wait_for_function("document.querySelector('.pg-numbers dd').textContent !== '–'")
    drawn, nats = pixels_of(page, 0), nats_on(page)
    assert sum(value == 0 for value in drawn[::4]) > 20
    box.focus()
    for key in ("ArrowRight", "ArrowRight", " ", *["ArrowRight"] * 6, " "):
        page.page.keyboard.press(key)
    journey.browser.soon(lambda: nats_on(page) != nats, 5)
    assert nats_on(page) != nats
    assert pixels_of(page, 0) != drawn


def test_moving_q_changes_the_reconstruction_and_can_be_undone(fresh):
    page = fresh("draw")
    before, nats = pixels_of(page, 1), nats_on(page)
    slider = page.page.get_by_label("μ of z1")
    slider.focus()
    for _ in range(3):
        page.page.keyboard.press("PageUp")
    assert pixels_of(page, 1) != before
    moved = nats_on(page)
    assert moved[1] != nats[1]
    assert moved[2] == pytest.approx(moved[1] - moved[0], abs=0.11)
    page.page.get_by_role("button", name="Back to the encoder's q").click()
    assert pixels_of(page, 1) == before
    assert nats_on(page) == nats


def test_the_next_noise_changes_the_likelihood_and_not_the_kl(fresh):
    page = fresh("draw")
    nats = nats_on(page)
    page.page.get_by_role("button", name="Next ε").click()
    after = nats_on(page)
    assert after[1] == nats[1]
    assert after[0] != nats[0]


def test_the_map_is_pointed_at_by_keyboard_and_shows_the_image_there(fresh, rounded, exported):
    page = fresh("walk")
    pad = page.page.locator(".vaelib-pad")
    pad.focus()
    for _ in range(10):
        page.page.keyboard.press("ArrowRight")
    latent = torch.zeros(1, 5)
    latent[0, exported[1]["axes"][0]] = 1.0
    with torch.no_grad():
        expected = 255 * (1 - rounded.decoder(latent).sigmoid()[0])
    found = torch.tensor(pixels_of(page, 0)[::4])
    assert (found - expected).abs().max() < 1.5


def test_a_line_between_digits_ends_at_their_means(fresh, rounded, test_set):
    page = fresh("walk")
    strip = page.page.locator(".pg-strip").first.locator("canvas")
    ends = [
        strip.nth(i).evaluate(
            "canvas => Array.from(canvas.getContext('2d').getImageData(0, 0, 28, 28).data)"
        )[::4]
        for i in (0, 8)
    ]
    with torch.no_grad():
        mean = rounded.encoder(threshold(test_set.images[:2])).mean
        expected = 255 * (1 - rounded.decoder(mean).sigmoid())
    assert (torch.tensor(ends) - expected).abs().max() < 1.5


def test_the_best_gaussian_has_the_smallest_gap(fresh):
    page = fresh("bound")
    before = nats_on(page)
    page.page.get_by_role("button", name="Best Gaussian").click()
    after = nats_on(page)
    assert after[1] < 0.02 < before[1]
    for elbo_, gap_, evidence in (before, after):
        assert elbo_ + gap_ == pytest.approx(evidence, abs=0.0015)


def test_finer_bins_cost_more_and_give_it_back(fresh):
    page = fresh("bits")
    assert nats_on(page)[0] == 40
    page.page.get_by_label("bits of each latent").focus()
    page.page.keyboard.press("End")  # 12 bits
    fine = nats_on(page)
    page.page.keyboard.press("ArrowLeft")
    page.page.keyboard.press("ArrowLeft")
    coarse = nats_on(page)
    for latent, pixels, back, total, bound in (fine, coarse):
        assert total == pytest.approx(latent + pixels - back, abs=0.16)
        assert total == pytest.approx(bound, abs=1)
    assert (coarse[0], fine[0]) == (50, 60)
    assert fine[2] == pytest.approx(coarse[2] + 10, abs=0.3)


def test_a_preset_fills_the_controls_and_a_change_makes_the_loss_ones_own(fresh):
    page = fresh("loss")
    preset = page.page.get_by_label("A public tutorial")
    preset.select_option(label="Keras's first example, 2016 (MNIST)")
    assert page.texts(".pg-numbers dd") == ["784", "–"]
    address = page.page.locator(".pg-source a").get_attribute("href")
    assert address.endswith("examples/variational_autoencoder.py#L44-L46")
    group = page.page.get_by_role("group", name="Reconstruction")
    group.get_by_label("over the pixels").select_option("sum")
    assert page.texts(".pg-numbers dd") == ["1", "–"]
    assert preset.locator("option:checked").text_content() == "a loss of your own"


def test_words_are_spoken_once_they_have_come_to_rest(fresh):
    page = fresh("bound")
    page.page.get_by_role("button", name="Best Gaussian").click()
    spoken = page.page.get_by_role("status")
    end = time.monotonic() + 5
    while "0.01" not in spoken.text_content() and time.monotonic() < end:
        time.sleep(0.05)
    assert spoken.text_content() == page.texts(".pg-words")[0]
