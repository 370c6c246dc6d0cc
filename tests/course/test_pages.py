"""Pages for students and teachers: links lead somewhere, quiz and key agree, the sheet is right."""

import html
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn.functional import softplus

from vaelib import vae
from vaelib.decoder import Bernoulli, log_likelihood
from vaelib.elbo import ElboTerms, kl, log_mean_exp
from vaelib.encoder import Gaussian, reparameterize
from vaelib.objectives import Weighted

HOME = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(HOME / "tests"))

import browser  # noqa: E402

DOCS = HOME / "docs"
PAGES = sorted(path for path in DOCS.iterdir() if path.suffix in {".md", ".html"})
NEW = ["accessibility.md", "answers.md", "feedback.md", "quiz.md", "setup.md", "sheet.html"]


def read(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def anchors(markdown: str) -> set[str]:
    """The names under which a code host links the headings of a page."""
    heads = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", markdown, flags=re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", [HOME / "README.md", *PAGES], ids=lambda path: path.name)
def test_links_within_the_repository_lead_to_a_file_and_a_heading(page):
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
        path, _, anchor = link.partition("#")
        if "09_hierarchy" in path:
            continue  # test_teaching.py looks whether it is there
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), link


@pytest.mark.parametrize("name", NEW)
def test_a_page_is_linked_from_the_readme_and_from_the_guide(name):
    assert f"](docs/{name}" in (HOME / "README.md").read_text(encoding="utf-8")
    assert f"]({name}" in read("teaching.md")


def test_every_question_for_the_room_has_its_answer():
    asked = read("teaching.md").partition("## Questions for the room\n")[2].partition("\n## ")[0]
    questions = re.findall(r"^- (.+)$", asked, re.M)
    text = read("answers.md").partition("## Key to the quiz")[0]
    folded = re.findall(r"<details><summary>(.+?)</summary>\n\n(.+?)\n\n</details>", text, re.S)
    assert [question for question, _ in folded] == questions
    assert len(questions) >= 10
    assert all(len(answer.split()) >= 30 for _, answer in folded)


def test_the_numbers_of_the_answers():
    text = read("answers.md")
    entropy = -sum(p * math.log2(p) for p in (0.99, 0.01))
    assert f"only {entropy:.2f} bits" in text
    assert f"= {-math.log2(0.01):.1f} bits" in text
    assert f"({math.log(2):.2f} nats)" in text
    assert f"{0.8**100:.0e}" == "2e-10"
    assert "2 · 10⁻¹⁰" in text


def quiz() -> dict[str, list[str]]:
    """The letters of the options of each question."""
    parts = re.split(r"^\*\*Question (\d)\.\*\*", read("quiz.md"), flags=re.M)[1:]
    return {
        number: re.findall(r"^- ([A-Z])\. ", text, re.M)
        for number, text in zip(parts[::2], parts[1::2], strict=True)
    }


def test_the_quiz_has_five_questions_and_the_key_tells_what_each_option_reveals():
    assert quiz() == {number: list("ABCD") for number in "12345"}
    rows = re.findall(
        r"^\| (\d) \| ([A-D]) \| (.+?) \| (notebooks? .+) \|$", read("answers.md"), re.M
    )
    assert [row[:2] for row in rows] == [(n, letter) for n in "12345" for letter in "ABCD"]
    correct = [(number, letter) for number, letter, reveals, _ in rows if reveals == "**correct**"]
    assert [number for number, _ in correct] == list("12345"), "one for each question"
    assert len({letter for _, letter in correct}) == 4, "a letter must not give the answer away"
    assert len({reveals for *_, reveals, _ in rows}) == 16, "15 wrong options, each its own meaning"
    there = {str(int(path.stem[:2])) for path in (HOME / "notebooks").glob("*.ipynb")}
    assert {n for *_, where in rows for n in re.findall(r"\d+", where)} <= there


def test_the_quiz_does_not_tell_its_answers():
    assert "correct" not in read("quiz.md").lower().replace("whole image is correct", "")


def test_the_feedback_form_is_numbered_text():
    form = re.search(r"```text\n(.+?)```", read("feedback.md"), re.S)[1]
    assert re.findall(r"^(\d)\. ", form, re.M) == list("12345678")


SHEET = read("sheet.html")


def test_the_terms_on_the_sheet_are_the_glossarys():
    rows = [
        re.split(r"(?<!\\)\|", line)[1:3] for line in read("glossary.md").splitlines()[5:] if line
    ]
    glossary = {
        term.replace("\\|", "|").strip(): said.replace("\\|", "|").strip() for term, said in rows
    }
    terms = re.findall(r"<dt>(.+?)</dt> <dd>(.+?)</dd>", SHEET)
    assert len(terms) >= 20
    for term, said in terms:
        assert glossary[html.unescape(term)] == html.unescape(said), term


@pytest.fixture(scope="module")
def values():
    """What the code on the sheet names; w are weights of k = 6 latents for 4 images."""
    draw = torch.Generator().manual_seed(0)
    mean, log_std, noise = torch.randn(3, 4, 5, generator=draw, dtype=torch.float64)
    logits = 3 * torch.randn(4, 784, generator=draw, dtype=torch.float64)
    x = torch.rand(4, 784, generator=draw, dtype=torch.float64).round()
    log_w = 2 * torch.randn(6, 4, generator=draw, dtype=torch.float64)
    terms = ElboTerms(log_likelihood(x, logits), kl(Gaussian(mean, log_std)))
    return dict(
        mean=mean, log_std=log_std, noise=noise, logits=logits, x=x, beta=0.3, k=6,
        log_w=log_w, w=log_w.exp(), kl=terms.kl, log_likelihood=terms.log_likelihood,
        math=math, torch=torch, softplus=softplus,
    )  # fmt: skip


def expected(values: dict) -> dict[str, torch.Tensor]:
    """The same quantities by the package's functions, with which the notebooks' agree."""
    posterior = Gaussian(values["mean"], values["log_std"])
    shares = values["log_w"].softmax(0)
    terms = ElboTerms(values["log_likelihood"], values["kl"])
    weighted = Weighted(values["beta"], lambda *_: terms)  # whatever the model says
    return {
        "sigmoid": Bernoulli(values["logits"]).mean,
        "log-likelihood": log_likelihood(values["x"], values["logits"]),
        "reparameterization": reparameterize(posterior, values["noise"]),
        "kl": kl(posterior),
        "loss": weighted(vae.dense(hidden=9), values["x"], values["noise"]).loss,
        "log-evidence": log_mean_exp(values["log_w"]),
        "effective-sample-size": 1 / shares.square().sum(0),
    }


FORMULAS = dict(re.findall(r'<code id="([a-z-]+)">(.+?)</code>', SHEET))


@pytest.mark.parametrize("name", FORMULAS)
def test_a_formula_on_the_sheet_computes_what_the_package_computes(name, values):
    found = eval(html.unescape(FORMULAS[name]), values)
    torch.testing.assert_close(found, expected(values)[name])


def test_every_formula_on_the_sheet_is_computed(values):
    assert FORMULAS.keys() == expected(values).keys()
    assert f"784 · log 2 ≈ {784 * math.log(2):.1f} nats" in SHEET
    assert f"1 / log 2 ≈ {1 / math.log(2):.2f} bits" in SHEET


def test_the_sheet_prints_on_one_page(tmp_path):
    program = browser.find_browser()
    if program is None:
        pytest.skip("needs Chromium, as the explorers' tests do")
    for size in ("A4", "letter"):
        page, printed = tmp_path / f"{size}.html", tmp_path / f"{size}.pdf"
        page.write_text(SHEET.replace("size: A4", f"size: {size}"), encoding="utf-8")
        command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer"]
        command += [f"--print-to-pdf={printed}", f"--user-data-dir={tmp_path}", page.as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        assert re.findall(rb"/Type /Pages.*?/Count (\d+)", printed.read_bytes(), re.S) == [b"1"]
        shutil.rmtree(tmp_path / "Default", ignore_errors=True)


EXPLORERS = HOME / "vaelib" / "course" / "explorers"


def script(name: str) -> str:
    return (EXPLORERS / name).read_text(encoding="utf-8")


class TestWithoutSeeing:
    page = read("accessibility.md")

    def test_keys_that_stay_with_an_explorer_are_those_of_the_code(self):
        code = re.search(
            r"const OURS = \[(.+?)\];\nconst KEYS = new Set\(\[(.+?)\]\)", script("keys.js")
        )
        keys = set(re.findall(r'"([^"]+)"', code[1] + code[2]))
        said = re.search(r"do not reach Jupyter: (.+?)\.", self.page)[1]
        names = {"PageUp": "Page Up", "PageDown": "Page Down", " ": "Space"}
        other = {names.get(key, key) for key in keys if not key.startswith("Arrow")}
        assert len(keys - other) >= 4
        assert set(re.split(r", | and ", said)) == {"arrow keys", *other}

    def test_steps_of_the_pad_and_of_the_pen_are_those_of_the_code(self):
        fine, coarse = re.search(r"shiftKey \? (\S+) : (\S+);", script("pad.js")).groups()[::-1]
        assert f"move the point by {fine}; with Shift by {coarse}" in self.page
        with_shift, step = re.search(r"shiftKey \? (\S+) : (\S+);", script("sketch.js")).groups()
        side = re.search(r"const PAGE = (\d+)", script("sketch.js"))[1]
        assert f"by {step} of the box's {side} units; with Shift by {with_shift}" in self.page

    def test_what_is_read_out_is_what_the_code_says(self):
        shell = script("shell.py")
        assert 'role="status" aria-live="polite"' in shell
        assert '`role="status"`, polite' in self.page
        assert '"aria-live", "polite"' in script("notice.js")
        assert "*Use a test digit*" in self.page
        assert '"Use a test digit"' in script("sketch.py")

    def test_the_picture_of_an_explorer_has_an_alternative_text_as_the_page_says(self):
        assert "picture's alternative text says what is drawn where" in self.page
        assert '"alt", model.get("picture")' in script("names.js")

    def test_it_is_half_a_page(self):
        assert len(self.page.split()) <= 330

    @pytest.mark.usefixtures("root")
    def test_its_code_runs(self, capsys):
        exec(re.search(r"```python\n(.+?)```", self.page, re.S)[1], {})
        assert "Entropy of the draw" in capsys.readouterr().out


class TestSetup:
    page = read("setup.md")

    def test_every_part_of_the_first_table_has_its_heading(self):
        links = re.findall(r"\[[^]]+\]\(#([\w-]+)\)", self.page)
        assert {*links} <= anchors(self.page)
        assert len({*links}) >= 7

    def test_commands_make_an_environment_before_they_install(self):
        zips, *blocks = re.findall(r"```(?:sh|bat)\n(.+?)```", self.page, re.S)
        assert "start.py --check" in zips
        assert len(blocks) == 5
        for block in blocks:
            made = re.search(r"-m venv \.venv|conda env create", block)
            assert made, block
            assert made.start() < block.index("vaelib doctor")
            for line in block.splitlines():
                if "pip install" in line:
                    assert line.startswith((".venv/bin/python -m", ".venv\\Scripts\\python -m"))

    def test_files_that_it_names_are_there(self):
        for name in ("environment.yml", "notebooks/01_binarization.ipynb", "pyproject.toml"):
            assert name in self.page
            assert (HOME / name).exists()

    def test_versions_that_it_names_are_those_that_the_package_needs(self):
        project = (HOME / "pyproject.toml").read_text(encoding="utf-8")
        python = re.search(r'requires-python = ">=([\d.]+)"', project)[1]
        oldest = re.search(r'"torch>=([\d.]+)"', project)[1]
        assert f"Python {python} or newer" in self.page
        assert self.page.count(f"needs {oldest}") == 2

    def test_each_part_says_whether_it_was_tried(self):
        table = self.page.partition("## What has been tried")[2]
        rows = dict(re.findall(r"^\| (.+?) \| (.+?) \|$", table, re.M))
        for part in ("Windows", "macOS", "Linux", "conda", "Colab", "Chromebook", "Shared hub"):
            assert [name for name in rows if name.startswith(part)], part
        assert all(re.match("yes|no|in part", said) for said in [*rows.values()][2:]), rows
