"""Measurements too long for a notebook, each with the results that it wrote beside it."""
