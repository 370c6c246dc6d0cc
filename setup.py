"""What pyproject.toml cannot say: the links of the package's page, made from one address."""

import re
import sys
from pathlib import Path

from setuptools import setup

HOME = Path(__file__).resolve().parent
sys.path.insert(0, str(HOME / "tools"))

import address  # noqa: E402


def read(name: str) -> str:
    return (HOME / name).read_text(encoding="utf-8")


repository = address.repository(read("pyproject.toml"))
version = re.search(r'^__version__ = "(.+)"$', read("vaelib/__init__.py"), re.MULTILINE)[1]
setup(
    long_description=address.absolute(read("README.md"), repository, version),
    long_description_content_type="text/markdown",
    project_urls=address.urls(repository, version),
)
