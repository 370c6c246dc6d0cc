"""Print the oldest versions that pyproject.toml allows, as constraints for pip.

Needs nothing but Python itself: it runs before anything is installed.
"""

import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"
DEPENDENCIES = re.compile(r"^dependencies = \[\n(.*?)^\]", re.MULTILINE | re.DOTALL)
LEAST = re.compile(r'^\s*"([A-Za-z0-9_.-]+)>=([0-9][0-9.]*)",$', re.MULTILINE)


def oldest(text: str) -> list[str]:
    """`name==version.*` for each dependency `name>=version` of a pyproject.toml."""
    return [f"{name}=={version}.*" for name, version in LEAST.findall(DEPENDENCIES.search(text)[1])]


if __name__ == "__main__":
    print("\n".join(oldest(PROJECT.read_text(encoding="utf-8"))))
