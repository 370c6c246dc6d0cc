"""The tables of the page on results, from the files of results that come with the package."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from vaelib.course import results

HOME = Path(__file__).resolve().parent.parent
SHIPPED = "vaelib/course/results"
OTHERS = {
    f"{SHIPPED}/objectives.json": ("the right and the wrong KL", "benchmarks.objectives"),
    f"{SHIPPED}/seeds.json": ("ten seeds of what notebooks 7 and 10 train", "benchmarks.seeds"),
    f"{SHIPPED}/compression.json": ("bits per pixel on disk", "benchmarks.compression"),
    f"{SHIPPED}/sharpness.json": ("blur, and the quality of samples", "benchmarks.sharpness"),
    "benchmarks/speed.json": ("speed and memory of training", "benchmarks"),
}


def filled(page: str) -> str:
    """The page with its tables, each in the place of its mark."""
    for mark, table in TABLES.items():
        page = page.replace(f"<!-- {mark} -->", table())
    return page


def literature() -> str:
    """What others have published, with protocols and sources."""
    rows = [
        (
            f"{row['what']} ({row['setting'].partition(':')[0]})",
            nats(row["negative_log_likelihood"]),
            nats(row["negative_elbo"]),
            f"{row['protocol']}, {row['samples']:,}",
            ", ".join(f"[{name}]({link})" for name, link in named(row["source"], row["links"])),
        )
        for row in results.read("literature")
    ]
    return markdown(("model", "−log p(x)", "−ELBO", "protocol, samples", "source"), rows)


def named(source: str, links: Sequence[str]) -> Iterable[tuple[str, str]]:
    """Each link with its name: the source, and for the other links `code`."""
    return zip([source, *["code"] * (len(links) - 1)], links, strict=True)


def runs() -> str:
    """What our recipes reach, the smallest −log p(x) first."""
    found = sorted(
        results.published().items(),
        key=lambda item: item[1]["summary"]["negative_log_likelihood"]["mean"],
    )
    rows = [
        (
            run["recipe"]["about"],
            spread(run["summary"]["negative_log_likelihood"]),
            spread(run["summary"]["negative_elbo"]),
            run["summary"]["seeds"],
            f"{run['runs'][0]['samples']:,}",
            f"{run['summary']['minutes']['mean']:.0f}",
            f"[{name}]({SHIPPED}/published/{name}.json)",
        )
        for name, run in found
    ]
    heads = ("model", "−log p(x)", "−ELBO", "seeds", "samples", "minutes", "recipe and file")
    return markdown(heads, rows)


def others() -> str:
    """The other files of results, each with its date, its machine and how it is made again."""
    rows = []
    for file, (what, module) in OTHERS.items():
        read = json.loads((HOME / file).read_text(encoding="utf-8"))
        facts = read.get("facts") or read["runs"][-1]["facts"]
        where = [facts.get("processor") or facts["machine"], f"torch {facts['torch']}"]
        made = f"`python -m {module}`"
        rows.append((what, made, facts.get("date", ""), ", ".join(where), f"[file]({file})"))
    return markdown(("what", "made by", "date", "machine", ""), rows)


def nats(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def spread(summary: dict) -> str:
    """A mean, and the standard deviation over seeds where there are several."""
    std = summary["std"]
    return nats(summary["mean"]) + ("" if std is None else f" ± {std:.2f}")


def markdown(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


TABLES: dict[str, Callable[[], str]] = {"literature": literature, "runs": runs, "files": others}
