"""One classic script from JavaScript modules, because a browser loads no module from file://.

A module becomes a function that runs once; its exports become an object of the module's name. Only
the forms that the playground uses are understood: `import name from`, `import { a, b } from`,
`export function`, `export const` and `export default`, each at the beginning of a line.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path

IMPORT = re.compile(r'^import (?P<names>\w+|\{[^}]*\}) from "(?P<path>[^"]+)";\n', re.M)
EXPORT = re.compile(r"^export (?P<kind>(?:async )?function|const) (?P<name>\w+)", re.M)
DEFAULT = re.compile(r"^export default ", re.M)


def bundle(entry: Path, folders: Sequence[Path]) -> str:
    """The script that runs `entry`; what it imports lies in one of `folders`.

    Raises ValueError for a file that is in none of them and for forms that are not understood.
    """
    written: dict[str, str] = {}
    _write(entry, folders, written, ())
    inner = "\n".join(written.values())
    return f'"use strict";\nconst {identifier(entry)} = (() => {{\n{inner}\nreturn ' + (
        f"{identifier(entry)};\n}})();\n"
    )


def identifier(path: Path) -> str:
    """The name of a module in the script: `entry.js` is `entryModule`."""
    return path.stem + "Module"


def _write(
    path: Path, folders: Sequence[Path], written: dict[str, str], above: tuple[Path, ...]
) -> None:
    """Append the module at `path`, after those that it imports, to `written`."""
    name = identifier(path)
    if path in above:
        raise ValueError(f"{' imports '.join(each.name for each in (*above, path))}: a circle")
    if name in written:
        return
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        written[name] = f"const {name} = {{ default: {json.dumps(json.loads(text))} }};"
        return
    for found in IMPORT.finditer(text):
        _write(_find(found["path"], path, folders), folders, written, (*above, path))
    exported = [each["name"] for each in EXPORT.finditer(text)]
    exported += ["default: exported"] * bool(DEFAULT.search(text))
    text = IMPORT.sub(_imported, text)
    text = DEFAULT.sub("const exported = ", EXPORT.sub(r"\g<kind> \g<name>", text))
    left = re.search(r"^(import|export)\b.*", text, re.M)
    if left:
        raise ValueError(f"{path.name}: {left[0]!r} is no form of import or export that is known")
    written[name] = f"const {name} = (() => {{\n{text}return {{ {', '.join(exported)} }};\n}})();"


def _imported(found: re.Match) -> str:
    names, module = found["names"], identifier(Path(found["path"]))
    if not names.startswith("{"):
        names = f"{{ default: {names} }}"
    return f"const {names.replace(' as ', ': ')} = {module};\n"


def _find(name: str, importer: Path, folders: Sequence[Path]) -> Path:
    for folder in folders:
        if (folder / name).is_file():
            return (folder / name).resolve()
    places = " and ".join(map(str, folders))
    raise ValueError(f"{importer.name} imports {name}, which is not in {places}")
