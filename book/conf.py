"""The book's settings: https://www.sphinx-doc.org/en/master/usage/configuration.html explains them.

`python tools/book.py` gathers the pages and calls Sphinx; `reading.py` says how a notebook becomes
a page.
"""

import sys
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(HOME), str(HOME / "book"), str(HOME / "tools")]

import reading  # noqa: E402

import vaelib  # noqa: E402

project = "The variational autoencoder"
author = "The vaelib authors"
copyright = author
version = release = vaelib.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
nitpicky = True
default_role = "code"

nb_execution_mode = "off"
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 4
mathjax_path = "mathjax/tex-chtml.js"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"

html_theme = "sphinx_book_theme"
html_title = "The variational autoencoder, explained and executed"
html_static_path = ["_static"]
html_copy_source = True


def setup(app) -> None:
    """Read each page as the book shows it."""
    app.connect("source-read", reading.read)
