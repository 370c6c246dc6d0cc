"""Prepare a machine, a room or a USB stick: get data sets, check them, say where they are.

python -m vaelib data prefetch [NAME ...] [--root DIR]   get what is missing, check all
python -m vaelib data verify   [NAME ...] [--root DIR]   read and hash every file again
python -m vaelib data where    [NAME ...] [--root DIR]   print the folder of each

NAME is mnist, fashion_mnist, kmnist or glyphs. Without one, prefetch takes mnist and glyphs,
verify takes mnist and what else is there, where lists all.

DIR is the folder to fill or to look at. Without it, prefetch fills the folder of VAELIB_DATA if
that is set, else the user's cache; the others look into the first of the two that has the files.

Exit codes: 0 all well, 1 something is missing or damaged (for where without names: if it is
mnist), 2 wrong usage, 130 interrupted.
"""

import argparse
import shutil
from pathlib import Path

from torch.hub import tqdm

from vaelib.data import loading, store
from vaelib.data.fetch import download, published, scratch, storing
from vaelib.data.store import ARCHIVES, NAMES, STAND_IN, DataError


def inspect(name: str, root: Path) -> list[tuple[str, Path, str]]:
    """Every copy of every file of a data set under `root`, with what is wrong with it, or "".

    A file of which there is no copy is listed where its archive belongs.
    """
    return [
        (file, path, problem_of(name, file, path))
        for file in store.files(name)
        for path in store.copies(root, file) or [root / file]
    ]


def problem_of(name: str, file: str, path: Path) -> str:
    """What is wrong with `path` as a copy of a data set's `file`; "" if nothing is."""
    if not path.is_file():
        return f"{path} is missing."
    try:
        if name == STAND_IN:
            for split in store.SPLITS:
                loading.read_glyphs(path, split)
        else:
            loading.read(path, file, again=True)
    except DataError as error:
        return str(error)
    return ""


def prefetch(name: str, root: Path) -> bool:
    """Get what `root` lacks of a data set, replace what is damaged; True if all is well then.

    A sound copy elsewhere on this machine is taken before the network is tried. A damaged
    archive is replaced by a sound one, once that is there; a damaged unpacked file is then
    renamed to end in .damaged.
    """
    found = inspect(name, root)
    sound = {path for _, path, problem in found if not problem}
    wrong = [(file, path) for file, path, problem in found if problem]
    wanted = sorted({file for file, _ in wrong if root / file not in sound})
    wanted = [file for file in wanted if not copy(name, file, root)]
    if wanted and name == STAND_IN:
        with tqdm(total=sum(loading.glyphs.COUNTS.values())) as bar:
            loading.draw_glyphs(root, anew=True, on_batch=bar.update)
    elif wanted:
        download(name, root, wanted)
    for _, path in wrong:
        if path.is_file() and path.suffix == "":  # the archive beside it is read from now on
            path.replace(path.with_name(f"{path.name}.damaged"))
    return tell(name, root)


def copy(name: str, file: str, root: Path) -> bool:
    """Copy a sound archive from another folder where data are looked for; True if there was one."""
    for other in store.places():
        source, target = other / file, root / file
        if other == root or problem_of(name, file, source):
            continue
        with storing(root), scratch(root) as folder:
            shutil.copyfile(source, folder / target.name)
            target.parent.mkdir(parents=True, exist_ok=True)
            (folder / target.name).replace(target)
        print(f"copied {source}")
        return True
    return False


def tell(name: str, root: Path) -> bool:
    """Print whether each file of a data set under `root` is well; True if all are."""
    found = inspect(name, root)
    for _, path, problem in found:
        print(f"FAIL  {problem}" if problem else f"ok    {path}")
    return not any(problem for _, _, problem in found)


def show(name: str, root: Path) -> bool:
    """Print the folder that holds a data set, or that it is missing; True if it is there."""
    lacking = store.missing(name, root)
    print(f"{name:<14} {'missing, would go to ' if lacking else ''}{root}")
    return not lacking


def place(command: str, name: str, root: Path | None) -> Path:
    """The folder that a command is about: the one given, else as the help says."""
    there = None if command == "prefetch" and store.own_folder() else store.locate(name)
    return root or there or store.places()[0]


def names_for(command: str, root: Path | None) -> list[str]:
    """The data sets that a command takes when none is named."""
    if command == "prefetch":
        return [store.DEFAULT, STAND_IN]
    if command == "where":
        return list(NAMES)
    there = [name for name in NAMES if not store.missing(name, place(command, name, root))]
    return [store.DEFAULT] + [name for name in there if name != store.DEFAULT]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    first, _, rest = __doc__.partition("\n")
    parser = argparse.ArgumentParser(
        prog="python -m vaelib data",
        description=first,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=("prefetch", "verify", "where"))
    parser.add_argument("names", nargs="*", default=[], metavar="NAME")
    parser.add_argument("--root", type=Path, metavar="DIR")
    given = parser.parse_args(arguments)
    for name in set(given.names) - set(NAMES):
        parser.error(f"no data set is called {name!r}; there is {', '.join(NAMES)}")
    root = given.root.expanduser().resolve() if given.root else None
    run = {"prefetch": prefetch, "verify": tell, "where": show}[given.command]
    well = {}
    for name in given.names or names_for(given.command, root):
        where = place(given.command, name, root)
        try:
            well[name] = run(name, where)
        except DataError as error:
            well[name] = False
            print(f"FAIL  {name}: {error}")
            if name in ARCHIVES:
                explain(name, where)
        except KeyboardInterrupt:
            print("\ninterrupted; nothing half-written was kept")
            return 130
    matters = [store.DEFAULT] if given.command == "where" and not given.names else list(well)
    return 0 if all(well[name] for name in matters) else 1


def explain(name: str, root: Path) -> None:
    """Print which archives to copy where, and from where, when none could be fetched."""
    wanted = [file for file, _, problem in inspect(name, root) if problem]
    print(store.by_hand(name, root, wanted))
    print("They are published in:", *published(name), sep="\n  ")
    print(f'Then: python -m vaelib data verify {name} --root "{root}"')
