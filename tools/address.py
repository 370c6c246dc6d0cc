"""The address of the repository, from one line of pyproject.toml, and all that is made from it.

python tools/address.py    writes it into README.md (badges), CITATION.cff, .github/CODEOWNERS

The line is `repository = "https://github.com/owner/name"` under [tool.vaelib]. While it is empty,
nothing has a badge or a link to the repository. setup.py uses these functions for the package's
page on an index.
"""

import re
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
FIRST = "notebooks/01_binarization.ipynb"
LINE = re.compile(r'^\[tool\.vaelib\]\n(?:#.*\n)*repository = "(.*)"$', re.MULTILINE)
BADGES = re.compile(r"(?<=<!-- badges -->\n).*?(?=<!-- /badges -->)", re.DOTALL)
LINK = re.compile(r"(!?)\[([^]]*)\]\((?![a-z]+:|#)([^)\s]+)\)")


def repository(project: str) -> str:
    """The address in the text of a pyproject.toml; empty if none is known yet."""
    found = LINE.search(project)
    if found is None:
        raise ValueError('pyproject.toml has no line `repository = "..."` under [tool.vaelib]')
    address = found[1]
    if address and not re.fullmatch(
        r"https://github\.com/[\w.-]+/(?!.*\.git$)[\w.-]*[\w-]", address
    ):
        raise ValueError(
            f"repository in pyproject.toml is {address!r}; "
            "expected https://github.com/owner/name, without .git or / at its end"
        )
    return address


def badges(address: str) -> str:
    """Markdown that opens the first notebook on Colab, Kaggle and Binder; empty without address.

    Colab and Kaggle open notebooks with an install cell, which a workflow puts on the branch
    `colab`; Binder installs by itself.
    """
    if not address:
        return ""
    name = address.removeprefix("https://github.com/")
    notebook = FIRST.removeprefix("notebooks/")
    lines = (
        (
            "Open in Colab",
            "https://colab.research.google.com/assets/colab-badge.svg",
            f"https://colab.research.google.com/github/{name}/blob/colab/{notebook}",
        ),
        (
            "Open in Kaggle",
            "https://kaggle.com/static/images/open-in-kaggle.svg",
            f"https://kaggle.com/kernels/welcome?src={address}/blob/colab/{notebook}",
        ),
        (
            "Open in Binder",
            "https://mybinder.org/badge_logo.svg",
            f"https://mybinder.org/v2/gh/{name}/main?labpath={FIRST}",
        ),
    )
    return "".join(f"[![{alt}]({image})]({link})\n" for alt, image, link in lines)


def absolute(text: str, address: str, version: str) -> str:
    """Markdown whose links and pictures are found from anywhere, at the tag of this version.

    Without an address a link becomes its text and a picture is left out.
    """

    def replace(link: re.Match) -> str:
        picture, words, target = link.groups()
        if not address:
            return "" if picture else words
        return f"{picture}[{words}]({address}/{'raw' if picture else 'blob'}/v{version}/{target})"

    return LINK.sub(replace, text)


def urls(address: str, version: str) -> dict[str, str]:
    """The links of the package's page on an index; none without an address."""
    if not address:
        return {}
    return {
        "Homepage": address,
        "Source": address,
        "Issues": f"{address}/issues",
        "Changelog": f"{address}/blob/v{version}/CHANGELOG.md",
    }


def with_badges(readme: str, address: str) -> str:
    """The README with the badges of this address between its two marks, or none."""
    return BADGES.sub(lambda _: badges(address), readme)


def with_code(citation: str, address: str) -> str:
    """The CITATION.cff with the address of the code, or without."""
    rest = re.sub(r"^repository-code: .*\n", "", citation, flags=re.MULTILINE)
    line = f"repository-code: {address}\n" if address else ""
    return re.sub(r"^(?=license: )", line, rest, flags=re.MULTILINE)


def with_owner(owners: str, address: str) -> str:
    """The CODEOWNERS with the owner of the repository for every file, or with nobody."""
    rest = re.sub(r"^\* @.*\n", "", owners, flags=re.MULTILINE)
    return rest + (f"* @{address.split('/')[-2]}\n" if address else "")


CHANGES = {
    "README.md": with_badges,
    "CITATION.cff": with_code,
    ".github/CODEOWNERS": with_owner,
}


def main() -> None:
    """Write the address into the files that have it."""
    address = repository((HOME / "pyproject.toml").read_text(encoding="utf-8"))
    for name, change in CHANGES.items():
        path = HOME / name
        path.write_text(change(path.read_text(encoding="utf-8"), address), encoding="utf-8")


if __name__ == "__main__":
    main()
