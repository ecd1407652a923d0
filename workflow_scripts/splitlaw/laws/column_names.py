"""Missing columns, and what their names probably are in a table."""

import re
from collections.abc import Sequence

import pandas as pd

from splitlaw.common.errors import UserError

OTHER_NAMES = {
    "params": "n nparams numparams parameters nparameters numparameters modelsize size",
    "pretrain_tokens": "d tokens ntokens numtokens trainingtokens traintokens generaltokens "
    "pretrainingtokens dpretrain",
    "specialize_tokens": "d' dprime finetunetokens finetuningtokens specialisetokens "
    "specialtokens domaintokens specializationtokens",
    "domain": "domains dataset task corpus evaldomain",
    "loss": "valloss validationloss evalloss testloss trainloss crossentropy nll lmloss losses",
}
"""Names of the columns in other tables, in lower case and without `_`, spaces and the like."""

MOST_SHOWN = 20
"""Columns that a message lists."""


def check_columns(frame: pd.DataFrame, name: str, wanted: Sequence[str]) -> None:
    """Raise `UserError` if one of `wanted` is missing, with what to rename or to melt."""
    missing = [column for column in wanted if column not in frame]
    for column in map(str, frame.columns):
        name_wanted = column.lower()
        if name_wanted in wanted and name_wanted in frame and column != name_wanted:
            raise UserError(
                f"{name}: the columns {name_wanted} and {column} differ only in case; remove one"
            )
    if not missing:
        return
    found = [str(column) for column in frame.columns]
    shown = ", ".join(found[:MOST_SHOWN]) + (", ..." if len(found) > MOST_SHOWN else "")
    advice = _advice(frame, missing, [column for column in found if column not in wanted])
    raise UserError(
        f"{name}: column {', '.join(missing)} is missing; a table requires {', '.join(wanted)}, "
        f"and this one has {shown}{advice}"
    )


def _advice(frame: pd.DataFrame, missing: list[str], others: list[str]) -> str:
    advice = []
    wide = _wide(frame, missing, others)
    if wide:
        advice.append(
            f"write a row for each of {', '.join(wide[:MOST_SHOWN])}, as pandas.melt(table, "
            f"id_vars=[...], value_vars={wide[:MOST_SHOWN]}, var_name='domain', "
            "value_name='loss') does"
        )
        missing = [column for column in missing if column not in ("domain", "loss")]
    free = [other for other in others if other not in wide]
    for column in missing:
        match = next((other for other in free if _is_name_of(other, column)), None)
        if match is not None:
            advice.append(f"rename {match} to {column}")
            free.remove(match)
        elif column.endswith("_tokens"):
            advice.append(f"add {column}, 0 where there was no such stage")
        elif column == "domain":
            advice.append("add the column domain, with one name if there is only one")
    return "".join(f"; {sentence}" for sentence in advice)


def _wide(frame: pd.DataFrame, missing: list[str], others: list[str]) -> list[str]:
    """Columns with the losses of one domain each; none if the table has another layout."""
    if not {"domain", "loss"} <= set(missing):
        return []
    losses = [other for other in others if "loss" in other.lower()]
    if len(losses) > 1:
        return losses
    free = [other for other in others if not any(_is_name_of(other, c) for c in missing)]
    numeric = [
        other
        for other in free
        if len(frame) and pd.to_numeric(frame[other], errors="coerce").notna().all()
    ]
    return numeric if len(numeric) > 1 and not losses else []


def _is_name_of(other: str, column: str) -> bool:
    plain = re.sub(r"[^a-z0-9']", "", other.lower())
    return plain == re.sub("_", "", column) or plain in OTHER_NAMES[column].split()
