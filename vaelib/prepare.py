"""Prepare a machine, a room or a USB stick: get data sets, check them, say where they are.

python -m vaelib.datasets prefetch [NAME ...] [--root DIR]   get what is missing, check all
python -m vaelib.datasets verify   [NAME ...] [--root DIR]   read and hash every file again
python -m vaelib.datasets where    [NAME ...] [--root DIR]   print the folder of each

NAME is mnist, fashion_mnist, kmnist or glyphs. Without one, prefetch takes mnist and glyphs,
the others all that are there. Without --root, files are looked for in the folder of VAELIB_DATA,
then in the user's cache, where missing ones go. Exit codes: 0 all well, 1 something is missing
or damaged, 2 wrong usage, 130 interrupted.
"""

import argparse
from pathlib import Path

from torch.hub import tqdm

from vaelib import datasets, sources, verification
from vaelib.download import download, mirrors
from vaelib.sources import ARCHIVES, GLYPHS, NAMES, STAND_IN, DataError


def problems(name: str, root: Path) -> dict[str, str]:
    """The files of a data set under `root` that are missing or damaged, and what is wrong."""
    found = {}
    for file in sources.files(name):
        if sources.on_disk(root, file) is None:
            found[file] = f"{root / file} is missing."
            continue
        try:
            if name == STAND_IN:
                for split in sources.SPLITS:
                    datasets.read_glyphs(root / GLYPHS, split)
            else:
                datasets.read(root, file)
        except DataError as error:
            found[file] = str(error)
    return found


def prefetch(name: str, root: Path) -> bool:
    """Get what `root` lacks of a data set, replace what is damaged; True if all is well then.

    A damaged archive is replaced by a sound one, once that is there; a damaged unpacked file is
    then renamed to end in .damaged.
    """
    wrong = problems(name, root)
    if wrong and name == STAND_IN:
        total = sum(datasets.glyphs.COUNTS.values())
        with tqdm(total=total) as bar:
            datasets.draw_glyphs(root, anew=True, on_batch=bar.update)
    elif wrong:
        damaged = {file: path for file in wrong if (path := sources.on_disk(root, file))}
        for file in damaged:
            print(wrong[file])
        download(name, root, list(wrong))
        for path in damaged.values():
            if path.suffix != ".gz":  # the archive beside it is read from now on
                path.replace(path.with_name(f"{path.name}.damaged"))
    return tell(name, root)


def tell(name: str, root: Path) -> bool:
    """Print whether each file of a data set under `root` is well; True if all are."""
    wrong = problems(name, root)
    for file in sources.files(name):
        print(f"{'FAIL' if file in wrong else 'ok  '}  {wrong.get(file, root / file)}")
    return not wrong


def show(name: str, root: Path) -> bool:
    """Print the folder that holds a data set, or that it is missing; True if it is there."""
    lacking = sources.missing(name, root)
    print(f"{name:<14} {'missing, would go to ' if lacking else ''}{root}")
    return not lacking


def place(name: str, root: Path | None) -> Path:
    """The folder that a command is about: the one given, else where the data set is or goes."""
    return root or sources.locate(name) or sources.cache_folder()


def names_for(command: str, root: Path | None) -> list[str]:
    """The data sets that a command takes when none is named."""
    if command == "prefetch":
        return [sources.DEFAULT, STAND_IN]
    if command == "where":
        return list(NAMES)
    return [name for name in NAMES if not sources.missing(name, place(name, root))]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    first, _, rest = __doc__.partition("\n")
    parser = argparse.ArgumentParser(
        prog="python -m vaelib.datasets",
        description=first,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=("prefetch", "verify", "where"))
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--root", type=Path, metavar="DIR")
    given = parser.parse_args(arguments)
    for name in set(given.names) - set(NAMES):
        parser.error(f"no data set is called {name!r}; there is {', '.join(NAMES)}")
    root = given.root.expanduser().resolve() if given.root else None
    names = given.names or names_for(given.command, root)
    if not names:
        print(f"there is no data set in {root or sources.places()[0]} to verify")
        return 1
    if given.command == "verify":
        verification.forget()
    run = {"prefetch": prefetch, "verify": tell, "where": show}[given.command]
    well = True
    for name in names:
        where = place(name, root)
        try:
            well &= run(name, where)
        except DataError as error:
            well = False
            print(f"FAIL  {name}: {error}")
            if name in ARCHIVES:
                print(sources.by_hand(name, where))
                print("They are published in:", *mirrors(name), sep="\n  ")
                print(f'Then: python -m vaelib.datasets verify {name} --root "{where}"')
        except KeyboardInterrupt:
            print("\ninterrupted; nothing half-written was kept")
            return 130
    return 0 if well else 1
