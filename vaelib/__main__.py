"""The package's own command: `python -m vaelib doctor`."""

import argparse
import sys


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m vaelib",
        description="Look whether this machine is ready for the course. Prints a line for each "
        "thing it looks at, OK or FAIL, and what to do; exit code 1 if anything fails.",
    )
    parser.add_argument("command", choices=("doctor",))
    parser.parse_args(arguments)
    from vaelib import doctor

    return doctor.main()


if __name__ == "__main__":
    sys.exit(main())
