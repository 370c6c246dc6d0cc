"""The glossary as a page with an anchor for each term, and the links that lead there.

On each page the first use of a term becomes a link. A notebook links the terms that it or an
earlier notebook introduces, because a later one explains the others.
"""

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

from docutils import nodes
from sphinx.addnodes import pending_xref

HOME = Path(__file__).resolve().parent.parent
PAGE = "docs/glossary"
ROW = re.compile(r"^\| (.+?) (?<!\\)\| (.+?) (?<!\\)\| (\w+) \|$", re.MULTILINE)
LINKED = re.compile(r"notebooks/|index$|results$|playground/|docs/(teaching|answers)$")
# Also words of ordinary English: linked only in the notebook that gives them their meaning.
ORDINARY = {
    "band", "bit", "channel", "correction", "hole", "judge", "level", "noise", "precision",
    "recall", "sample", "seed", "symbol",
}  # fmt: skip
OTHERS = {"learning rate": None}  # phrases that contain a term, and mean something else
SYMBOL = re.compile(r"\s+(\w\(.*\)|\w|[^\x00-\x7f])$")  # such as p(z) or ε behind a name
NOT_IN = (
    nodes.title,
    nodes.table,
    nodes.reference,
    pending_xref,
    nodes.literal,
    nodes.FixedTextElement,
)


class Term(NamedTuple):
    """A row of the glossary."""

    name: str
    meaning: str
    notebook: str  # its topic

    @property
    def phrases(self) -> list[str]:
        """The words by which a text calls it."""
        short = re.findall(r"\(([A-Z]{2,})\)", self.name)
        name = SYMBOL.sub("", re.sub(r" \([^)]*\)$", "", self.name))
        return [SYMBOL.sub("", part) for part in name.split(", ")] + short


@cache
def glossary() -> tuple[Term, ...]:
    """The rows of docs/glossary.md."""
    text = (HOME / f"{PAGE}.md").read_text(encoding="utf-8")
    rows = [row.groups() for row in ROW.finditer(text)][1:]
    return tuple(Term(*(cell.replace("\\|", "|") for cell in row)) for row in rows)


@cache
def notebooks() -> dict[str, str]:
    """The file name of each topic's notebook, without its suffix."""
    paths = sorted((HOME / "notebooks").glob("*.ipynb"))
    return {path.stem.partition("_")[2]: path.stem for path in paths}


def page(text: str) -> str:
    """The glossary's page: a list in the place of its table."""
    before = text.partition("\n| ")[0]
    return "\n".join([before, "", ":::{glossary}", *map(entry, glossary()), ":::", ""])


def entry(term: Term) -> str:
    place = notebooks().get(term.notebook)
    where = f" ([{term.notebook}](../notebooks/{place}.ipynb))" if place else ""
    return f"{term.name}\n  {term.meaning}{where}\n"


def of_page(name: str) -> list[Term]:
    """The terms that a page links."""
    topic = name.partition("_")[2]
    if topic not in notebooks():
        return [term for term in glossary() if not ORDINARY & {*term.phrases}]
    order = [*notebooks()]
    known = order[: order.index(topic) + 1]
    return [
        term
        for term in glossary()
        if term.notebook in (known[-1:] if ORDINARY & {*term.phrases} else known)
    ]


def link(app, doctree: nodes.document) -> None:
    """Make the first use of each term on a page a link to the glossary."""
    name = app.env.docname
    if not LINKED.match(name):
        return
    phrases = OTHERS | {phrase: term.name for term in of_page(name) for phrase in term.phrases}
    places = [node for node in doctree.findall() if isinstance(node, nodes.Text | nodes.raw)]
    for text in outside_folds(places):
        if may_link(text):
            replace(text, phrases, name)


def outside_folds(places: list[nodes.Node]) -> list[nodes.Text]:
    """The texts that are seen without opening anything."""
    depth, seen = 0, []
    for node in places:
        if isinstance(node, nodes.raw):
            html = node.astext()
            depth += html.count("<details") - html.count("</details")
        elif depth == 0 and not isinstance(node.parent, nodes.raw):
            seen.append(node)
    return seen


def may_link(text: nodes.Text) -> bool:
    """Whether the text is prose, of a paragraph, and no link yet."""
    above, node = [], text.parent
    while node is not None:
        above.append(node)
        node = node.parent
    return any(isinstance(node, nodes.paragraph) for node in above) and not any(
        isinstance(node, NOT_IN) for node in above
    )


def replace(text: nodes.Text, phrases: dict[str, str], page: str) -> None:
    """Replace a text by its parts, a link for each term; take these out of `phrases`."""
    pattern = "|".join(re.escape(phrase) for phrase in sorted(phrases, key=len, reverse=True))
    whole, parts, end = text.astext(), [], 0
    for found in re.finditer(rf"(?<![\w-])({pattern})(?:s|es|d)?(?![\w-])", whole, re.IGNORECASE):
        phrase = next((phrase for phrase in phrases if is_written(found[1], phrase)), None)
        term = phrases.get(phrase)
        if term is None:
            continue
        for other in [other for other in phrases if phrases[other] == term]:
            del phrases[other]
        parts += [nodes.Text(whole[end : found.start()]), reference(found[0], term, page)]
        end = found.end()
    if parts:
        text.parent.replace(text, [*parts, nodes.Text(whole[end:])])


def is_written(word: str, phrase: str) -> bool:
    """Whether a text has the phrase as it is written, or with a capital at its beginning."""
    return word in (phrase, phrase[:1].upper() + phrase[1:])


def reference(word: str, term: str, page: str) -> pending_xref:
    """A link from a word to its term."""
    inner = nodes.inline(word, word, classes=["term"])
    target = dict(refdomain="std", reftype="term", reftarget=term, refdoc=page)
    return pending_xref(word, inner, refexplicit=True, refwarn=True, **target)
