"""The checkout of the project: the folder with the Snakefile, from which the workflow runs."""

from __future__ import annotations

from pathlib import Path

from splitlaw.common.errors import UserError


def find_checkout(start: Path | None = None) -> Path:
    """The checkout that contains `start`, the current folder if left out.

    A package that is imported from a checkout falls back to that one. `UserError` otherwise.
    """
    here = start or Path.cwd()
    for folder in (here, *here.parents, *Path(__file__).resolve().parents):
        if (folder / "Snakefile").is_file() and (folder / "workflow_scripts/splitlaw").is_dir():
            return folder
    raise UserError(
        f"{here}: no checkout of splitlaw here or in a folder above; clone the repository and run "
        "this command inside it"
    )


def tasks_folder() -> Path:
    """The folder of task files: that of the current folder, or of the checkout."""
    here = Path("tasks")
    return here if here.is_dir() else find_checkout() / here
