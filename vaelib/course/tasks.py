"""The commands that need the installed packages: each is imported only when it is asked for.

The doctor must run even where torch is missing.
"""

from __future__ import annotations  # a Python that is too old must get as far as the doctor

import argparse

ABOUT = {
    "data": "prepare a machine, a room or a USB stick: get, verify and find data sets",
    "class": "show what the students of a class tried and solved, and where they are stuck",
    "compress": "compress binary images with a trained model, without loss",
    "decompress": "decompress binary images with a trained model, without loss",
}


def add_arguments(parser: argparse.ArgumentParser, task: str) -> None:
    """Give `parser` the arguments of a task; what it parses then has a function `run`."""
    if task == "data":
        from vaelib.data import command

        command.add_arguments(parser)
    elif task == "class":
        from vaelib.course import classroom

        classroom.add_arguments(parser)
    else:
        from vaelib.course import compress

        compress.add_arguments(parser, task)
