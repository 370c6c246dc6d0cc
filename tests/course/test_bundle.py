"""tools/bundle.py: what a script of several modules contains, and what is refused."""

import sys
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2]
sys.path.insert(0, str(HOME / "tools"))

from bundle import bundle  # noqa: E402


@pytest.fixture
def write(tmp_path):
    """Write files by name into a folder, and bundle main.js of it."""

    def written(**files):
        for name, text in files.items():
            (tmp_path / name.replace("_", ".")).write_text(text, encoding="utf-8")
        return bundle(tmp_path / "main.js", [tmp_path])

    return written


def test_a_module_comes_before_those_that_import_it_and_only_once(write):
    text = write(
        main_js='import { a } from "./one.js";\nimport two from "./two.js";\nexport const b = a;\n',
        one_js="export const a = 1;\n",
        two_js='import { a as first } from "./one.js";\nexport default { first };\n',
    )
    places = [text.index(f"const {name}Module") for name in ("one", "two")]
    assert places == sorted(places)
    assert text.count("const oneModule") == 1
    assert "const { a: first } = oneModule;" in text
    assert "const { default: two } = twoModule;" in text
    assert "return { default: exported };" in text
    assert "import" not in text
    assert "export " not in text


def test_data_are_imported_as_they_are(write):
    text = write(main_js='import rows from "./rows.json";\n', rows_json='[{"name": "β"}]')
    assert 'const rowsModule = { default: [{"name": "\\u03b2"}] };' in text


@pytest.mark.parametrize(
    "line",
    [
        'import * as all from "./one.js";',
        'import "./one.js";',
        "export class A {}",
        "export { a };",
    ],
)
def test_other_forms_are_refused(write, line):
    with pytest.raises(ValueError, match="no form of import or export"):
        write(main_js=f"{line}\n", one_js="export const a = 1;\n")


def test_a_circle_is_refused_by_the_names_on_it(write):
    with pytest.raises(ValueError, match=r"main\.js imports one\.js imports main\.js: a circle"):
        write(
            main_js='import { a } from "./one.js";\n',
            one_js='import { b } from "./main.js";\n',
        )


def test_a_missing_file_is_named_with_the_one_that_imports_it(write):
    with pytest.raises(ValueError, match=r"main\.js imports \./two\.js, which is not in"):
        write(main_js='import two from "./two.js";\n')
