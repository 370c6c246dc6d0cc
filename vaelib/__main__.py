"""The package's command line: `python -m vaelib doctor | data … | class … | compress …`."""

from __future__ import annotations  # a Python that is too old must get as far as the doctor

import argparse
import sys

from vaelib.course import doctor


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a console may lack a path's letters
    parser = argparse.ArgumentParser(prog="python -m vaelib", description="Tools of the course.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    about = "say whether this machine is ready: a line for each check, and exit code 1 if one fails"
    check = commands.add_parser("doctor", help=about, description=about)
    check.set_defaults(run=lambda _: doctor.main())
    about = "prepare a machine, a room or a USB stick: get, verify and find data sets"
    data = commands.add_parser("data", help=about, description=about)
    if given[:1] == ["data"]:  # not before, because the doctor must run where torch does not
        from vaelib.data import command

        command.add_arguments(data)
    about = "show what a class tried and solved, and where it is stuck, from what it handed in"
    room = commands.add_parser("class", help=about, description=about)
    if given[:1] == ["class"]:
        from vaelib.course import classroom

        classroom.add_arguments(room)
    for task in ("compress", "decompress"):
        about = f"{task} binary images with a trained model, without loss"
        made = commands.add_parser(task, help=about, description=about)
        if given[:1] == [task]:
            from vaelib.course import compress

            compress.add_arguments(made, task)
    chosen = parser.parse_args(given)
    return chosen.run(chosen)


if __name__ == "__main__":
    sys.exit(main())
