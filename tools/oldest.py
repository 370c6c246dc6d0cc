"""Print the oldest versions that pyproject.toml allows, as constraints for pip.

They are those of a machine with JupyterLab: of what the lessons import, and of the extra `lab`,
which needs newer versions of some. Needs nothing but Python itself: it runs before anything is
installed.
"""

import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"
LISTS = re.compile(r"^(?:dependencies|lab) = \[\n(.*?)^\]", re.MULTILINE | re.DOTALL)
LEAST = re.compile(r'^\s*"([A-Za-z0-9_.-]+)>=([0-9][0-9.]*)",$', re.MULTILINE)


def oldest(text: str) -> list[str]:
    """`name==version.*` for each requirement `name>=version`; of two for one name, the second."""
    least = dict(pair for found in LISTS.findall(text) for pair in LEAST.findall(found))
    return [f"{name}=={version}.*" for name, version in least.items()]


if __name__ == "__main__":
    print("\n".join(oldest(PROJECT.read_text(encoding="utf-8"))))
