"""Which rows of a table take part in the law of the domains, and in that of the general loss."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from splitlaw.common.errors import UserError
from splitlaw.experiment.lineage import GENERAL
from splitlaw.laws.points import Array, Mask
from splitlaw.laws.sheet import Sheet
from splitlaw.laws.table import Table, make_table

RUN = ("run", "trunk", "seed")
"""Columns that identify a run, so that two runs differ in them."""

DIGITS = 4
"""Significant digits to which the losses of two runs may well be rounded to one number. Seeds
differ by about 0.4%, so that losses of five digits coincide in one of some hundred pairs at most,
and those of three in one of four."""

MOST = 0.5
"""Part of the losses that have more digits, and part of them that differ, above which equal rows
are copies."""


@dataclass(frozen=True)
class ChosenRows:
    """Rows that take part, and sentences about the others."""

    keep: Mask
    notes: list[str]
    left_out: list[str]


def copied_rows(sheet: Sheet, loss: Array) -> Mask:
    """Rows that were written twice: equal to an earlier one in every column.

    Equal rows of runs without a name may be replicates whose losses are rounded to one number.
    They are copies only if losses have so many digits that those of two runs differ.
    """
    equal = sheet.frame.astype(str).duplicated().to_numpy()
    named = np.zeros(len(equal), dtype=bool)
    for column in RUN:
        if column in sheet:
            named |= (sheet.text(column) != "").to_numpy()
    once = loss[~equal]
    exact = np.array([float(f"{value:.{DIGITS}g}") != value for value in once])
    differ = len(np.unique(once)) / len(once)
    return equal & (named | (min(exact.mean(), differ) > MOST))


def choose_rows(
    sheet: Sheet,
    data: pd.DataFrame,
    after: Mask,
    copies: Mask,
    min_tokens_per_param: float,
    uncounted: bool,
) -> ChosenRows:
    """The rows of the domains' losses; those of `after` enter another law.

    `copies` are counted in all rows, and the others without those of `after`.
    """
    keep = np.ones(len(data), dtype=bool)
    notes: list[str] = []
    left_out: list[str] = []

    def leave_out(rows: pd.Series | Mask, sentences: list[str], reason: str) -> None:
        dropped = keep & np.asarray(rows, dtype=bool)
        if dropped.any():
            sentences.append(f"{dropped.sum()} of {keep.sum()} rows {reason}.")
        keep[dropped] = False

    leave_out(copies, notes, "are equal to another row in every column, and left out")
    keep[after] = False
    is_general = data["name"] == GENERAL
    if not is_general.all():
        leave_out(is_general, left_out, f"of the domain {GENERAL} are left out")
    if "train_domain" in sheet:
        trained = data["trained"]
        other = (trained != data["name"]) & (trained != "") & (data["specialize"] > 0)
        leave_out(other, left_out, "of models of another train_domain are left out")
    tokens = data["pretrain"] + data["specialize"]
    leave_out((tokens == 0) & (not uncounted), notes, "of models that saw no token are left out")
    if not (keep & ~data["holdout"]).any():
        raise UserError(
            f"{sheet.name}: no rows are left to fit ({_reasons(left_out + notes, data, keep)}); "
            "give rows trained on their own domain"
        )
    few = tokens < min_tokens_per_param * data["params"]
    leave_out(
        few,
        notes,
        f"with fewer than {min_tokens_per_param:g} tokens per parameter are left out, as asked",
    )
    if not (keep & ~data["holdout"]).any():
        most = float((tokens / data["params"]).max())
        raise UserError(
            f"{sheet.name}: no rows are left to fit with --min-tokens-per-param "
            f"{min_tokens_per_param:g}; the rows have at most {most:.3g}: give a lower one"
        )
    return ChosenRows(keep, notes, left_out)


def _reasons(sentences: list[str], data: pd.DataFrame, keep: Mask) -> str:
    held = int((keep & data["holdout"]).sum())
    reasons = [sentence.rstrip(".") for sentence in sentences]
    return "; ".join([*reasons, f"{held} rows are held out"] if held else reasons)


def after_rows(data: pd.DataFrame) -> Mask:
    """Rows of the general loss of specialists, and of the general runs beside them.

    `data` has the columns `name` and `trained`, the evaluated domain and that of the branch.
    """
    general = data["name"] == GENERAL
    branch = data["specialize"] > 0
    special = general & branch & ~data["trained"].isin(["", GENERAL])
    if general.all() or not special.any():
        return np.zeros(len(data), dtype=bool)
    return (special | (general & ~branch)).to_numpy(dtype=bool)


def after_tables(data: pd.DataFrame) -> tuple[Table | None, Table | None]:
    """The rows of `after_rows` to fit, and those set apart, by the domain of the branch.

    A general run, at D' = 0, is where every branch begins: its row is in every domain. None
    where there are no rows.
    """
    branch = (data["specialize"] > 0).to_numpy()
    names = tuple(sorted(data["trained"][branch & ~data["holdout"]].unique()))
    if not names:
        return None, None
    parts = [data[branch & data["trained"].isin(names)].assign(name=data["trained"])]
    parts += [data[~branch].assign(name=name) for name in names]
    rows = pd.concat(parts, ignore_index=True)
    apart = rows[rows["holdout"]]
    return make_table(rows[~rows["holdout"]], names), (
        make_table(apart, names) if len(apart) else None
    )
