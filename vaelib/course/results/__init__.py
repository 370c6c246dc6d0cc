"""What was measured for longer than a notebook can take; `benchmarks/` measures it again."""

import json
from pathlib import Path

FOLDER = Path(__file__).parent


def read(name: str) -> dict | list:
    """The results called `name`: objectives, seeds, literature, compression or sharpness."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def published() -> dict[str, dict]:
    """Our runs beside published numbers, by recipe.

    With -longer, -shorter or -fresh behind the recipe's name: other numbers of epochs, and a
    seed that no tuning saw.
    """
    files = sorted((FOLDER / "published").glob("*.json"))
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}
