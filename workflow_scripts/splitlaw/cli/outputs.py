"""Types of the options that name an output, which is checked before any work is done."""

import os
from argparse import ArgumentTypeError
from pathlib import Path


def output_file(text: str) -> Path:
    """Return the path of a file to write; a folder of that name is refused."""
    path = Path(text)
    if path.is_dir():
        raise ArgumentTypeError(f"{text} is a folder; give a file")
    _check_parents(path)
    return path


def output_folder(text: str) -> Path:
    """Return the path of a folder to write into; a file of that name is refused."""
    path = Path(text)
    if path.exists() and not path.is_dir():
        raise ArgumentTypeError(f"{text} is a file; give a folder")
    _check_parents(path)
    return path


def _check_parents(path: Path) -> None:
    """Refuse a path below a file or in a folder that cannot be written."""
    place = next((parent for parent in path.parents if parent.exists()), None)
    if place is not None and not place.is_dir():
        raise ArgumentTypeError(f"{path}: {place} is a file; give another folder")
    if place is not None and not os.access(place, os.W_OK | os.X_OK):
        raise ArgumentTypeError(f"{path}: {place} cannot be written to; give another folder")
