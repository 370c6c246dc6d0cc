"""The package's command line: `python -m vaelib doctor`, `python -m vaelib data …`."""

import argparse
import sys


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given[:1] == ["data"]:
        from vaelib.data import prepare

        return prepare.main(given[1:])
    parser = argparse.ArgumentParser(
        prog="python -m vaelib",
        description="doctor: is this machine ready for the course? One line for each check, OK or "
        "FAIL, and what to do; exit code 1 if anything fails. "
        "data: get, check and find the data sets; `python -m vaelib data --help` says more.",
    )
    parser.add_argument("command", choices=("doctor", "data"))
    parser.parse_args(given)
    from vaelib.course import doctor

    return doctor.main()


if __name__ == "__main__":
    sys.exit(main())
