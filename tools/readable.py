"""Print a notebook as text, for `git diff`: cells and text outputs; of a picture its checksum.

git config diff.ipynb.textconv "python3 tools/readable.py"

Needs nothing but Python itself.
"""

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path


def joined(text: str | list[str]) -> str:
    """A notebook's text, which is a string or a list of lines."""
    return text if isinstance(text, str) else "".join(text)


def output(found: dict) -> Iterator[str]:
    """One output: its text, an error's last line, or what kind of picture it is and its words."""
    if "text" in found:
        yield joined(found["text"]).rstrip("\n")
    if "ename" in found:
        yield f"{found['ename']}: {found['evalue']}"
    for kind, content in sorted(found.get("data", {}).items()):
        if kind.startswith("image/"):
            mark = hashlib.sha256(joined(content).encode()).hexdigest()[:8]
            words = found.get("metadata", {}).get(kind, {}).get("alt", "no alternative text")
            yield f"[{kind} {mark}: {words}]"
        elif kind == "text/plain":
            yield joined(content).rstrip("\n")


def lines(notebook: dict) -> Iterator[str]:
    """The whole notebook, a heading before each cell; no counts, so that they make no diff."""
    for cell in notebook["cells"]:
        tags = cell["metadata"].get("tags", [])
        yield f"\n─── {cell['cell_type']} {cell.get('id', '')} {' '.join(tags)}".rstrip()
        yield joined(cell["source"])
        for found in cell.get("outputs", []):
            yield "─── output"
            yield from output(found)


def main(path: str) -> None:
    """Print it as UTF-8, whatever the console has; what is no notebook, as it is."""
    text = Path(path).read_text(encoding="utf-8")
    try:
        made = "\n".join(lines(json.loads(text))).lstrip("\n") + "\n"
    except (ValueError, KeyError, TypeError):
        made = text
    sys.stdout.buffer.write(made.encode("utf-8"))


if __name__ == "__main__":
    main(sys.argv[1])
