"""Start processes as torchrun does, but all from one that has imported everything already.

`python tests/together.py FOLDER WORK:SIZE …` calls, for each WORK:SIZE in turn, the function WORK
of this file in SIZE processes, with FOLDER. FOLDER/WORK.json then has the exit codes of the
processes and what they wrote to standard error.
"""

import atexit
import contextlib
import io
import json
import os
import socket
import sys
import tempfile
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import torch

from benchmarks.published import reproduce
from vaelib import hierarchy, processes, vae
from vaelib.course.blog_post import Penalised
from vaelib.elbo import ElboTerms, elbo
from vaelib.objectives import FreeBits, ImportanceWeighted, Weighted, path_derivative
from vaelib.schedule import ToZero, WarmUp
from vaelib.training import train


class Idle(vae.VAE):
    """A model with a layer that nothing uses."""

    def __init__(self, generator):
        small = vae.dense(hidden=8, latent=2, generator=generator)
        super().__init__(small.encoder, small.decoder)
        self.idle = torch.nn.Linear(3, 3)
        torch.nn.init.zeros_(self.idle.weight)
        torch.nn.init.zeros_(self.idle.bias)


def clipped(generator):
    model = hierarchy.dense(sizes=(2, 3), width=8, generator=generator)
    model.largest_gradient = 5.0
    return model


small = partial(vae.dense, hidden=8, latent=2)
CASES = {
    "dense": (small, {}),
    "penalised": (small, dict(objective=Penalised(0.1))),
    "convolutional": (partial(vae.convolutional, channels=(2, 3)), dict(protocol="threshold")),
    "hierarchy": (clipped, {}),
    "free bits": (small, dict(objective=FreeBits(1.3))),  # between the KLs of a batch's two shares
    "samples": (small, dict(objective=ImportanceWeighted(3), learning_rate=ToZero(1e-2))),
    "warm-up": (small, dict(objective=Weighted(WarmUp(6), path_derivative))),
    "idle layer": (lambda generator: Idle(generator), {}),
}


def pixels():
    """37 images: batches of 9 do not divide by 2 or 4, and the last one has a single image."""
    return torch.randint(0, 256, (37, 784), generator=torch.Generator().manual_seed(1)).byte()


def flat(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def case(name, epochs=2, **settings):
    """What training gave: weights, history, the generator's state, and the bounds reported."""
    build, own = CASES[name]
    generator, reported = torch.Generator().manual_seed(0), []
    model = build(generator=generator)
    settings = dict(batch_size=9, protocol="dynamic", test_images=pixels()[:23]) | own | settings
    settings.setdefault("watch", lambda report: reported.append(report.terms.bound))
    history = train(model, pixels(), epochs=epochs, generator=generator, **settings)
    return flat(model), history, generator.get_state(), reported


def all_cases(folder):
    return {name: case(name) for name in CASES}


def noise(folder):
    """The noise that this process's objective was given, step by step, and its dropout's masks."""
    seen = []

    def recorded(model, image, noise):
        seen.append((noise, torch.rand(4)))  # from the global generator, as dropout is
        return elbo(model, image, noise)

    case("dense", epochs=1, objective=recorded)
    return seen


def resumed(folder):
    """Go on with a run of one process; each process names a file of its own to write to."""
    file = folder / f"run-{os.environ['RANK']}.safetensors"
    return case("dense", epochs=2, save_to=file, resume=folder / "run-0.safetensors")


def unlike(folder):
    """Each process gives images of its own."""
    try:
        train(small(), pixels()[int(os.environ["RANK"]) :], epochs=1)
    except ValueError as error:
        return str(error)


def few(folder):
    return {"all_cases": {name: case(name) for name in ("dense", "hierarchy")}}


def seeds(folder):
    """What a benchmark of three seeds prints; training and judging are left out."""
    reproduce.data = SimpleNamespace(load=lambda *which: SimpleNamespace(images=None))
    reproduce.binarized_test_images, reproduce.BUILD = lambda: None, folder
    reproduce.fit = lambda recipe, images, seed, *rest: {
        "seed": seed,
        "minutes": processes.team().size,
    }
    reproduce.judged = lambda run, samples: (
        run
        | {
            "negative_log_likelihood": 1.0,
            "negative_elbo": 2.0,
        }
    )
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        reproduce.main(["one-layer", "--seeds", "3", "--into", str(folder)])
    return printed.getvalue()


def everything(folder):
    return {work.__name__: work(folder) for work in (all_cases, noise, resumed, unlike, seeds)}


def error_in_one(folder):
    """An objective that fails in process 1 alone, at step 3."""
    steps = iter(range(100))

    def failing(model, image, noise):
        if next(steps) == 2 and os.environ["RANK"] == "1":
            raise MemoryError("no room in process 1")
        return elbo(model, image, noise)

    case("dense", objective=failing)


def error_in_all(folder):
    """A loss that is NaN for the images of process 1 alone."""

    def spoilt(model, image, noise):
        terms = elbo(model, image, noise)
        return ElboTerms(terms.log_likelihood / (os.environ["RANK"] != "1"), terms.kl)

    case("dense", objective=spoilt)


def process(work, rank, folder, errors):
    """Call `work` and end as the interpreter does: an error is told, exit functions are called."""
    os.environ["RANK"] = str(rank)
    os.dup2(errors.fileno(), 2)
    code = 0
    try:
        torch.save(work(folder), folder / f"{work.__name__}-{rank}.pt")
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    atexit._run_exitfuncs()
    sys.stderr.flush()
    os._exit(code)


def start(name, size, folder):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        os.environ["MASTER_PORT"] = str(free.getsockname()[1])
    os.environ.update(MASTER_ADDR="127.0.0.1", WORLD_SIZE=str(size), GLOO_SOCKET_IFNAME="lo")
    with tempfile.TemporaryFile() as errors:
        ranks = range(size)
        children = [os.fork() or process(globals()[name], rank, folder, errors) for rank in ranks]
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        errors.seek(0)
        ended = {"codes": codes, "errors": errors.read().decode()}
    (folder / f"{name}.json").write_text(json.dumps(ended), encoding="utf-8")


def say(*words):
    """Write a line at once, so that no other process writes into it."""
    return os.write(1, " ".join(map(str, [*words, "\n"])).encode())


def until_stopped(folder):
    """Train until someone presses Ctrl-C; say which process this is, and when a step was taken."""
    say("process", os.environ["RANK"], os.getpid())
    case("dense", epochs=10**6, watch=lambda report: report.step == 1 and say("go"))
    say("ended", os.environ["RANK"])


if __name__ == "__main__":
    folder, *works = sys.argv[1:]
    for name, size in (work.split(":") for work in works):
        start(name, int(size), Path(folder))
    if not works:
        until_stopped(Path(folder))
