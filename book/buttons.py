"""Buttons above a page, to the repository, Colab and Binder, once the address is known."""

from collections.abc import Callable
from pathlib import PurePosixPath

OF_THE_REPOSITORY = ("docs", "notebooks", "benchmarks")  # other pages lie in book/


def add(repository: str) -> Callable[..., None]:
    """What Sphinx calls for each page, to add its buttons; none without an address."""

    def put(app, name: str, template: str, context: dict, doctree) -> None:
        if repository and context.get("page_source_suffix"):
            context["header_buttons"] += for_page(name + context["page_source_suffix"], repository)

    return put


def for_page(file: str, repository: str) -> list[dict]:
    """The buttons of the page that is made from a file."""
    found = []
    if file.startswith("notebooks/"):
        found.append(group("Run this notebook", "fas fa-rocket", launches(file, repository)))
    place = source(file)
    if place:
        edit = ("Edit this page", "fas fa-pencil-alt", f"{repository}/edit/main/{place}")
        ask = ("Report a mistake", "fas fa-lightbulb", f"{repository}/issues/new/choose")
        found.append(group("Source of this page", "fab fa-github", [edit, ask]))
    return found


def launches(notebook: str, repository: str) -> list[tuple[str, str, str]]:
    """Where a notebook runs: Colab takes it from the branch that installs the course first."""
    owner = repository.removeprefix("https://github.com/")
    branch = f"https://colab.research.google.com/github/{owner}/blob/colab"
    colab = f"{branch}/{PurePosixPath(notebook).name}"
    binder = f"https://mybinder.org/v2/gh/{owner}/main?labpath={notebook}"
    return [("Colab", "fas fa-cloud", colab), ("Binder", "fas fa-server", binder)]


def source(file: str) -> str:
    """The place in the repository of a page's file; empty for a page that a program writes."""
    first = file.partition("/")[0]
    if first == "api":
        return ""
    of_the_repository = first in OF_THE_REPOSITORY or first.removesuffix(".md").isupper()
    return file if of_the_repository else f"book/{file}"


def group(words: str, icon: str, links: list[tuple[str, str, str]]) -> dict:
    """A menu of links, each with its words, its icon and its address."""
    entries = [
        dict(type="link", text=text, tooltip=text, icon=sign, url=url) for text, sign, url in links
    ]
    return dict(type="group", tooltip=words, icon=icon, label=words, buttons=entries)
