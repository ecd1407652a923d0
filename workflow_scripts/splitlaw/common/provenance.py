"""Code, packages and machine that a result was computed with, for `run.json`."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "transformers", "tokenizers", "numpy", "safetensors")
"""Packages whose version may change a result or the format of a stored state."""


@cache
def environment() -> dict[str, Any]:
    """Git commit, whether the tree was dirty, versions of Python and packages, and architecture."""
    here = Path(__file__).parent
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        versions[package] = importlib.metadata.version(package)
    status = _git(here, "status", "--porcelain")
    return {
        "git_commit": _git(here, "rev-parse", "HEAD"),
        "git_dirty": None if status is None else bool(status),
        "versions": versions,
        "machine": platform.machine(),
    }


def _git(folder: Path, *arguments: str) -> str | None:
    """The output of a git command, or None outside a checkout or without git."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
