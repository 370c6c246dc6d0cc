"""Prepare a machine, a room or a USB stick: `python -m vaelib data prefetch|verify|where`."""

import argparse
import gzip
from pathlib import Path

from torch.hub import tqdm

from vaelib.data import catalogue, fetch, glyphs, store, verification
from vaelib.data.catalogue import DEFAULT, NAMES, PUBLISHED, STAND_IN, DataError, DataFile
from vaelib.data.files import written_whole

TASKS = {
    "prefetch": "get what is missing, replace what is damaged, verify all",
    "verify": "read every file and compare it with its checksum",
    "where": "print the folder of each data set",
}
DETAILS = (
    f"Without a NAME, prefetch takes {DEFAULT} and {STAND_IN}, verify takes {DEFAULT} and whatever "
    f"else is there, where lists all and insists on {DEFAULT}. Without --root, prefetch fills the "
    "folder of VAELIB_DATA if that is set, else the user's cache; the others look into the first "
    "of the two that has the files. Exit codes: 0 all well, 1 something is missing or damaged, "
    "2 wrong usage, 130 interrupted."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give `parser` the tasks of this module; what it parses then has a function `run`."""
    tasks = parser.add_subparsers(dest="task", metavar="TASK", required=True)
    for name, does in TASKS.items():
        task = tasks.add_parser(name, help=does, description=does.capitalize(), epilog=DETAILS)
        task.add_argument(
            "names", nargs="*", type=_dataset, metavar="NAME", help=f"one of {', '.join(NAMES)}"
        )
        task.add_argument("--root", type=_folder, metavar="DIR", help="the folder")
        task.set_defaults(run=run)


def _folder(name: str) -> Path:
    if not name.strip():
        raise argparse.ArgumentTypeError("expected a folder, got an empty name")
    return Path(name)


def _dataset(name: str) -> str:
    try:
        return catalogue.known_name(name)
    except DataError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def run(given: argparse.Namespace) -> int:
    """Do the task that was given on the command line; the exit code."""
    do = {"prefetch": prefetch, "verify": verify, "where": where}[given.task]
    root = given.root and given.root.expanduser().resolve()
    well = {}
    for name in given.names or _default_names(given.task, root):
        folder = root or _default_root(given.task, name)
        try:
            well[name] = do(name, folder)
        except DataError as error:
            well[name] = False
            print(f"FAIL  {name}: {error}")
            if name in PUBLISHED:
                _print_by_hand(name, folder)
        except KeyboardInterrupt:
            print("\ninterrupted; nothing half-written was kept")
            return 130
    matters = [DEFAULT] if given.task == "where" and not given.names else list(well)
    return 0 if all(well[name] for name in matters) else 1


def _default_names(task: str, root: Path | None) -> list[str]:
    if task == "prefetch":
        return [DEFAULT, STAND_IN]
    if task == "where":
        return list(NAMES)
    there = [name for name in NAMES if not store.missing(name, root or _default_root(task, name))]
    return [DEFAULT, *(name for name in there if name != DEFAULT)]


def _default_root(task: str, name: str) -> Path:
    return (None if task == "prefetch" else store.locate(name)) or store.first_to_fill()


def prefetch(name: str, root: Path) -> bool:
    """Get what `root` lacks of a data set, replace what is damaged; True if all is well then.

    A sound copy elsewhere on this machine is taken before the network is tried. A damaged
    archive is replaced by a sound one, once that is there; a damaged file of another name, such
    as an unpacked one, is then renamed to end in .damaged.
    """
    found = verification.inspect(name, root)
    sound = {file for file, _, problem in found if not problem}
    wrong = [(file, path) for file, path, problem in found if problem]
    wanted = sorted(
        {file for file, path in wrong if path == root / file.place or file not in sound}
    )
    wanted = [file for file in wanted if not _copied(file, root)]
    if wanted and name == STAND_IN:
        with tqdm(total=sum(glyphs.COUNTS.values())) as bar:
            glyphs.keep_glyphs(root, anew=True, on_batch=bar.update)
    elif wanted:
        fetch.download(name, root, wanted)
    for file, path in wrong:
        if path.is_file() and path != root / file.place:  # another copy is read from now on
            path.replace(path.with_name(f"{path.name}.damaged"))
    return verify(name, root)


def _copied(file: DataFile, root: Path) -> bool:
    """Copy a sound file from another folder where data are looked for; True if there was one."""
    others = [other for other in store.places() if other != root]
    copies = [path for other in others for path in store.copies_of(file, other)]
    for source in sorted(copies, key=lambda path: path.suffix != ".gz"):  # as published, if it is
        if verification.problem_of(file, source):
            continue
        try:
            content = source.read_bytes()
        except OSError as error:
            print(f"{source} cannot be read ({error})")
            continue
        if file.place.endswith(".gz") and source.suffix != ".gz":
            content = gzip.compress(content)
        with store.filling(root), written_whole(root / file.place) as partial:
            partial.write_bytes(content)
        print(f"copied {source}")
        return True
    return False


def verify(name: str, root: Path) -> bool:
    """Print whether each file of a data set under `root` is well; True if all are."""
    found = verification.inspect(name, root)
    for _, path, problem in found:
        print(f"FAIL  {problem}" if problem else f"ok    {path}")
    return not any(problem for _, _, problem in found)


def where(name: str, root: Path) -> bool:
    """Print the folder that holds a data set, or that it is missing; True if it is there."""
    lacking = store.missing(name, root)
    print(f"{name:<14} {'missing, would go to ' if lacking else ''}{root}")
    return not lacking


def _print_by_hand(name: str, root: Path) -> None:
    """Print which archives to copy where, and from where, when none could be fetched."""
    wrong = [file for file, _, problem in verification.inspect(name, root) if problem]
    print(store.by_hand(wrong, root))
    print("They are published in:", *fetch.torchvision_mirrors(name), sep="\n  ")
    print(f'Then: python -m vaelib data verify {name} --root "{root}"')
