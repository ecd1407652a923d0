"""Reading and checking a table of losses."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from splitlaw.common.errors import UserError
from splitlaw.experiment.lineage import GENERAL
from splitlaw.laws.points import Array, Indices, Mask, Points, Units
from splitlaw.laws.repetition import REPETITIONS, effective_tokens

REQUIRED = ("params", "pretrain_tokens", "specialize_tokens", "domain", "loss")
NUMBERS = ("params", "general", "special", "unique_general", "unique_special", "loss")
ROWS = ("domain", "cluster", *NUMBERS)
"""The fields of a table that hold one entry per row."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Losses of cooled-down models, one row per model and evaluated domain, by domain."""

    domains: tuple[str, ...]
    """Names, in order of the alphabet."""

    domain: Indices
    """Number of each row's domain [n], ascending."""

    params: Array
    """N [n], in parameters."""

    general: Array
    """D [n], in tokens."""

    special: Array
    """D' [n], in tokens."""

    unique_general: Array
    """How many of D differ [n]."""

    unique_special: Array
    """How many of D' differ [n]."""

    loss: Array
    """Loss [n], in nats per token."""

    cluster: Indices
    """Number of the cluster (size, seed, D) that the bootstrap draws the row with [n]."""

    flops_per_token: dict[float, float] = field(default_factory=dict)
    """FLOPs per token by N, where the table tells."""

    repetitions: float = REPETITIONS
    """Repetitions after which another pass is worth 1/e of a first one."""

    seeds: int = 1
    """Least number of seeds that any size has."""

    def __len__(self) -> int:
        return len(self.loss)

    def take(self, rows: Indices | Mask) -> "Table":
        """The table of `rows`, with the same domains."""
        return replace(self, **{name: getattr(self, name)[rows] for name in ROWS})

    def only(self, number: int) -> "Table":
        """The rows of one domain, as a table of that domain alone."""
        part = self.take(self.domain == number)
        return replace(part, domains=(self.domains[number],), domain=np.zeros(len(part), int))

    def points(self, units: Units | None = None) -> Points:
        """The rows as points of a form, with effective tokens where data repeats."""
        general = effective_tokens(self.general, self.unique_general, self.repetitions)
        special = effective_tokens(self.special, self.unique_special, self.repetitions)
        return Points.of(self.params, general, special, units)

    @property
    def one_stage(self) -> bool:
        """Whether every row is a run that was never split, or never pretrained."""
        return not ((self.general > 0) & (self.special > 0)).any()

    @property
    def sizes(self) -> Array:
        """The different N."""
        return np.unique(self.params)

    def units(self) -> Units:
        """The geometric middle of the table, by which a fit divides."""
        return Units(
            params=_middle(self.params),
            tokens=_middle(self.general + self.special),
            loss=_middle(self.loss),
        )


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What was read: the rows to fit, the rows set apart, and what a user should know."""

    fit: Table
    holdout: Table | None
    """Rows whose `split` is `holdout`; they never enter parameters."""

    notes: list[str]
    """Plain sentences about rows left out, replicates, and what could not be fitted."""


def _middle(values: Array) -> float:
    return float(np.exp(np.mean(np.log(values))))


def _row(frame: pd.DataFrame, bad: Mask) -> str:
    """The first bad row, counted from 1, and its line in a file whose first line is the header."""
    position = int(np.flatnonzero(bad)[0])
    return f"row {position + 1} (line {position + 2})"


def _numbers(frame: pd.DataFrame, column: str, name: str, *, may_miss: bool = False) -> Array:
    raw = frame[column]
    numbers = pd.to_numeric(raw, errors="coerce").to_numpy(dtype=float)
    bad = ~np.isfinite(numbers)
    if may_miss:
        bad &= ~raw.isna().to_numpy()
    if bad.any():
        value = raw[bad].iloc[0]
        # Otherwise NaN would be written as np.float64(nan).
        value = value.item() if isinstance(value, np.generic) else value
        raise UserError(f"{name}, {_row(frame, bad)}: {column} is {value!r}; give a finite number")
    return numbers


def _positive(values: Array, column: str, frame: pd.DataFrame, name: str, *, zero: bool) -> None:
    bad = values < 0 if zero else values <= 0
    if bad.any():
        value = values[bad][0]
        wanted = "0 or more" if zero else "a number above 0"
        raise UserError(f"{name}, {_row(frame, bad)}: {column} is {value:g}; give {wanted}")


def _unique(frame: pd.DataFrame, column: str, tokens: Array, name: str) -> Array:
    """The column of unique tokens, all of `tokens` where it is absent or empty."""
    if column not in frame:
        return tokens
    given = _numbers(frame, column, name, may_miss=True)
    _positive(np.nan_to_num(given), column, frame, name, zero=True)
    unique = np.where(np.isnan(given), tokens, np.minimum(given, tokens))
    bad = (unique <= 0) & (tokens > 0)
    if bad.any():
        raise UserError(
            f"{name}, {_row(frame, bad)}: {column} is 0, but the run has tokens; "
            "give the number of distinct tokens"
        )
    return unique


def _clusters(frame: pd.DataFrame, params: Array, general: Array, special: Array) -> pd.Series:
    """The key (size, seed, D) of each row; runs from scratch have no trunk to share."""
    parts = [params.astype(str)]
    parts += [frame[c].astype(str).to_numpy() for c in ("trunk", "seed") if c in frame]
    parts.append(general.astype(str))
    parts.append(np.where(general > 0, "", special.astype(str)))
    return pd.Series(["/".join(row) for row in zip(*parts, strict=True)], index=frame.index)


def _flops(frame: pd.DataFrame, params: Array, name: str) -> dict[float, float]:
    if "flops_per_token" not in frame:
        return {}
    flops = _numbers(frame, "flops_per_token", name, may_miss=True)
    _positive(flops[~np.isnan(flops)], "flops_per_token", frame, name, zero=False)
    known = pd.Series(flops).groupby(params).median().dropna()
    return {float(size): float(value) for size, value in known.items()}


def _load(losses: str | os.PathLike[str] | pd.DataFrame) -> tuple[pd.DataFrame, str]:
    if isinstance(losses, pd.DataFrame):
        return losses.reset_index(drop=True), "losses"
    path = Path(losses)
    if not path.is_file():
        raise UserError(f"{path}: no such file; name an existing table of losses")
    try:
        return pd.read_csv(path, skipinitialspace=True), str(path)
    except (ValueError, UnicodeDecodeError, pd.errors.ParserError) as cause:
        raise UserError(f"{path}: cannot be read as CSV ({cause}); write it again") from None


def _check_columns(frame: pd.DataFrame, name: str, wanted: Sequence[str]) -> None:
    missing = [column for column in wanted if column not in frame]
    if missing:
        raise UserError(
            f"{name}: column {', '.join(missing)} is missing; a table requires {', '.join(wanted)}"
        )
    if frame.empty:
        raise UserError(f"{name}: has no rows; give at least one per parameter of a law")


def read_table(
    losses: str | os.PathLike[str] | pd.DataFrame,
    *,
    min_tokens_per_param: float = 0.0,
    repetitions: float = REPETITIONS,
) -> Reading:
    """Read and check a table of losses, from a CSV file or a frame.

    Rows of other domains than the one trained on, and of the domain `general` where others
    stand, take no part. Rows with fewer than `min_tokens_per_param` tokens per parameter are
    left out, and counted in the notes.

    Raises `UserError` with the row of the first value that cannot be used.
    """
    frame, name = _load(losses)
    _check_columns(frame, name, REQUIRED)
    values = {c: _numbers(frame, c, name) for c in REQUIRED if c != "domain"}
    if frame["domain"].isna().any():
        raise UserError(
            f"{name}, {_row(frame, frame['domain'].isna().to_numpy())}: domain is empty; name it"
        )
    for column, numbers in values.items():
        _positive(numbers, column, frame, name, zero=column.endswith("_tokens"))
    params, general, special = (
        values[c] for c in ("params", "pretrain_tokens", "specialize_tokens")
    )
    data = pd.DataFrame(
        {
            "name": frame["domain"].astype(str).str.strip(),
            "params": params,
            "general": general,
            "special": special,
            "unique_general": _unique(frame, "unique_pretrain_tokens", general, name),
            "unique_special": _unique(frame, "unique_specialize_tokens", special, name),
            "loss": values["loss"],
            "cluster": _clusters(frame, params, general, special),
            "holdout": frame["split"].eq("holdout") if "split" in frame else False,
        }
    )
    keep, notes = _choose_rows(frame, data, name, min_tokens_per_param)
    flops = _flops(frame, params, name)
    data = data[keep]
    fit = _table(data[~data["holdout"]])
    apart = data[data["holdout"] & data["name"].isin(fit.domains)]
    common: dict[str, Any] = {
        "flops_per_token": flops,
        "repetitions": repetitions,
        "seeds": _seeds(frame[keep]),
    }
    fit = replace(fit, **common)
    holdout = replace(_table(apart, fit.domains), **common) if len(apart) else None
    return Reading(fit=fit, holdout=holdout, notes=notes + _notes(fit))


POINT = ("params", "pretrain_tokens", "specialize_tokens", "domain")


def read_points(points: str | os.PathLike[str] | pd.DataFrame) -> pd.DataFrame:
    """Read and check a table of points to predict at; every column is kept."""
    frame, name = _load(points)
    _check_columns(frame, name, POINT)
    for column in POINT[:3]:
        numbers = _numbers(frame, column, name)
        _positive(numbers, column, frame, name, zero=column != "params")
    return frame


def _choose_rows(
    frame: pd.DataFrame, data: pd.DataFrame, name: str, min_tokens_per_param: float
) -> tuple[Mask, list[str]]:
    notes = []
    keep = np.ones(len(data), dtype=bool)
    if (data["name"] != GENERAL).any():
        keep &= (data["name"] != GENERAL).to_numpy()
    if "train_domain" in frame:
        own = frame["train_domain"].astype(str).str.strip() == data["name"]
        keep &= (own | frame["train_domain"].isna() | (data["special"] == 0)).to_numpy()
    tokens = data["general"] + data["special"]
    untrained = keep & (tokens == 0).to_numpy()
    if untrained.any():
        notes.append(f"{untrained.sum()} rows of models that saw no token are left out.")
        keep &= ~untrained
    few = keep & (tokens < min_tokens_per_param * data["params"]).to_numpy()
    if few.any():
        notes.append(
            f"{few.sum()} of {keep.sum()} rows with fewer than {min_tokens_per_param:g} tokens "
            "per parameter are left out, as asked."
        )
        keep &= ~few
    if not (keep & ~data["holdout"]).any():
        raise UserError(f"{name}: no rows are left to fit; give rows trained on their own domain")
    return keep, notes


def _seeds(frame: pd.DataFrame) -> int:
    return int(frame.groupby("params")["seed"].nunique().min()) if "seed" in frame else 1


def _table(data: pd.DataFrame, domains: tuple[str, ...] | None = None) -> Table:
    names = domains or tuple(sorted(data["name"].unique()))
    data = data.assign(number=[names.index(n) for n in data["name"]])
    data = data.sort_values("number", kind="stable")
    return Table(
        domains=names,
        domain=data["number"].to_numpy(dtype=np.intp),
        cluster=data.groupby("cluster", sort=False).ngroup().to_numpy(dtype=np.intp),
        **{column: data[column].to_numpy(dtype=float) for column in NUMBERS},
    )


def _notes(fit: Table) -> list[str]:
    notes = []
    cells = pd.DataFrame({name: getattr(fit, name) for name in ("domain", *NUMBERS[:-1])})
    copies = int(cells.duplicated().sum())
    if copies:
        notes.append(f"{copies} rows repeat the cell of another row; they are kept as replicates.")
    if len(fit.sizes) == 1:
        notes.append(
            f"All rows have {fit.sizes[0]:g} parameters: the law is fitted without N, "
            "and says nothing about other sizes."
        )
    return notes
