"""Reading and checking a table of losses, or of points to predict at."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from splitlaw.common.errors import UserError
from splitlaw.experiment.columns import FIT, HOLDOUT
from splitlaw.laws.points import Array, Mask
from splitlaw.laws.row_choice import after_rows, after_tables, choose_rows, copied_rows
from splitlaw.laws.sheet import MISSING, Sheet, load_sheet
from splitlaw.laws.table import NUMBERS, Table, make_table
from splitlaw.laws.table_checks import (
    check_flops_per_token,
    check_names,
    check_units,
    empty_notes,
    repeated_notes,
    trajectory_notes,
)

POINT = ("params", "pretrain_tokens", "specialize_tokens", "domain")
REQUIRED = (*POINT, "loss")
UNIQUE = ("unique_pretrain_tokens", "unique_specialize_tokens")
REPLAY = "replay"
OPTIONAL = (*UNIQUE, "flops_per_token", REPLAY)
"""Columns of numbers that are used where present."""
USED = (*OPTIONAL, "train_domain", "trunk", "seed", "split")
"""All columns that are used where present."""
CONTRADICTING = 0.1
"""Relative difference between the losses of one cell that no seeds explain; they differ by 2%."""

PREDICTED = ("loss", "loss_low", "loss_high", "mean_low", "mean_high")
"""The columns that a prediction adds to a table of points."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The rows to fit, the rows set apart, and what users should know about the others."""

    fit: Table
    holdout: Table | None
    """Rows whose `split` is `holdout`; they never enter parameters."""

    notes: list[str]
    """Sentences about rows left out, replicates, and what could not be fitted."""

    left_out: list[str]
    """Sentences about rows that never take part: of `general` and of other domains."""

    after: Table | None = None
    """General loss of specialists, by the domain of their branch; at D' = 0 that of the general
    runs, for each domain. None where the table has none to fit."""

    after_holdout: Table | None = None
    """The rows of `after` that are set apart."""


def read_table(
    losses: str | os.PathLike[str] | pd.DataFrame,
    *,
    min_tokens_per_param: float = 0.0,
    drop_invalid: bool = False,
    trajectories: bool = False,
    uncounted: bool = False,
) -> Reading:
    """Read and check a table of losses, from a CSV file or a frame.

    Rows of other domains than the one trained on are left out, and so are rows of the domain
    `general` where there are others, and rows with fewer than `min_tokens_per_param` tokens per
    parameter. `drop_invalid` leaves out rows with a value that cannot be used, `trajectories`
    accepts several points along one run, `uncounted` rows without tokens: a base whose own D does
    not count. All rows that are left out are counted.

    Raises `UserError` with the row of the first value that cannot be used.
    """
    sheet = load_sheet(losses, "losses", REQUIRED)
    sheet, values, notes = _usable(sheet, drop_invalid)
    data = _data(sheet, values)
    general, copies = after_rows(data), copied_rows(sheet, values["loss"])
    rows = choose_rows(sheet, data, general, copies, min_tokens_per_param, uncounted)
    enough = data["pretrain"] + data["specialize"] >= min_tokens_per_param * data["params"]
    after, after_holdout = after_tables(data[general & enough & ~copies])
    kept, data = sheet.take(rows.keep), data[rows.keep].reset_index(drop=True)
    notes += rows.notes
    notes += trajectory_notes(kept, data, allowed=trajectories) + repeated_notes(kept, data)
    fit = make_table(data[~data["holdout"]])
    unknown = data["holdout"] & ~data["name"].isin(fit.domains)
    if unknown.any():
        names = ", ".join(sorted(data["name"][unknown].unique()))
        notes.append(
            f"{unknown.sum()} held-out rows of {names} are left out: no row to fit has this domain."
        )
    apart = data[data["holdout"] & ~unknown]
    common: dict[str, Any] = {"flops_per_token": _flops(values)}
    fit = replace(fit, **common)
    holdout = replace(make_table(apart, fit.domains), **common) if len(apart) else None
    return Reading(
        fit=fit,
        holdout=holdout,
        notes=notes + _notes(fit),
        left_out=rows.left_out,
        after=None if after is None else replace(after, **common),
        after_holdout=after_holdout,
    )


def _usable(sheet: Sheet, drop_invalid: bool) -> tuple[Sheet, dict[str, Array], list[str]]:
    """The rows whose values can be used, their numbers, and notes about the others."""
    values, bad, error = _values(sheet, REQUIRED)
    notes = [*sheet.notes, *empty_notes(sheet, values, USED)]
    if error is None:
        return sheet, values, notes
    if not drop_invalid:
        rows = "1 row" if bad.sum() == 1 else f"{bad.sum()} rows"
        raise UserError(f"{error} ({rows} cannot be used; --drop-invalid leaves out such rows)")
    if bad.all():
        raise UserError(f"{sheet.name}: no row can be used; the first: {error}")
    notes.append(
        f"{bad.sum()} of {len(sheet)} rows with a value that cannot be used are left out "
        f"(first: {error})."
    )
    return sheet.take(~bad), {name: numbers[~bad] for name, numbers in values.items()}, notes


def _data(sheet: Sheet, values: dict[str, Array]) -> pd.DataFrame:
    """The columns of a `Table` by row, with the name of each domain; units and names checked."""
    check_names(sheet, [c for c in ("domain", "train_domain") if c in sheet])
    params, pretrain, specialize = (values[c] for c in POINT[:3])
    check_units(sheet, params, pretrain, specialize)
    if "flops_per_token" in values:
        check_flops_per_token(sheet, params, pretrain, specialize, values["flops_per_token"])
    return pd.DataFrame(
        {
            "name": sheet.names("domain"),
            "trained": sheet.text("train_domain") if "train_domain" in sheet else "",
            "params": params,
            "pretrain": pretrain,
            "specialize": specialize,
            "unique_pretrain": _unique(values, "unique_pretrain_tokens", pretrain),
            "unique_specialize": _unique(values, "unique_specialize_tokens", specialize),
            "replay": _replay(values, specialize),
            "loss": values["loss"],
            "trunk": _trunks(sheet, params, pretrain, specialize),
            "holdout": _is_holdout(sheet),
        }
    )


def read_points(points: str | os.PathLike[str] | pd.DataFrame) -> pd.DataFrame:
    """Read and check a table of points to predict at; every other column is kept.

    Raises `UserError` with the row of the first value that cannot be used, and if the table has
    a column that a prediction adds.
    """
    sheet = load_sheet(points, "points", POINT)
    taken = [column for column in PREDICTED if column in sheet]
    if taken:
        raise UserError(
            f"{sheet.name}: has the column {', '.join(taken)}, which predictions are written to; "
            f"rename it, for instance to measured_{taken[0]}, or remove it"
        )
    return points_of(sheet)


def points_of(sheet: Sheet, optional: Sequence[str] = OPTIONAL) -> pd.DataFrame:
    """The columns of a sheet, those of points and of `optional` checked.

    Raises `UserError` with the row of the first value that cannot be used.
    """
    values, _, error = _values(sheet, POINT, optional)
    if error is not None:
        raise UserError(error)
    whole = {
        name: v.astype(np.int64) if _are_whole(sheet.frame[name]) else v
        for name, v in values.items()
        if name in (*POINT, *UNIQUE, REPLAY)
    }
    return sheet.frame.assign(domain=sheet.names("domain"), **whole)


def _replay(values: dict[str, Array], specialize: Array) -> Array:
    """The share of replay; 0 without a branch, and where the column is absent or empty."""
    given = values.get(REPLAY, np.zeros_like(specialize))
    return np.where(np.isnan(given) | (specialize == 0), 0.0, given)


def _are_whole(cells: pd.Series) -> bool:
    """Whether all cells are written as whole numbers that fit 64 bits."""
    if pd.api.types.is_integer_dtype(cells):
        return True
    return bool(cells.astype(str).str.fullmatch(r"\s*[0-9]{1,18}\s*").all())


def _values(
    sheet: Sheet, wanted: Sequence[str], optional: Sequence[str] = OPTIONAL
) -> tuple[dict[str, Array], Mask, str | None]:
    """The columns of numbers, the rows that cannot be used, and a message about the first one."""
    optional = [c for c in optional if c in sheet]
    columns = [c for c in wanted if c != "domain"] + optional
    values = {column: sheet.numbers(column) for column in columns}
    faults: list[tuple[Mask, str, str]] = []
    for column, numbers in values.items():
        wrong = ~np.isfinite(numbers)
        if column in optional:
            wrong &= (sheet.text(column) != "").to_numpy() & ~_is_nan(sheet, column)
        if wrong.any():
            faults.append((wrong, column, sheet.remedy(column, wrong)))
        zero = column.endswith("_tokens") or column == REPLAY
        with np.errstate(invalid="ignore"):
            wrong = np.isfinite(numbers) & ((numbers < 0) if zero else (numbers <= 0))
        faults.append((wrong, column, "give 0 or more" if zero else "give a number above 0"))
        if column == REPLAY:
            faults.append((numbers >= 1, column, "give a share below 1"))
    for column in [c for c in UNIQUE if c in optional]:
        seen = values[column.removeprefix("unique_")]
        wrong = (values[column] == 0) & (seen > 0)
        faults.append((wrong, column, "the run has tokens; give the number of distinct tokens"))
    faults.append(((sheet.text("domain") == "").to_numpy(), "domain", "name it"))
    bad = np.logical_or.reduce([wrong for wrong, *_ in faults])
    if not bad.any():
        return values, bad, None
    first = int(np.flatnonzero(bad)[0])
    only = np.arange(len(bad)) == first
    column, remedy = next((c, remedy) for wrong, c, remedy in faults if wrong[first])
    if remedy.startswith("give a finite"):
        remedy = sheet.remedy(column, only)
    return values, bad, f"{sheet.at(only)}: {column} is {sheet.show(column, only)}; {remedy}"


def _is_nan(sheet: Sheet, column: str) -> Mask:
    """Cells in which a library wrote a missing number as text."""
    return sheet.text(column).str.lower().isin(MISSING).to_numpy(dtype=bool)


def _unique(values: dict[str, Array], column: str, tokens: Array) -> Array:
    """The column of unique tokens, all of `tokens` where it is absent or empty."""
    given = values.get(column, tokens)
    return np.where(np.isnan(given), tokens, np.minimum(given, tokens))


def _trunks(sheet: Sheet, params: Array, pretrain: Array, specialize: Array) -> list[str]:
    """The name (size, trunk, seed) of the general run of each row; none at D = 0.

    Rows of one stage in a table without the columns `trunk` and `seed` are separate runs.
    """
    named = [c for c in ("trunk", "seed") if c in sheet]
    if not named and not ((pretrain > 0) & (specialize > 0)).any():
        return [""] * len(params)
    parts = [params.astype(str), *(sheet.text(c).to_numpy() for c in named)]
    names = ["/".join(row) for row in zip(*parts, strict=True)]
    return [name if d > 0 else "" for name, d in zip(names, pretrain, strict=True)]


def _is_holdout(sheet: Sheet) -> Mask:
    if "split" not in sheet:
        return np.zeros(len(sheet), dtype=bool)
    split = sheet.text("split")
    unknown = ~split.isin([FIT, HOLDOUT, ""]).to_numpy()
    if unknown.any():
        raise UserError(
            f"{sheet.at(unknown)}: split is {split[unknown].iloc[0]!r}; give {FIT} or {HOLDOUT}"
        )
    return (split == HOLDOUT).to_numpy()


def _flops(values: dict[str, Array]) -> dict[float, float]:
    if "flops_per_token" not in values:
        return {}
    known = pd.Series(values["flops_per_token"]).groupby(values["params"]).median().dropna()
    return {float(size): float(value) for size, value in known.items()}


def _notes(fit: Table) -> list[str]:
    notes = []
    cells = pd.DataFrame({name: getattr(fit, name) for name in ("domain", "trunk", *NUMBERS[:-1])})
    # Runs at D = 0 have no trunk, so that second seeds look like repeated cells there.
    seeded = fit.trunk >= 0
    copies = int((cells.duplicated() & (seeded | ~seeded.any())).sum())
    if copies:
        losses = pd.Series(fit.loss).groupby([cells[c] for c in cells])
        apart = float((losses.max() / losses.min()).max()) - 1
        notes.append(
            f"{copies} rows repeat the cell of another row; they are kept as replicates"
            + (f", although losses differ by up to {apart:.0%}." if apart > CONTRADICTING else ".")
        )
    if len(fit.sizes) == 1:
        notes.append(
            f"All rows have {fit.sizes[0]:g} parameters: the law is fitted without N, "
            "and says nothing about other sizes."
        )
    return notes
