"""The package's command line: `python -m vaelib doctor | data … | class … | compress …`."""

from __future__ import annotations  # a Python that is too old must get as far as the doctor

import argparse
import sys

from vaelib.course import doctor, tasks


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
    for task, about in tasks.ABOUT.items():
        made = commands.add_parser(task, help=about, description=about)
        if given[:1] == [task]:
            tasks.add_arguments(made, task)
    chosen = parser.parse_args(given)
    return chosen.run(chosen)


if __name__ == "__main__":
    sys.exit(main())
