"""Check that a tag can become a release, and print the release's notes from CHANGELOG.md.

python tools/release.py v0.1.0 https://github.com/owner/name
"""

import re
import sys
from pathlib import Path

from address import repository

HOME = Path(__file__).resolve().parent.parent


def notes(changelog: str, version: str) -> str:
    """The section of a version; ValueError if there is none, or if it has no date yet."""
    found = re.search(rf"^## {re.escape(version)} (.*)\n+((?:(?!## ).*\n?)*)", changelog, re.M)
    if found is None:
        raise ValueError(f"CHANGELOG.md has no section `## {version} (...)`: write it")
    if not re.search(r"\d{4}-\d\d-\d\d", found[1]):
        raise ValueError(
            f"in CHANGELOG.md version {version} has no date: write `## {version} (2000-01-31)`"
        )
    return found[2].strip() + "\n"


def problems(tag: str, address: str, version: str, known: str) -> list[str]:
    """What keeps this tag, in the repository at this address, from being released."""
    found = []
    if tag != f"v{version}":
        found.append(f"the tag is {tag}, and vaelib.__version__ is {version}: they must agree")
    if address != known:
        found.append(
            f"pyproject.toml has repository = {known!r}, and this is {address!r}: "
            "correct it there, and run python tools/address.py"
        )
    return found


def main(arguments: list[str]) -> int:
    """Run the command line; the exit code."""
    tag, address = arguments
    project, changelog, package = (
        (HOME / name).read_text(encoding="utf-8")
        for name in ("pyproject.toml", "CHANGELOG.md", "vaelib/__init__.py")
    )
    version = re.search(r'^__version__ = "(.+)"$', package, re.MULTILINE)[1]
    found = problems(tag, address, version, repository(project))
    try:
        text = notes(changelog, version)
    except ValueError as error:
        found.append(str(error))
    if found:
        print("\n".join(["No release was made.", *found]), file=sys.stderr)
        return 1
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
