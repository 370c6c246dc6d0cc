"""One line of pyproject.toml has the repository's address, and everything else follows from it."""

import re
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(HOME / "tools"))

import address  # noqa: E402

OURS = "https://github.com/someone/vae-course"


def read(name):
    return (HOME / name).read_text(encoding="utf-8")


def test_what_is_committed_follows_from_the_line():
    here = address.repository(read("pyproject.toml"))
    for name, change in address.CHANGES.items():
        assert change(read(name), here) == read(name), name
    assert ("repository-code" in read("CITATION.cff")) == bool(here)
    assert ("badge" in read("README.md").split("<!-- /badges -->")[0].split("-->")[1]) == bool(here)


@pytest.mark.parametrize(
    "wrong",
    [
        f"{OURS}/",
        f"{OURS}.git",
        f"{OURS}/tree/main",
        "https://github.com/someone",
        "https://example.org/someone/it",
        "github.com/someone/it",
        "http://github.com/a/b",
    ],
)
def test_an_address_in_another_form_is_refused(wrong):
    text = read("pyproject.toml").replace('repository = ""', f'repository = "{wrong}"')
    with pytest.raises(ValueError, match="expected https"):
        address.repository(text)


@pytest.mark.parametrize(
    "right", [OURS, "https://github.com/a/b", "https://github.com/a-b/c.d", ""]
)
def test_an_address_in_the_right_form_is_read(right):
    text = read("pyproject.toml").replace('repository = ""', f'repository = "{right}"')
    assert address.repository(text) == right


def test_a_project_without_the_line_is_refused():
    with pytest.raises(ValueError, match="has no line"):
        address.repository(read("pyproject.toml").replace("repository = ", "repo = "))


def test_with_an_address_there_are_three_badges_and_without_none():
    readme = address.with_badges(read("README.md"), OURS)
    badge = r"^\[!\[Open in (\w+)\]\((https://\S+\.svg)\)\]\((https://\S+)\)$"
    found = re.findall(badge, readme, re.M)
    assert [name for name, _, _ in found] == ["Colab", "Kaggle", "Binder"]
    for name, picture, link in found:
        site = {"Binder": "mybinder.org"}.get(name, f"{name.lower()}.")
        assert site in picture.split("/")[2]
        assert site in link.split("/")[2]
        assert "someone/vae-course" in link
    assert "/github/someone/vae-course/blob/colab/01_binarization.ipynb" in readme
    assert f"src={OURS}/blob/colab/01_binarization.ipynb" in readme
    assert "/gh/someone/vae-course/main?labpath=notebooks/01_binarization.ipynb" in readme
    assert (HOME / address.FIRST).exists()
    assert "Open in" not in address.with_badges(readme, "")
    assert address.with_badges(readme, OURS) == readme


def test_a_readme_for_an_index_has_absolute_links_and_pictures():
    made = address.absolute(read("README.md"), OURS, "1.2.3")
    assert f"]({OURS}/blob/v1.2.3/notebooks/01_binarization.ipynb)" in made
    assert f"]({OURS}/raw/v1.2.3/docs/digits.png)" in made
    assert not re.findall(r"\]\((?!https?://|#)", made)
    assert made.count("](") == read("README.md").count("](")


def test_without_an_address_it_has_no_link_that_leads_nowhere():
    made = address.absolute(
        "![a](b.png) see [the page](docs/c.md#d) and [e](https://e.org)", "", "1"
    )
    assert made == " see the page and [e](https://e.org)"


def test_the_pages_links_and_the_citation():
    assert address.urls("", "1") == {}
    found = address.urls(OURS, "1.2.3")
    assert {"Homepage", "Source", "Issues", "Changelog"} == set(found)
    assert all(link.startswith(OURS) for link in found.values())
    cited = address.with_code(read("CITATION.cff"), OURS)
    assert f"\nrepository-code: {OURS}\nlicense: MIT\n" in cited
    assert address.with_code(cited, "") == read("CITATION.cff").replace(
        f"repository-code: {OURS}\n", ""
    )


def test_the_repositorys_owner_reviews_every_change():
    made = address.with_owner(read(".github/CODEOWNERS"), OURS)
    assert made.splitlines()[-1] == "* @someone"
    assert made.count("* @") == 1
    assert address.with_owner(made, OURS) == made
    assert "* @" not in address.with_owner(made, "")
