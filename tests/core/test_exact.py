import math

import pytest
import torch
from test_hierarchy import stirred
from torch import nn

from vaelib import hierarchy, vae
from vaelib.binarization import threshold
from vaelib.exact import GRID, LIMIT, WEIGHT_GRID, Rounded, Table, exact, on_grid
from vaelib.hierarchy import Bounded

MAKERS = {
    "tanh": lambda g: vae.dense(hidden=40, latent=3, generator=g),
    "silu, residual": lambda g: vae.dense(
        hidden=40, blocks=2, latent=7, activation="silu", generator=g
    ),
    "convolution": lambda g: vae.convolutional(channels=(4, 6), generator=g),
    "levels": lambda g: stirred(hierarchy.dense(sizes=(2, 3, 4), width=20, generator=g), 0.1),
    "levels of maps": lambda g: stirred(hierarchy.convolutional(channels=4, generator=g), 0.1),
}


@pytest.fixture(params=MAKERS)
def model(request, generator):
    return MAKERS[request.param](generator)


def walk(model, image):
    """All that a model predicts on the way along the means of its q, and the logits."""
    seen, above, found = model.features(image), [], []
    for _ in model.sizes:
        q, prior = model.posterior(seen, above), model.prior(above)
        found += [*q, *(prior or ())]
        above = model.descend(above, on_grid(q.mean))
    return torch.cat([*found, model.likelihood(above).logits], 1)


def is_on_grid(values, grid=GRID):
    return ((values * grid).round() == values * grid).all() and values.abs().max() <= LIMIT


def test_every_layer_receives_and_gives_what_a_float64_adds_without_rounding(model, digits):
    """The bound of the docstring, at each layer of weights, for real images."""
    made, seen = exact(model), []

    def watch(layer, given, result):
        (values,) = given
        assert is_on_grid(values)
        for weights in layer.parameters():
            assert is_on_grid(weights, WEIGHT_GRID)
        largest = layer.weight.abs().flatten(1).sum(1) * values.abs().max() + layer.bias.abs()
        assert largest.max() * GRID * WEIGHT_GRID < 2**53
        seen.append(layer)

    for layer in made.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            layer.register_forward_hook(watch)
    assert is_on_grid(walk(made, threshold(digits[:20]).double()))
    weighted = [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    assert len(set(seen)) == len(weighted)


def test_the_order_of_summation_does_not_matter(model, digits):
    """Inputs and units of every dense layer in another order, in other batches and threads."""
    image, made = threshold(digits[:30]).double(), exact(model)
    wanted = walk(made, image)
    rounded = [layer for layer in made.modules() if isinstance(layer, Rounded)]
    dense = [layer for layer in rounded if isinstance(layer.layer, nn.Linear)]
    for layer in dense:
        shuffled = torch.randperm(layer.layer.in_features)
        layer.layer.forward = lambda x, layer=layer.layer, order=shuffled: nn.functional.linear(
            x[:, order], layer.weight[:, order], layer.bias
        )
    for size in (1, 7, 30):
        found = [walk(made, some) for some in image.split(size)]
        assert torch.equal(torch.cat(found), wanted)
    for layer in dense:  # term by term, the largest last
        inner = layer.layer

        def one_by_one(x, inner=inner):
            terms = (x[:, None] * inner.weight).sort(-1).values
            return terms.cumsum(-1)[..., -1] + inner.bias

        inner.forward = one_by_one
    assert torch.equal(walk(made, image[:2]), wanted[:2])


def test_another_library_of_linear_algebra_gives_the_same(model, digits):
    """NumPy's, which is OpenBLAS, in the place of PyTorch's, which is MKL on x86."""
    image, made = threshold(digits[:30]).double(), exact(model)
    wanted = walk(made, image)
    for layer in made.modules():
        if isinstance(layer, nn.Linear):
            layer.forward = lambda x, own=layer: torch.from_numpy(
                x.numpy() @ own.weight.numpy().T + own.bias.numpy()
            )
    assert torch.equal(walk(made, image), wanted)


def test_sums_in_float32_depend_on_their_order(digits, generator):
    """The reason for all of this: the plain model is not the same to the last bit."""
    model = MAKERS["silu, residual"](generator)
    image = threshold(digits[:50])
    with torch.no_grad():
        orders = torch.randperm(784, generator=generator)
        first = model.encoder.hidden[0]
        a = nn.functional.linear(image, first.weight, first.bias)
        b = nn.functional.linear(image[:, orders], first.weight[:, orders], first.bias)
    assert not torch.equal(a, b)


def test_it_is_nearly_the_model(model, digits):
    image = threshold(digits[:50])
    with torch.no_grad():
        plain, rounded = walk(model, image), walk(exact(model), image.double())
    assert (plain - rounded).abs().max() < 0.02


def test_tables_are_the_functions_and_their_limits():
    points = torch.tensor([-250.0, -16.0, -1.5, 0.0, 0.25, 16.0, 40.0], dtype=torch.float64)
    for layer, rest in ((nn.Tanh(), 0), (nn.SiLU(), 0), (Bounded(), 4 - 4 * math.tanh(4))):
        assert (Table(layer)(points) - layer(points)).abs().max() <= 0.6 / GRID + rest


def test_what_is_not_known_to_be_exact_is_refused(generator):
    model = vae.dense(generator=generator)
    model.decoder.hidden[1] = nn.GELU()
    with pytest.raises(TypeError, match=r"GELU.* is not known to give the same numbers"):
        exact(model)
    model = vae.dense(generator=generator)
    model.decoder.logits.weight.data += 1e4
    with pytest.raises(ValueError, match="sums stay below"):
        exact(model)
    assert isinstance(model.decoder.hidden[1], nn.Tanh), "the model itself is left alone"


def with_layer(layer, generator):
    model = vae.dense(hidden=40, latent=3, generator=generator)
    model.decoder.hidden.append(layer)
    return model


@pytest.mark.parametrize(
    "layer",
    [
        type("Own", (nn.Linear,), {"forward": lambda self, x: self.weight.exp() @ x})(40, 40),
        nn.utils.parametrizations.weight_norm(nn.Linear(40, 40)),
        type("Own", (nn.Tanh,), {"forward": lambda self, x: x.exp()})(),
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.LayerNorm(40),
    ],
    ids=["a subclass", "parametrized", "a non-linearity of one's own", "bilinear", "layer norm"],
)
def test_layers_that_only_look_exact_are_refused(layer, generator):
    with pytest.raises(TypeError, match="is not known to give the same numbers"):
        exact(with_layer(layer, generator))


def test_a_table_does_not_hide_what_is_between_the_steps_of_the_grid(generator):
    class Between(nn.Sequential):
        def forward(self, x):
            return super().forward(x / 3)

    made = exact(with_layer(Between(nn.Tanh()), generator))
    with pytest.raises(TypeError, match="a non-linearity receives"):
        made.likelihood([torch.ones(1, 3).double()])


def test_a_layer_may_be_used_twice(generator):
    act = nn.Tanh()
    made = exact(with_layer(nn.Sequential(act, nn.Linear(40, 40), act), generator))
    logits = made.likelihood([torch.ones(2, 3).double()]).logits
    assert is_on_grid(logits)
    assert sum(isinstance(part, Table) for part in made.decoder.hidden[-1]) == 2


@pytest.mark.usefixtures("as_users_run")
def test_what_is_no_model_is_refused():
    for wrong in (None, nn.Linear(2, 2)):
        with pytest.raises(TypeError, match="expected a model such as"):
            exact(wrong)
