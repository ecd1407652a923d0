"""Checks of whole columns: names, units, points along one run, and repeated rows."""

import unicodedata
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from splitlaw.common.errors import UserError
from splitlaw.experiment.columns import FIT
from splitlaw.experiment.lineage import GENERAL
from splitlaw.laws.points import Array, Mask
from splitlaw.laws.sheet import Sheet

LARGE = 1e6
"""Parameters of a model, or tokens of a run, that can only be counted in ones."""

SMALL = 1e3
"""Parameters of no language model, and tokens of no general run: a count in another unit."""

BILLIONS = 1e5
"""Amounts of tokens in billions are below this: no run had 1e14 tokens."""

UNIT_GAP = 1e3
"""Factor between neighbouring sizes that may be two units: 1e3, 1e6 and 1e9 are usual ones."""

TOKENS_GAP = 1e4
"""Factor between tokens per parameter of the two groups of sizes above which they are."""

PER_TOKEN = 1e5
"""FLOPs per token and parameter of no model: 6, and with attention over a long context at most some
thousands. Those of an example of many tokens may be more."""

WHOLE_RUN = 0.1
"""Part of 6 N (D + D') that the compute of a run is more than, even if only one stage is counted
or formulas differ."""

STAGES = {"trunk": "pretrain_tokens", "replay": "specialize_tokens"}
"""Tokens without which a row has no entry in a column."""

LOSS_COLUMNS = {"loss", "loss_stderr", "bits_per_byte"}
"""Columns that may differ between two rows of one model."""


def empty_notes(sheet: Sheet, values: Mapping[str, Array], columns: Iterable[str]) -> list[str]:
    """A note on each column in which a cell may have been lost: it is empty in some rows only.

    Cells may be empty where that is one of the ways to write a table. `values` are its numbers.
    """
    notes = []
    for column in [c for c in columns if c in sheet]:
        empty = (sheet.text(column) == "").to_numpy()
        lost = empty & ~_may_be_empty(sheet, values, column)
        if lost.any() and not empty.all():
            notes.append(
                f"{sheet.at(lost)}: {column} is empty, in {lost.sum()} of {len(sheet)} rows; "
                "check that no cell is lost."
            )
    return notes


def _may_be_empty(sheet: Sheet, values: Mapping[str, Array], column: str) -> Mask:
    """Rows whose cell of a column says nothing, or says that the row is as rows are by default."""
    if column == "split":
        return np.full(len(sheet), not (sheet.text(column) == FIT).any())
    if column == "train_domain":
        branch = values["specialize_tokens"] > 0
        own = (sheet.text(column) == sheet.text("domain")).to_numpy()
        return ~branch | (not (branch & own).any())
    if column.startswith("unique_"):
        # A row without the number repeats nothing, which cannot be with more tokens than another
        # row of its domain has distinct ones, and repeats.
        tokens, unique = values[column.removeprefix("unique_")], values[column]
        repeated = pd.Series(np.where(unique < tokens, unique, np.inf))
        return tokens <= repeated.groupby(sheet.text("domain")).transform("min").to_numpy()
    if column in STAGES:
        return values[STAGES[column]] == 0
    return np.zeros(len(sheet), dtype=bool)


def check_names(sheet: Sheet, columns: Iterable[str]) -> None:
    """Refuse names that differ only in case, spaces or Unicode form."""
    spellings = {_plain(GENERAL): [GENERAL]}
    where = ""
    for column in columns:
        names = sheet.names(column)
        for name in names.unique():
            known = spellings.setdefault(_plain(name), [])
            if known and name not in known:
                where = where or f"{sheet.at((names == name).to_numpy())}: {column}"
            if name not in known:
                known.append(name)
    several = [" and ".join(map(repr, names)) for names in spellings.values() if len(names) > 1]
    if several:
        raise UserError(
            f"{where} is one of {', '.join(several)}, which differ only in case, spaces or Unicode "
            "form; write each name in one way, or rename it"
        )


def _plain(name: str) -> str:
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    visible = "".join(c for c in text if unicodedata.category(c) != "Cf")
    return " ".join(visible.split())


def check_units(sheet: Sheet, params: Array, pretrain: Array, specialize: Array) -> None:
    """Refuse columns in different units, or a size in other units than the rest.

    Only what the numbers show beyond doubt is refused.
    """
    total = pretrain + specialize
    if params.max() < SMALL and total.max() > LARGE:
        raise UserError(
            f"{sheet.name}: params are {params.min():g} to {params.max():g} but tokens are up to "
            f"{total.max():g}, so they are in different units; give the number of parameters"
        )
    fractions = bool((total % 1 > 0).any())
    if params.min() > LARGE and 0 < total.max() < (BILLIONS if fractions else SMALL):
        raise UserError(
            f"{sheet.name}: tokens are at most {total.max():g} but params are at least "
            f"{params.min():g}, so they are in different units; give the number of tokens"
        )
    odd = (params < SMALL) & (params.max() > UNIT_GAP * params)
    odd |= _other_units(params, total)
    if odd.any():
        raise UserError(
            f"{sheet.at(odd)}: params is {params[odd][0]:g}, but other rows have up to "
            f"{params.max():g}, so it is in other units; give the number of parameters"
        )
    for column, tokens in (("pretrain_tokens", pretrain), ("specialize_tokens", specialize)):
        odd = (tokens > 0) & (tokens < SMALL) & (total.max() > LARGE)
        # A fine-tuning on some hundred examples is possible; on half of one it is not.
        odd &= True if column == "pretrain_tokens" else tokens % 1 > 0
        if odd.any():
            raise UserError(
                f"{sheet.at(odd)}: {column} is {tokens[odd][0]:g}, but other amounts of tokens are "
                f"up to {total.max():g}, so it is in other units; give the number of tokens"
            )


def check_flops_per_token(
    sheet: Sheet, params: Array, pretrain: Array, specialize: Array, flops: Array
) -> None:
    """Refuse FLOPs of whole runs: tokens may be examples, of which each has many FLOPs."""
    given = np.isfinite(flops)
    tokens = pretrain + specialize
    whole = given & (flops > np.maximum(PER_TOKEN, WHOLE_RUN * 6 * tokens) * params)
    # An example of many tokens may also have that many FLOPs, but the same number for every D of a
    # size. Whole runs that are longer have more.
    columns = pd.DataFrame({"D": pretrain, "flops": flops})[given]
    counts = columns.groupby(params[given]).nunique()
    same = ((counts["flops"] == 1) & (counts["D"] > 1)).any()
    if not same and 2 * whole.sum() > given.sum():
        raise UserError(
            f"{sheet.at(whole)}: flops_per_token is {flops[whole][0]:g} at {params[whole][0]:g} "
            "parameters, which is the compute of a whole run; divide it by the tokens of the run, "
            "or rename the column"
        )


def _other_units(params: Array, total: Array) -> Array:
    """Rows whose size is far below all others, and whose tokens are not."""
    sizes = np.unique(params)
    gaps = np.flatnonzero(sizes[1:] / sizes[:-1] >= UNIT_GAP)
    odd = np.zeros(len(params), dtype=bool)
    if len(gaps):
        low = params <= sizes[gaps[-1]]
        ratio = total / params
        odd = low & bool(np.median(ratio[low]) > TOKENS_GAP * np.median(ratio[~low]))
    return odd


def trajectory_notes(sheet: Sheet, data: pd.DataFrame, *, allowed: bool) -> list[str]:
    """Find several points along one run, which the columns `run` and `trunk` show.

    Rows of one `run`, size, seed and domain with several amounts of tokens are such points, and
    so are rows of one `trunk` that were not specialised (D' = 0) and have several D, unless each
    of them is another `run`. Their learning rate had not decayed, so a law of finished runs does
    not describe them. They raise `UserError` unless `allowed`, and are then counted in a note.
    """
    column = next((column for column in ("run", "trunk") if column in sheet), None)
    if column is None:
        return []
    keys = data[["name", "params"]].assign(total=data["pretrain"] + data["specialize"])
    keys["seed"] = sheet.text("seed") if "seed" in sheet else ""
    keys["run"] = sheet.text(column)
    rows = keys[(keys["run"] != "") & ((data["specialize"] == 0) | (column == "run"))]
    counts = rows.groupby(["run", "params", "seed", "name"])["total"].transform("nunique")
    rows = rows[counts > 1]
    if rows.empty:
        return []
    first, which = sheet.labels[rows.index[0]], f"{column} {rows['run'].iloc[0]}"
    if not allowed:
        raise UserError(
            f"{sheet.name}, {first}: {len(rows)} rows are several points along one run ({which}), "
            "whose losses are not those of finished runs; give one row per finished run, or fit "
            "them with --trajectories"
        )
    return [
        f"{len(rows)} rows are several points along one run (first {first}: {which}); their losses "
        "may not be those of finished runs."
    ]


def repeated_notes(sheet: Sheet, data: pd.DataFrame) -> list[str]:
    """Find rows of one model, domain and seed with different losses, if there is a seed.

    Rows that are equal in every other column contradict each other and raise `UserError`; rows
    that differ in a column that is not used are named in a note.
    """
    if "seed" not in sheet:
        return []
    keys = data.drop(columns=["loss", "trunk"]).assign(seed=sheet.text("seed"))
    for column in ("trunk", "train_domain"):
        if column in sheet:
            keys[column] = sheet.text(column)
    others = [c for c in sheet.frame.columns if c not in LOSS_COLUMNS]
    for columns, same in ((sheet.frame[others].astype(str), "in everything but loss"), (keys, "")):
        groups = data["loss"].groupby([columns[c] for c in columns], dropna=False)
        differ = (groups.transform("nunique") > 1).to_numpy()
        if not differ.any():
            continue
        group = groups.ngroup().to_numpy()
        pair = np.flatnonzero(group == group[differ][0])[:2]
        one, other = (sheet.labels[k] for k in pair)
        losses = " and ".join(f"{data['loss'].iloc[k]:g}" for k in pair)
        if same:
            raise UserError(
                f"{sheet.name}, {one} and {other}: are equal {same} ({losses}); remove one, or "
                "give them different seeds"
            )
        return [
            f"{int(differ.sum())} rows have the model, domain and seed of another row and a "
            f"different loss (first {one} and {other}: {losses}); they are kept as replicates."
        ]
    return []
