"""The book's settings: https://www.sphinx-doc.org/en/master/usage/configuration.html explains them.

`python tools/book.py` gathers the pages and calls Sphinx. `reading.py` says how a notebook becomes
a page, and `terms.py` links the glossary.
"""

import sys
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(HOME), str(HOME / "book"), str(HOME / "tools")]
# jsonschema would use this to check addresses, which no notebook has; importing it takes seconds.
sys.modules["rfc3987_syntax"] = None

import address  # noqa: E402
import buttons  # noqa: E402
import reading  # noqa: E402
import terms  # noqa: E402

import vaelib  # noqa: E402

project = "The variational autoencoder"
author = "The vaelib authors"
version = release = vaelib.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
default_role = "code"

nb_execution_mode = "off"
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 4
mathjax_path = "mathjax/tex-chtml.js"
mathjax3_config = {"options": {"enableMenu": False}}  # its entries would load what is not here

add_module_names = False  # the title of the page is the module
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_use_type_comments = False  # ours are annotations; looking for comments takes seconds
# Else a name that a module imports gives the links of its source the wrong module, depending on
# which page is read first.
viewcode_follow_imported_members = False

html_theme = "sphinx_book_theme"
html_title = "The variational autoencoder"
html_static_path = ["_static"]
html_css_files = ["book.css"]
html_js_files = ["book.js"]
html_use_index = html_domain_indices = False  # no page leads there; the search finds functions
html_show_sphinx = False
html_show_copyright = False
html_theme_options = {
    "home_page_in_toc": True,
    "show_toc_level": 2,
    "max_navbar_depth": 2,
    "use_fullscreen_button": False,
    "navbar_persistent": [],  # the search is at the top of the contents, once
    "search_bar_text": "Search this book",
}
repository = address.repository((HOME / "pyproject.toml").read_text(encoding="utf-8"))


def is_a_field(app, what: str, name: str, thing: object, skip: bool, options) -> bool | None:
    """Leave out the fields of a named tuple, which have no docstring of their own."""
    said = getattr(thing, "__doc__", None) or ""
    return True if said.startswith("Alias for field number") else None


def bars(app, what: str, name: str, thing: object, options, lines: list[str]) -> None:
    """Keep the bars of |x| and q(z|x), which mark a substitution in a docstring's language."""
    lines[:] = [line.replace("|", "\\|") for line in lines]


def setup(app) -> None:
    """Read each page as the book shows it, link its terms, and put buttons above it."""
    app.connect("source-read", reading.read)
    app.connect("doctree-read", terms.link)
    app.connect("autodoc-skip-member", is_a_field)
    app.connect("autodoc-process-docstring", bars)
    app.connect("html-page-context", buttons.add(repository), priority=900)
