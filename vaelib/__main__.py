"""The package's command line: `python -m vaelib doctor`, `python -m vaelib data …`."""

import argparse
import sys

from vaelib.course import doctor


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(
        prog="python -m vaelib", description="Look after the machine that runs the course."
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    commands.add_parser(
        "doctor",
        help="say whether this machine is ready",
        description="Say whether this machine is ready for the course: one line for each check, "
        "OK or FAIL, and what to do. Exit code 1 if a check fails.",
    ).set_defaults(run=lambda _: doctor.main())
    data = commands.add_parser(
        "data",
        help="get, verify and find data sets",
        description="Prepare a machine, a room or a USB stick: get, verify and find data sets.",
    )
    if given[:1] == ["data"]:  # not before, because the doctor must run where torch does not
        from vaelib.data import command

        command.add_arguments(data)
    chosen = parser.parse_args(given)
    return chosen.run(chosen)


if __name__ == "__main__":
    sys.exit(main())
