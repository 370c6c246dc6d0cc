"""The book: every link leads somewhere, nothing comes from elsewhere, folds and terms are there."""

import json
import re
import sys
from html import unescape

import leafing
import nbformat
import pytest
from docutils import nodes, utils
from leafing import HOME, text

sys.path[:0] = [str(HOME / "tools"), str(HOME / "book")]

import address  # noqa: E402
import buttons  # noqa: E402
import reading  # noqa: E402
import solutions  # noqa: E402
import terms  # noqa: E402

NOTEBOOKS = sorted((HOME / "notebooks").glob("*.ipynb"))


def test_every_link_leads_to_a_page_and_an_anchor(book):
    assert leafing.broken(book) == []
    assert len(leafing.pages(book)) > 40


def test_a_broken_link_would_be_found(book, tmp_path):
    (tmp_path / "there.html").write_text('<h1 id="here"></h1>')
    (tmp_path / "page.html").write_text(
        '<a href="there.html#here"></a><a href="there.html#gone"></a><img src="gone.png">'
        '<a href="https://example.org/x"></a><link href="//example.org/y">'
    )
    assert leafing.broken(tmp_path) == ["page.html: there.html#gone", "page.html: gone.png"]
    assert leafing.elsewhere(tmp_path) == ["page.html: link //example.org/y"]


def test_no_page_loads_from_another_host(book):
    assert leafing.elsewhere(book) == []


def test_it_is_small(book):
    assert sum(path.stat().st_size for path in book.rglob("*") if path.is_file()) < 25e6


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_a_page_with_all_its_folds(book, path):
    page = text(book / "notebooks" / f"{path.stem}.html")
    cells = nbformat.read(path, as_version=4).cells
    exercises = sum(bool(solutions.CHECK.search(cell.source)) for cell in cells)
    checks = sum("check" in cell.metadata.get("tags", []) for cell in cells)
    described = sum(cell.source.count("<summary>Description") for cell in cells)
    questions = {*solutions.questions(cells).values()}
    assert page.count("<summary>Solution</summary>") == exercises >= 4
    assert page.count("<summary>Description</summary>") >= described >= 4
    assert len(re.findall(r"<summary>Answers?</summary>", page)) == len(questions)
    said = re.findall(r"<summary[^>]*>\s*<p[^>]*>(Check[^<]+)<", page)
    assert page.count("tag_hide-cell") == len(said) >= checks >= 3, "an answer has checks, too"
    solved = nbformat.read(solutions.SOLUTIONS / path.name, as_version=4).cells
    printed = "".join(str(cell.get("outputs", "")) for cell in solved)
    assert all(line[7:] in printed for line in map(unescape, said) if line != "Checks")
    assert page.count("<details") == page.count("</details>")
    article = page.partition("<article")[2].partition("</article>")[0]
    assert "<details><summary>" not in article, "Markdown does not hold in such a fold"


def test_what_is_downloaded_is_the_notebook_with_open_exercises(book):
    for path in NOTEBOOKS:
        assert (book / "_sources" / "notebooks" / path.name).read_bytes() == path.read_bytes()


def test_pictures_have_their_descriptions(book):
    page = text(book / "notebooks" / "04_elbo.html")
    pictures = re.findall(r"<img [^>]*>", page)
    assert len(pictures) >= 8
    assert all(len(re.search(r'alt="([^"]*)"', picture)[1]) > 40 for picture in pictures)


def test_pages_of_the_package_lead_to_its_source(book):
    page = text(book / "api" / "elbo.html")
    assert 'href="../_modules/vaelib/elbo.html#kl"' in page
    assert "def kl(" in re.sub(r"<[^>]+>", "", text(book / "_modules" / "vaelib" / "elbo.html"))


def test_every_module_has_a_page(book):
    there = {path.stem for path in (HOME / "vaelib").glob("[a-z]*.py")}
    assert {page.stem for page in (book / "api").glob("*.html")} - {"index"} == there


def test_results_are_those_of_the_files(book):
    page = re.sub(r"<[^>]+>", "", text(book / "results.html"))
    for row in json.loads((HOME / "vaelib/course/results/literature.json").read_text("utf-8")):
        assert f"{row['negative_log_likelihood']:.2f}" in page
        assert row["source"].replace("&", "&amp;") in page
    assert "<!-- " not in (page.partition("Published numbers")[2])
    assert "86.09 ± 0.09" in page, "one-layer: mean and standard deviation"


class TestGlossary:
    def test_it_has_all_terms_with_their_meanings(self):
        rows = terms.glossary()
        lines = (HOME / "docs" / "glossary.md").read_text(encoding="utf-8").splitlines()
        assert len(rows) == sum(line.startswith("| ") for line in lines) - 1
        assert all(row.notebook in terms.notebooks() for row in rows)
        page = terms.page("# Glossary\n\nBefore.\n\n| term | meaning | notebook |\n")
        assert page.startswith("# Glossary\n\nBefore.\n")
        assert all(f"\n{row.name}\n  {row.meaning} " in page for row in rows)

    @pytest.mark.parametrize(
        ("name", "phrases"),
        [
            ("active unit", ["active unit"]),
            ("prior p(z)", ["prior"]),
            ("joint density p(x, z)", ["joint density"]),
            ("latent z, latent vector", ["latent", "latent vector"]),
            ("β, β-VAE", ["β", "β-VAE"]),
            ("noise ε", ["noise"]),
            ("mutual information I(x; z)", ["mutual information"]),
            ("variational autoencoder (VAE)", ["variational autoencoder", "VAE"]),
            ("hierarchy (of latents)", ["hierarchy"]),
            ("KL, Kullback–Leibler divergence", ["KL", "Kullback–Leibler divergence"]),
        ],
    )
    def test_a_term_is_found_by_its_words(self, name, phrases):
        assert terms.Term(name, "", "").phrases == phrases

    def test_the_first_use_is_a_link_and_the_next_is_not(self):
        paragraph = nodes.paragraph(
            "", "A latent and its latents have priors, not a learning rate."
        )
        document = utils.new_document("page")
        document += paragraph
        phrases = terms.OTHERS | {"latent": "latent z", "prior": "prior p(z)", "rate": "rate"}
        terms.replace(paragraph[0], phrases, "page")
        linked = {node.astext(): node["reftarget"] for node in (paragraph[1], paragraph[3])}
        assert linked == {"latent": "latent z", "priors": "prior p(z)"}
        assert paragraph.astext() == "A latent and its latents have priors, not a learning rate."
        assert phrases == {"learning rate": None, "rate": "rate"}

    def test_nothing_is_linked_in_a_heading_a_table_a_link_or_a_fold(self):
        inside = [
            nodes.title("", "prior"),
            nodes.reference("", "prior"),
            nodes.literal("", "prior"),
        ]
        for node in inside:
            nodes.paragraph("", "", node)
            assert not terms.may_link(node[0])
        around = nodes.section("", nodes.raw("", "<details>", format="html"))
        around += nodes.paragraph("", "hidden")
        around += nodes.raw("", "</details>", format="html")
        around += nodes.paragraph("", "seen")
        places = [n for n in around.findall() if isinstance(n, nodes.Text | nodes.raw)]
        assert [node.astext() for node in terms.outside_folds(places)] == ["seen"]

    def test_each_notebook_links_each_term_once(self, book):
        for path in NOTEBOOKS:
            page = text(book / "notebooks" / f"{path.stem}.html")
            links = re.findall(r'href="\.\./docs/glossary\.html#(term-[^"]+)"', page)
            assert len(links) == len({*links}) >= 10, path.stem

    def test_a_term_is_linked_by_the_notebook_that_introduces_it(self, book):
        linked = 0
        for path in NOTEBOOKS:
            page = text(book / "notebooks" / f"{path.stem}.html")
            words = {word.lower() for word in re.findall(r'class="[^"]*\bterm">([^<]+)<', page)}
            own = [row for row in terms.glossary() if row.notebook == path.stem[3:]]
            linked += sum(
                any(w.startswith(p.lower()) for p in row.phrases for w in words) for row in own
            )
        assert linked > 0.8 * len(terms.glossary())


@pytest.mark.parametrize("playground", [[], ["bound"]])
def test_an_explorer_says_where_it_moves(playground):
    path = HOME / "notebooks" / "04_elbo.ipynb"
    notebook = nbformat.read(path, as_version=4)
    solved = nbformat.read(solutions.SOLUTIONS / path.name, as_version=4)
    cells = reading.page(notebook, solved, playground).cells
    said = [cell.source for cell in cells if cell.source.startswith(":::{admonition} Explorer: ")]
    assert len(said) == 2
    assert sum("(../playground/bound.md)" in text for text in said) == len(playground)
    shown = [cell for cell in cells if cell.cell_type == "code"]
    assert not any("run the notebook" in str(cell.outputs) for cell in shown)


def test_a_fold_lets_markdown_hold_in_it():
    folded = reading.with_open_folds("a <details><summary>Description</summary>On $x$.</details> b")
    assert folded == ("a <details>\n<summary>Description</summary>\n\nOn $x$.\n\n</details> b")


class TestButtons:
    place = "https://github.com/someone/course"

    def links(self, file: str) -> dict[str, str]:
        groups = buttons.for_page(file, self.place)
        return {entry["text"]: entry["url"] for group in groups for entry in group["buttons"]}

    def test_there_are_none_without_an_address(self, book):
        assert address.repository((HOME / "pyproject.toml").read_text("utf-8")) == ""
        context = {"header_buttons": [], "page_source_suffix": ".ipynb"}
        buttons.add("")(None, "notebooks/04_elbo", "page.html", context, None)
        assert context["header_buttons"] == []

    def test_a_notebook_opens_on_colab_and_binder(self):
        links = self.links("notebooks/04_elbo.ipynb")
        assert links["Colab"].endswith("/github/someone/course/blob/colab/04_elbo.ipynb")
        assert links["Binder"].endswith("/gh/someone/course/main?labpath=notebooks/04_elbo.ipynb")
        assert links["Edit this page"] == f"{self.place}/edit/main/notebooks/04_elbo.ipynb"

    @pytest.mark.parametrize("path", ["README.md", "docs/quiz.md", "book/which.md"])
    def test_a_text_is_edited_where_it_lies(self, path):
        links = self.links(path.removeprefix("book/"))
        assert links["Edit this page"] == f"{self.place}/edit/main/{path}"
        assert (HOME / path).is_file()
        assert "Colab" not in links

    def test_a_page_that_a_program_writes_has_none(self):
        assert self.links("api/elbo.md") == {}
