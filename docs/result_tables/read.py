"""Read the tables of one experiment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from splitlaw.common.files import read_json

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "reference"

CONFIGS = {
    "default": "config.yaml",
    "mixture": "configs/mixture.yaml",
    "larger": "configs/mixture.yaml",
    "scarce": "configs/scarce.yaml",
    "base": "configs/base.yaml",
    "disjoint": "configs/disjoint.yaml",
    "grid": "configs/reference.yaml",
}
"""Configuration of the experiment of each folder of `reference/`."""


@dataclass(frozen=True, kw_only=True)
class Tables:
    """The tables of an experiment. Those that do not exist are empty."""

    folder: Path
    """Its folder in `reference/`."""
    config: Mapping[str, Any]
    """Its configuration."""

    @classmethod
    def of(cls, name: str, reference: Path = REFERENCE) -> Tables:
        """The tables of the experiment `name`."""
        config = yaml.safe_load((ROOT / CONFIGS[name]).read_text(encoding="utf-8"))
        return cls(folder=reference / name, config=config)

    def table(self, name: str) -> pd.DataFrame:
        """A table by its path without `.csv`."""
        file = self.folder / f"{name}.csv"
        return pd.read_csv(file) if file.exists() else pd.DataFrame()

    def json(self, name: str) -> Mapping[str, Any]:
        """A JSON file by its path; empty if it does not exist."""
        file = self.folder / name
        return read_json(file) if file.exists() else {}
