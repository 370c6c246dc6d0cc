"""The benchmark's tables, as README.md here has them, and its picture."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt

from vaelib.course import plotting

COLORS = {
    "floor": plotting.GREY,
    "bare": plotting.PURPLE,
    "vaelib": plotting.BLUE,
    "usual": plotting.ORANGE,
}
CONTENDERS = {
    "floor": "matrix products alone (floor)",
    "bare": "a bare PyTorch script",
    "vaelib": "vaelib.training.train",
    "usual": "the usual DataLoader loop",
}

BEGIN = "<!-- tables: written by python -m benchmarks, see tests/test_benchmarks.py -->"
END = "<!-- end of tables -->"


def tables(runs: list[dict]) -> str:
    """All numbers of the newest of `runs`, and what was to be reached in each, in Markdown."""
    run = runs[-1]
    parts = [_machine(run["facts"]), _epochs(run), _others(run), _reach(runs)]
    return "\n\n".join(parts)


def reach(run: dict) -> list[tuple[str, float, float, float]]:
    """What this project set out to reach: (what, measured, least, greatest that is allowed)."""
    large = run["epochs"][2]
    return [
        ("vaelib / floor, batch 500", large["vaelib / floor"]["median"], 0, 1.3),
        ("dynamic / threshold", run["binarization"]["dynamic / threshold"]["median"], 0, 1.05),
        ("importance / floor", run["evaluation"]["importance / floor"]["median"], 0, 1.2),
        ("exponent in images", run["growth"][0]["exponent"]["median"], 0.95, 1.05),
        ("training, MB above imports", run["memory"]["train"], 0, 450),
        ("import vaelib, seconds", run["import"]["vaelib_seconds"]["median"], 0, 0.3),
    ]


def insert(text: str, page: Path, begin: str = BEGIN, end: str = END) -> None:
    """Put `text` between the two marks of `page`, if there is such a page."""
    if page.exists():
        before, _, rest = page.read_text(encoding="utf-8").partition(begin)
        after = rest.partition(end)[2]
        page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")


def _machine(facts: dict) -> str:
    return (
        f"{facts['processor']}, {facts['cores']} cores, {facts['threads']} threads, "
        f"{facts['system']}; Python {facts['python']}, torch {facts['torch']}; "
        f"{facts['images']:,} images of {facts['dataset']}, {facts['rounds']} rounds, "
        f"{facts['date']}. Medians, with the least and the greatest in brackets."
    )


def table(*rows: Sequence[object]) -> str:
    head, *body = (f"| {' | '.join(map(str, row))} |" for row in rows)
    return "\n".join([head, "|---" * len(rows[0]) + "|", *body])


def _epochs(run: dict) -> str:
    quotients = ("vaelib / floor", "vaelib / bare", "usual / vaelib")
    rows = [
        [epoch["setting"]]
        + [range_of(epoch["seconds"][name]) for name in CONTENDERS]
        + [range_of(epoch[name]) for name in quotients]
        for epoch in run["epochs"]
    ]
    return table(("seconds an epoch", *CONTENDERS, *quotients), *rows)


def _others(run: dict) -> str:
    images, width = run["growth"]
    evaluated, binarized = run["evaluation"], run["binarization"]
    rows = [
        ("an epoch by threshold, seconds", range_of(binarized["seconds"]["threshold"])),
        ("an epoch by fresh draws, seconds", range_of(binarized["seconds"]["dynamic"])),
        ("fresh draws / threshold", range_of(binarized["dynamic / threshold"])),
        ("ELBO of the test images, seconds", range_of(evaluated["seconds"]["elbo"])),
        ("ELBO / its products", range_of(evaluated["elbo / floor"])),
        (
            f"importance-weighted bound, {evaluated['samples']} samples, seconds",
            range_of(evaluated["seconds"]["importance"]),
        ),
        ("importance-weighted bound / its products", range_of(evaluated["importance / floor"])),
        (f"exponent of time in images, {_sizes(images)}", range_of(images["exponent"])),
        (f"exponent of time in hidden units, {_sizes(width)}", range_of(width["exponent"])),
        ("import torch, seconds", range_of(run["import"]["torch_seconds"])),
        ("import vaelib after it, seconds", range_of(run["import"]["vaelib_seconds"])),
    ]
    rows += [(f"peak memory above imports, MB: {task}", mb) for task, mb in run["memory"].items()]
    return table(("what", "measured"), *rows)


def _reach(runs: list[dict]) -> str:
    rows = []
    for found in zip(*(reach(run) for run in runs), strict=True):
        what, _, low, high = found[0]
        allowed = f"{low:g} to {high:g}"
        cells = [f"{value:.3g}{'' if low <= value <= high else ' ✗'}" for _, value, *_ in found]
        rows.append((what, allowed, *cells))
    heads = (f"run {n}: {run['facts']['processor']}" for n, run in enumerate(runs, 1))
    return table(("aim", "allowed", *heads), *rows)


def range_of(values: dict[str, float]) -> str:
    return f"{values['median']:.3g} ({values['least']:.3g}–{values['greatest']:.3g})"


def _sizes(row: dict) -> str:
    sizes = [int(size) for size in row["seconds"]]
    return f"{sizes[0]:,} to {sizes[-1]:,}"


def draw(runs: list[dict], path: Path) -> None:
    """The newest run as one picture: seconds an epoch, and growth on logarithmic axes."""
    run = runs[-1]
    figure, (bars, *lines) = plt.subplots(
        1, 3, figsize=(12, 4.2), width_ratios=[2, 1, 1], layout="constrained"
    )
    _bars(bars, run)
    for axes, row, label in zip(
        lines, run["growth"], ("training images", "hidden units"), strict=True
    ):
        _growth(axes, row, label)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _bars(axes, run: dict) -> None:
    for row, epoch in enumerate(run["epochs"]):
        for place, name in enumerate(CONTENDERS):
            at, found = row + 0.2 * (place - 1.5), epoch["seconds"][name]
            error = [[found["median"] - found["least"]], [found["greatest"] - found["median"]]]
            axes.barh(
                at, found["median"], 0.18, xerr=error, color=COLORS[name],
                label=CONTENDERS[name] if row == 0 else None,
            )  # fmt: skip
            axes.text(found["greatest"], at, f" {found['median']:.3g} s", va="center", size=8)
    axes.set_yticks(range(len(run["epochs"])), [row["setting"] for row in run["epochs"]])
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set(title="One epoch of 60,000 digits", xlabel="seconds (median, least to greatest)")
    axes.legend(loc="upper center", bbox_to_anchor=(0.4, -0.17), ncols=2, fontsize=8)


def _growth(axes, row: dict, label: str) -> None:
    sizes = [int(size) for size in row["seconds"]]
    medians = [found["median"] for found in row["seconds"].values()]
    axes.loglog(sizes, medians, "o-", color=COLORS["vaelib"])
    linear = [medians[-1] * size / sizes[-1] for size in sizes]
    axes.loglog(sizes, linear, ":", color=plotting.GREY, label="proportional")
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes], rotation=30, size=8)
    axes.minorticks_off()
    axes.set(title=f"exponent {row['exponent']['median']:.2f}", xlabel=label)
    axes.set_ylabel("seconds an epoch")
    axes.legend(fontsize=8)
