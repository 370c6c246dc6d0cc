"""The playground in headless Chromium: its numbers against PyTorch's, its pages by hand and key."""

import base64
import itertools
import json
import math
import re
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

from vaelib import checkpoint, data, vae
from vaelib.ans import Stack
from vaelib.binarization import threshold
from vaelib.compression import Codec
from vaelib.course import demonstration
from vaelib.course.explorers import gap
from vaelib.course.handwriting import as_mnist
from vaelib.data.loading import Choice
from vaelib.elbo import elbo, kl_per_dimension
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
    assert about["tests"] == len(test_set.images)
    with torch.no_grad():
        spent = kl_per_dimension(rounded.encoder(threshold(test_set.images))).sum(0)
    assert about["axes"] == spent.sort(descending=True).indices[:2].tolist()


@pytest.mark.parametrize(
    ("said", "made", "here", "epochs"),
    [
        ('{"dataset": "mnist"}', vae.dense(), "mnist", 10),
        ('{"dataset": "mnist"}', vae.dense(), "glyphs", 3),
        ('{"dataset": "glyphs"}', vae.dense(), "mnist", 3),
        ('{"dataset": "glyphs"}', vae.dense(), "glyphs", 3),
        ('{"dataset": "mnist"}', vae.dense(), "kmnist", 3),
        ('{"dataset": "mnist"}', vae.dense(latent=2), "mnist", 3),
        ('{"dataset": "mnist"}', None, "mnist", 3),
        ('{"dataset": "mn', vae.dense(), "mnist", 3),
        (None, vae.dense(), "mnist", 3),
    ],
    ids=[
        "it",
        "no-MNIST",
        "of-glyphs",
        "glyphs",
        "kmnist",
        "layers",
        "no-model",
        "half-a-result",
        "no-result",
    ],
)
def test_the_model_of_the_notebook_is_taken_if_it_is_one_of_mnist(
    said, made, here, epochs, tmp_path, monkeypatch
):
    if said:
        (tmp_path / "result.json").write_text(said, encoding="utf-8")
    if made:
        checkpoint.save(made, tmp_path / "vae.safetensors")
    monkeypatch.setattr(playground.loading, "choose", lambda: Choice(here, tmp_path))
    small, dataset = vae.dense(), "mnist" if here == "mnist" else "glyphs"
    monkeypatch.setattr(demonstration, "model", lambda name: small if name == dataset else None)
    found = playground.source(tmp_path)
    expected = made if epochs == 10 else small
    assert torch.equal(found.model.decoder.logits.weight, expected.decoder.logits.weight)
    assert (found.dataset, found.epochs) == (dataset, epochs)
    assert found.of_the_notebook == (epochs == 10)


def test_the_binary_is_at_most_a_megabyte(folder):
    assert 300_000 < (folder / "model.js").stat().st_size <= 1_000_000


def test_the_share_of_easier_digits_is_a_count(visit, rounded, test_set):
    costs = -evaluate(rounded, test_set.images).bound
    asked = [*costs[:20].tolist(), 0.0, 1e4]
    shares = visit("draw").maths(
        "return argument.map(cost => maths.shareEasier(model.costs, cost))", asked
    )
    counted = torch.stack([(costs < cost).double().mean() for cost in asked])
    errors = torch.tensor(shares, dtype=torch.float64) - counted
    assert errors.abs().max() < 1e-3
    assert errors[:20].mean().abs() < 3e-4
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
    bar[20:120, 60:90] = 255  # its centre lies in the middle between two pixels
    seven = np.zeros((140, 140), np.uint8)
    seven[20:30, 20:100] = seven[20:130, 96:100] = 255  # its centre is so high that room ends below
    large = [image.view(28, 28).numpy().repeat(5, 0).repeat(5, 1) for image in test_set.images[:10]]
    drawings = [*map(strokes, range(40)), dot, bar, seven, seven.T.copy(), *large]
    found = visit("draw").maths(
        """const bytes = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
        return argument.map(text => Array.from(maths.asMnist(bytes(text), 140)));""",
        [base64.b64encode(drawing.tobytes()).decode() for drawing in drawings],
    )
    for drawing, image in zip(drawings, found, strict=True):
        expected = as_mnist(torch.from_numpy(drawing) / 255)
        assert image == expected.tolist()


def test_an_empty_box_has_no_image_and_ink_begins_at_half(visit):
    page = visit("draw")
    assert page.maths("return maths.asMnist(new Uint8Array(140 * 140), 140)") is None
    drawn = page.maths("return Array.from(maths.threshold(argument))", list(range(256)))
    assert drawn == [0] * 128 + [1] * 128


def test_the_normal_distribution_is_torchs(visit):
    z = torch.linspace(-7, 7, 57, dtype=torch.float64)
    p = torch.linspace(0.001, 0.999, 57, dtype=torch.float64)
    cdf, quantile = visit("draw").maths(
        "return [argument[0].map(maths.cdf), argument[1].map(maths.quantile)]",
        [z.tolist(), p.tolist()],
    )
    normal = Normal(torch.tensor(0.0, dtype=torch.float64), 1.0)
    assert torch.allclose(torch.tensor(cdf, dtype=torch.float64), normal.cdf(z), atol=1e-14)
    assert torch.allclose(torch.tensor(quantile, dtype=torch.float64), normal.icdf(p), atol=1e-12)


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
    page = visit("bits")
    assert page.maths(f"return maths.binsOf(argument, {bits})", q.mean[0].tolist()) == bins.tolist()
    centre = prior.icdf((bins + 0.5) / count)
    ends = [prior.icdf(((bins + i) / count).clamp(1e-300, 1)) for i in (0, 1)]
    guess = Normal(q.mean[0].double(), q.log_std[0].double().exp())
    mass = guess.cdf(ends[1]) - torch.where(bins > 0, guess.cdf(ends[0]), 0)
    with torch.no_grad():
        pixels = -rounded.decode(centre[None].float()).log_prob(image).item() / math.log(2)
    latent, paid, back = page.maths(
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


def number_in(text):
    return float(text.replace("−", "-"))


def nats_on(page):
    return [number_in(text) for text in page.texts(".pg-numbers dd")]


def words_on(page):
    return page.texts(".pg-words")[0]


def pixels_in(canvas):
    """The red, green, blue and opacity of each pixel of a picture."""
    data = canvas.evaluate(
        "canvas => Array.from(canvas.getContext('2d').getImageData(0, 0, 28, 28).data)"
    )
    return torch.tensor(data).view(784, 4)


def pixels_of(page, number):
    """The pixels of a picture on the page, by its number."""
    return pixels_in(page.page.locator(".pg-picture canvas").nth(number))


def greys(logits):
    """The grey values of pictures of pixel probabilities."""
    return 255 * (1 - logits.sigmoid())


def off(canvas, expected):
    """By how much a picture's grey differs at most."""
    return (pixels_in(canvas)[:, 0] - expected).abs().max()


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


@pytest.mark.parametrize(
    ("dataset", "epochs", "words"),
    [
        ("mnist", 10, "The model of notebook 5: MNIST, 10 epochs. "),
        ("mnist", 3, "trained for a shorter time: 3 epochs on MNIST. "),
        ("glyphs", 3, "3 epochs on glyphs (digits drawn from typefaces) instead of MNIST. "),
    ],
)
def test_a_page_says_which_model_it_has_and_first_if_it_is_not_the_notebooks(
    fresh, folder, exported, dataset, epochs, words
):
    about = exported[1] | {"dataset": dataset, "epochs": epochs, "ofNotebook": epochs == 10}
    text = playground.packed(about, exported[2])
    (folder / "other.js").write_text(text, encoding="utf-8")
    html = (folder / "draw.html").read_text(encoding="utf-8").replace("model.js", "other.js")
    (folder / "other.html").write_text(html, encoding="utf-8")
    page = fresh("other").page
    assert words in page.locator(".pg-about").text_content()
    first = page.locator(".playground > :first-child").text_content()
    assert (words in first) == (epochs != 10)


def test_test_digits_are_evaluated_and_ranked_as_in_pytorch(fresh, exported, rounded, test_set):
    """The page begins with the first test digit, and ε of seed 1; a button brings the next."""
    page = fresh("draw")
    noise = torch.tensor([page.maths("return Array.from(maths.normals(5, 1))")] * 2)
    images, costs = threshold(test_set.images[:2]), exported[2]["costs"]
    with torch.no_grad():
        terms, q = elbo(rounded, images, noise), rounded.encoder(images)
        rebuilt = greys(rounded.decoder(q.mean + q.log_std.exp() * noise))
    low, high = costs[0], 1.3 * costs[int(0.999 * len(costs))]
    sliders = page.page.locator(".pg-slider input")
    for i, cost in enumerate(-terms.bound):
        if i:
            page.page.get_by_role("button", name="Use a test digit").click()
        assert (pixels_of(page, 0)[:, 0] == 255 * (1 - images[i])).all()
        assert off(page.page.locator(".pg-picture canvas").nth(1), rebuilt[i]) < 1.5
        expected = terms.log_likelihood[i].item(), terms.kl[i].item(), cost.item()
        assert nats_on(page) == pytest.approx(expected, abs=0.06)
        assert page.texts(".pg-numbers dd")[0].startswith("−")
        ranked = re.search(r"harder than (\d+) % of the ([\d,]+) test digits", words_on(page))
        assert int(ranked[1]) == pytest.approx(100 * (costs < cost).double().mean(), abs=1)
        assert ranked[2] == f"{len(test_set.images):,}"
        place = 60 * ((cost - low) / (high - low)).item()
        assert float(page.page.locator(".pg-mark").get_attribute("x1")) == pytest.approx(
            place, 0.01
        )
        assert page.page.locator(".pg-easier").count() == pytest.approx(place, abs=0.6)
        said = [each.get_attribute("aria-valuetext") for each in sliders.all()]
        values = torch.stack([q.mean[i], q.log_std[i].exp()], 1).flatten().tolist()
        assert [number_in(each) for each in said] == pytest.approx(values, abs=0.011)
        assert said == page.texts(".pg-slider output")


def test_a_stroke_by_mouse_and_one_by_keyboard_change_image_q_and_nats(fresh):
    page = fresh("draw")
    box = page.page.locator(".vaelib-sketch-box")
    page.page.get_by_role("button", name="Clear").click()
    assert page.texts(".pg-numbers dd") == ["–"] * 3
    assert words_on(page).startswith("Draw a digit")
    assert all((pixels_of(page, i) == 255).all() for i in (0, 1))
    assert not page.page.locator(".pg-mark").is_visible()
    assert page.page.locator(".pg-easier, .pg-slider input:enabled").count() == 0
    place = box.bounding_box()
    page.page.mouse.move(place["x"] + 140, place["y"] + 50)
    page.page.mouse.down()
    page.page.mouse.move(place["x"] + 140, place["y"] + 220, steps=6)
    page.page.mouse.up()
    page.page.wait_for_function("document.querySelector('.pg-numbers dd').textContent !== '–'")
    drawn, nats = pixels_of(page, 0), nats_on(page)
    assert (drawn[:, 0] == 0).sum() > 20
    box.focus()
    for key in ("ArrowRight", "ArrowRight", " ", *["ArrowRight"] * 6, " "):
        page.page.keyboard.press(key)
    journey.browser.soon(lambda: nats_on(page) != nats, 5)
    assert nats_on(page) != nats
    assert not torch.equal(pixels_of(page, 0), drawn)


def test_moving_q_changes_the_kl_by_its_formula_and_can_be_undone(fresh):
    page = fresh("draw")
    before, nats, words = pixels_of(page, 1), nats_on(page), words_on(page)
    row = page.page.locator(".pg-latent").nth(1)

    def z2():
        mean, std = map(number_in, row.locator("output").all_text_contents())
        return mean, (mean**2 + std**2 - 1) / 2 - math.log(std)

    for label, end in (("μ of z2", "4.00"), ("σ of z2", "2.01")):
        old, kl = nats_on(page), z2()[1]
        row.get_by_label(label).focus()
        page.page.keyboard.press("End")
        assert row.locator(f"label:has-text('{label}') output").text_content() == end
        mean, moved = z2()
        new = nats_on(page)
        assert new[1] - old[1] == pytest.approx(moved - kl, abs=0.15)
        assert new[2] == pytest.approx(new[1] - new[0], abs=0.11)
        bell = [point.split(",") for point in row.locator(".pg-q").get_attribute("points").split()]
        top = min(bell, key=lambda point: float(point[1]))
        assert [float(each) for each in top] == pytest.approx([mean, 0.2], abs=0.01)
    assert not torch.equal(pixels_of(page, 1), before)
    assert "of your own q" in words_on(page)
    page.page.get_by_role("button", name="Back to the encoder's q").click()
    assert torch.equal(pixels_of(page, 1), before)
    assert (nats_on(page), words_on(page)) == (nats, words)
    assert page.page.get_by_role("button", name="Back to the encoder's q").is_disabled()


def test_on_a_phone_what_follows_the_pen_and_the_sliders_stays_in_sight(visit):
    page, height = visit("draw").page, 500
    before = page.viewport_size
    page.set_viewport_size({"width": 360, "height": height})
    for part in (".vaelib-sketch-box", ".pg-latent:last-child input >> nth=1"):
        page.locator(part).evaluate("part => part.scrollIntoView({ block: 'start' })")
        for seen in (".pg-picture >> nth=1", ".pg-numbers"):
            box = page.locator(f".pg-live {seen}").bounding_box()
            assert 0 <= box["y"] <= height - box["height"], (part, seen)
    page.set_viewport_size(before)


def test_the_next_noise_changes_the_likelihood_and_not_the_kl(fresh):
    page = fresh("draw")
    nats = nats_on(page)
    page.page.get_by_role("button", name="Next ε").click()
    after = nats_on(page)
    assert after[1] == nats[1]
    assert after[0] != nats[0]


def test_the_image_at_a_point_of_the_map_is_pytorchs(fresh, rounded, exported, test_set):
    page = fresh("walk")
    pad, choices = page.page.locator(".vaelib-pad"), page.page.locator(".pg-choice select")
    picture = page.page.locator(".pg-picture canvas").first

    def seen(latent):
        with torch.no_grad():
            expected = greys(rounded.decoder(latent[None]))[0]
        return off(picture, expected) < 1.5

    first, second = exported[1]["axes"]
    pad.focus()
    for _ in range(10):
        page.page.keyboard.press("ArrowRight")
    for _ in range(5):
        page.page.keyboard.press("ArrowUp")
    latent = torch.zeros(5)
    latent[first], latent[second] = 1.0, 0.5
    assert seen(latent)
    other = ({0, 1, 2} - {first, second}).pop()
    choices.nth(0).select_option(str(other))
    page.page.wait_for_selector(f".vaelib-pad[aria-label*='z{other + 1} to the right']")
    latent[first], latent[other] = 0.0, 1.0
    assert seen(latent)
    page.page.get_by_label("The digit (number of a test digit").fill("8")
    with torch.no_grad():
        mean = rounded.encoder(threshold(test_set.images[8:9])).mean[0]
    assert seen(mean)
    label = page.page.locator(".pg-digit canvas").first.get_attribute("aria-label")
    assert label == f"test digit 8, a {test_set.labels[8].item()}"
    choices.nth(2).select_option("prior")
    latent = torch.zeros(5)
    latent[[other, second]] = mean[[other, second]]
    assert seen(latent)


def test_a_digit_on_the_map_stands_at_its_mean(fresh, rounded, exported, test_set):
    """The middle of all pixels of a digit's colour is that of the means."""
    page = fresh("walk")
    page.page.wait_for_selector(".vaelib-pad img")
    source = (playground.SOURCE / "walk.js").read_text(encoding="utf-8")
    colours = [int(each, 16) for each in re.findall(r'"#([0-9a-f]{6})"', source)[:10]]
    middles = page.page.locator(".vaelib-pad img").evaluate(
        """async (image, colours) => {
            await image.decode();
            const canvas = new OffscreenCanvas(640, 640);
            canvas.getContext("2d").drawImage(image, 0, 0);
            const { data } = canvas.getContext("2d").getImageData(0, 0, 640, 640);
            const sums = new Map(colours.map(colour => [colour, [0, 0, 0]]));
            for (let i = 0; i < 640 ** 2; i++) {
                const [red, green, blue] = data.subarray(4 * i);
                const sum = sums.get((red << 16) + (green << 8) + blue);
                [i % 640, Math.floor(i / 640), 1].forEach((each, k) => sum && (sum[k] += each));
            }
            return Array.from(sums.values(), ([x, y, count]) => [x / count, y / count]);
        }""",
        colours,
    )
    with torch.no_grad():
        means = rounded.encoder(threshold(test_set.images[:900])).mean[:, exported[1]["axes"]]
    for digit, (x, y) in enumerate(middles):
        expected = means[test_set.labels[:900] == digit].mean(0).tolist()
        assert [(x - 320) * 4.4 / 320, (320 - y) * 4.4 / 320] == pytest.approx(expected, abs=0.25)


def test_a_line_between_digits_ends_at_their_means(fresh, rounded, test_set):
    page = fresh("walk")
    strip = page.page.locator(".pg-strip").first.locator("canvas")
    way = page.page.get_by_label("how far")
    with torch.no_grad():
        mean = rounded.encoder(threshold(test_set.images[:6])).mean
        expected = greys(rounded.decoder(mean))
        assert off(strip.nth(0), expected[0]) < 1.5
        page.page.get_by_label("From").fill("5")
        assert off(strip.nth(0), expected[5]) < 1.5
        assert off(strip.nth(4), greys(rounded.decoder(mean[[1, 5]].mean(0)[None]))[0]) < 1.5
    assert off(strip.nth(8), expected[1]) < 1.5
    pictures = page.page.locator(".pg-row:has(.pg-slider) canvas")
    for key, end, said in (("End", 1, "100 %"), ("Home", 5, "0 %")):
        way.focus()
        page.page.keyboard.press(key)
        assert off(pictures.first, expected[end]) < 1.5
        assert way.get_attribute("aria-valuetext") == said


def test_latents_are_drawn_from_the_prior_or_from_q(fresh, rounded, test_set):
    page = fresh("walk")
    strip = page.page.locator(".pg-strip").last.locator("canvas")
    with torch.no_grad():
        q = rounded.encoder(threshold(test_set.images[3:4]))

    def logits(seed, mean=0.0, std=1.0):
        body = "return [...Array(10).keys()].map(i => Array.from(maths.normals(5, argument + i)))"
        with torch.no_grad():
            return rounded.decoder(mean + std * torch.tensor(page.maths(body, 10 * seed)))

    def seen(logits):
        return all(off(strip.nth(i), each) < 1.5 for i, each in enumerate(greys(logits)))

    assert seen(logits(1))
    page.page.get_by_label("q of").fill("3")
    assert seen(logits(1, q.mean, q.log_std.exp()))
    page.page.get_by_role("button", name="from the prior").click()
    assert seen(logits(2))
    page.page.locator(".pg-choice select").last.select_option("sample")
    p = logits(2).sigmoid()
    drawn = torch.stack([pixels_in(strip.nth(i))[:, 0] for i in range(10)])
    assert set(drawn.unique().tolist()) == {0, 255}
    far = ((drawn == 0).sum() - p.sum()) / (p * (1 - p)).sum().sqrt()
    assert far.abs() < 4


def test_the_best_gaussian_has_the_smallest_gap_for_any_image(fresh):
    page = fresh("bound")
    start = nats_on(page)

    def agrees(image):
        mean, std = map(number_in, page.texts(".pg-slider output"))
        theirs = list(gap.bound_and_gap(*toy(image=image), Normal(mean, std)))
        evidence, elbo_, gap_ = nats_on(page)[2], *nats_on(page)[:2]
        heights = page.page.locator(".pg-tube > div").evaluate_all(
            "all => all.map(each => parseFloat(each.style.height) * 8 / 100)"
        )
        q = page.page.locator("polyline.pg-guess").get_attribute("points").split()
        top = min((point.split(",") for point in q), key=lambda point: float(point[1]))
        assert float(top[0]) == pytest.approx(mean, abs=0.021)
        assert 1.4 - float(top[1]) == pytest.approx(1 / (std * math.sqrt(2 * math.pi)), rel=0.05)
        assert elbo_ + gap_ == pytest.approx(evidence, abs=0.0015)
        assert heights[0] == pytest.approx(gap_, abs=0.01)
        assert sum(heights) == pytest.approx(evidence - math.ceil(evidence + 0.2) + 8, abs=0.01)
        return [evidence, elbo_, gap_] == pytest.approx(theirs, abs=0.03)

    assert agrees((1.0, 1.0, 0.0))
    page.page.get_by_label("pixel 1 is ink").uncheck()
    page.page.get_by_label("σ of q").focus()
    page.page.keyboard.press("PageDown")
    assert agrees((0.0, 1.0, 0.0))
    loose = nats_on(page)
    page.page.get_by_role("button", name="Best Gaussian").click()
    assert nats_on(page)[1] < 0.02 < loose[1]
    assert agrees((0.0, 1.0, 0.0))
    page.page.get_by_role("button", name="Start again").click()
    page.page.get_by_label("pixel 1 is ink").check()
    assert nats_on(page) == start


def test_finer_bins_cost_more_and_give_it_back(fresh):
    page = fresh("bits")
    assert nats_on(page)[0] == 40
    page.page.get_by_label("bits of each latent").focus()
    page.page.keyboard.press("Home")
    assert "each of the 5 latents costs 1 bit." in words_on(page)
    page.page.keyboard.press("End")  # 12 bits
    fine = nats_on(page)
    page.page.keyboard.press("ArrowLeft")
    page.page.keyboard.press("ArrowLeft")
    coarse = nats_on(page)
    for latent, pixels, back, total, bound in (fine, coarse):
        assert total == pytest.approx(latent + pixels - back, abs=0.16)
        assert total == pytest.approx(bound, abs=1)
    for _ in range(3):
        page.page.get_by_role("button", name="Next ε").click()
        total, bound = nats_on(page)[3:]
        assert total == pytest.approx(bound, abs=0.8)
    assert (coarse[0], fine[0]) == (50, 60)
    assert fine[2] == pytest.approx(coarse[2] + 10, abs=0.3)


def test_the_pictures_and_bars_of_a_bill_show_its_numbers(fresh):
    page = fresh("bits")
    for digit in ("0", "8"):
        page.page.get_by_label("Image").fill(digit)
        latent, paid, back, total, bound = nats_on(page)
        image, p, tint = (pixels_of(page, i) for i in range(3))
        ink = 1 - p[:, 0] / 255
        right = torch.where(image[:, 0] == 0, ink, 1 - ink)
        sure = (right > 0.1) & (right < 0.9)  # a grey value tells few digits of the others
        expected = 255 - 55 * (-right.log2() / 4).clamp(max=1)
        assert (tint[sure, 0] - expected[sure]).abs().max() < 1.5
        scale = number_in(page.texts(".pg-bill .pg-ends span")[1].removesuffix(" bits"))
        places = page.page.locator(".pg-bar > div > div").evaluate_all(
            "all => all.map(({ style }) => [parseFloat(style.left), parseFloat(style.width)])"
        )
        expected = [
            (0, latent),
            (latent, paid),
            (latent + paid - back, back),
            (0, total),
            (bound, 0),
        ]
        assert scale >= latent + paid
        for found, bits in zip(places, expected, strict=True):
            assert [each * scale / 100 for each in found] == pytest.approx(bits, abs=0.2)


def test_a_preset_fills_the_controls_and_a_change_makes_the_loss_ones_own(fresh):
    page = fresh("loss")
    preset, source = page.page.get_by_label("A public tutorial"), page.page.locator(".pg-source")
    code = page.page.locator(".pg-code")
    assert words_on(page).endswith(
        "So the loss is 128 times the −ELBO in nats, averaged over images."
    )
    preset.select_option(label="Keras's first example, 2016 (MNIST)")
    assert page.texts(".pg-numbers dd") == ["784", "–"]
    assert "Averaging over 784 pixel values" in words_on(page)
    assert "With a β above 1, the latent carries less." in words_on(page)
    assert source.locator("a").get_attribute("href").endswith("variational_autoencoder.py#L44-L46")
    pixels = page.page.get_by_role("group", name="Reconstruction").get_by_label("over the pixels")
    assert pixels.input_value() == "mean"
    assert code.text_content() == "loss = F.binary_cross_entropy(x_hat, x) + kl.sum(1).mean()"
    pixels.select_option("sum")
    assert page.texts(".pg-numbers dd") == ["1", "–"]
    assert 'reduction="sum"' in code.text_content()
    assert preset.locator("option:checked").text_content() == "a loss of your own"
    assert source.text_content() == ""
    preset.select_option(label="AntixK/PyTorch-VAE, VanillaVAE (CelebA)")
    assert page.texts(".pg-numbers dd") == ["1.536", "1.239"]
    assert "The weights multiply β by 0.00025." in words_on(page)
    page.page.get_by_label("channels").fill("1")
    assert page.texts(".pg-numbers dd") == ["0.512", "0.7155"]
    assert "With a β below 1, the latent carries more." in words_on(page)


@pytest.mark.parametrize(
    ("name", "label", "text", "allowed"),
    [
        ("loss", "height", "0.5", "a whole number from 1 to "),
        ("loss", "height", "", None),
        ("loss", "weight", "0", "a number from 0.000000001 to 1,000,000,000 "),
        ("bits", "Image", "100", "a whole number from 0 to 99 "),
        ("bits", "Image", "-1", "a whole number from 0 to 99 "),
    ],
)
def test_a_number_that_is_not_allowed_is_dropped_and_the_page_says_what_is(
    visit, name, label, text, allowed
):
    page = visit(name)
    field = page.page.get_by_label(label).first
    value, before = field.input_value(), page.texts(".pg-words, .pg-numbers dd")
    field.fill(text)
    field.blur()
    assert field.input_value() == value
    said = page.page.locator(f"#{field.get_attribute('aria-describedby')}")
    assert said.text_content().startswith(f"Only {allowed}" if allowed else "")
    assert bool(said.text_content()) == bool(allowed)
    field.fill(value)
    assert said.text_content() == ""
    assert page.texts(".pg-words, .pg-numbers dd") == before


def test_words_are_spoken_once_they_have_come_to_rest(fresh):
    page = fresh("bound")
    page.page.get_by_role("button", name="Best Gaussian").click()
    spoken = page.page.get_by_role("status")
    end = time.monotonic() + 5
    while "0.01" not in spoken.text_content() and time.monotonic() < end:
        time.sleep(0.05)
    assert spoken.text_content() == page.texts(".pg-words")[0]
