"""Measurements too long for a notebook, each with the results that it wrote beside it."""

import vaelib  # noqa: F401  (before torch, whose threads then wait as in every notebook)
