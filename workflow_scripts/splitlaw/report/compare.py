"""Gains of the optimal split against size and budget: the files of `compare`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from splitlaw.common.files import write_text
from splitlaw.common.markdown import markdown_table
from splitlaw.common.result_table import write_result_table
from splitlaw.experiment.strategies import BASELINES, JOINT, NO_SPLIT, PROSE
from splitlaw.report import figures_compare, style
from splitlaw.report.number_format import count, percent
from splitlaw.stages.compare import SPECIALISTS
from splitlaw.zero_shot.page import MARKS
from splitlaw.zero_shot.systems import ENSEMBLE, ROUTED
from splitlaw.zero_shot.tables import ACCURACY, ALL_DOMAINS, ALL_TASKS, BITS, LOSS

_EXPLANATION = """\
Gains of the optimal split: positive where it has the lower loss, fewer bits per byte or the higher
accuracy. ± is one standard error, paired by document or item; the number in parentheses is the
prediction of the law. A gain is called better or worse where its 90% interval excludes zero; every
other gain is inside its error. The gains over the recipes are gains in loss on held-out text, each
document evaluated by the specialist of its domain. The gain over no split is the sum of the gain of
joint training over no split, which is due to the choice of the text, and the gain over joint
training, which is due to the split. On the zero-shot tasks, the specialists of the optimal split,
routed or as an ensemble, are compared with the single models of no split and of joint training.
"""

_ONE_SEED = "Trained with 1 seed. The errors do not include the variation between seeds."
_SEVERAL_SEEDS = """\
Trained with {seeds} seeds; a gain is their mean. The variance of a gain is that over documents or
items, which all seeds share, plus the variance between seeds divided by their number. The 90%
interval takes the quantile of Student's t, because the variance between few seeds is itself
uncertain (Welch 1947)."""


def write_gains(table: pd.DataFrame, out: Path) -> None:
    """Write a table of gains to `out`, a page `.md` and a figure `.svg`, `.png` beside it."""
    style.set_theme()
    style.save(figures_compare.gains(table), out.parent, out.stem)
    write_text(out.with_suffix(".md"), gains_page(table))
    write_result_table(out, table)


def gains_page(table: pd.DataFrame) -> str:
    """The gains as a page in Markdown: one row per cell, ordered by size and budget."""
    columns = [
        *(
            (f"over {PROSE[name]} (nats/token)", (SPECIALISTS, name, ALL_DOMAINS, LOSS))
            for name in BASELINES
        ),
        ("joint training over no split (nats/token)", (JOINT, NO_SPLIT, ALL_DOMAINS, LOSS)),
        *(
            (
                f"tasks, {system} over {PROSE[against]} ({unit})",
                (system, against, ALL_TASKS, metric),
            )
            for metric, unit in ((BITS, "bits/byte"), (ACCURACY, "accuracy"))
            for against in (NO_SPLIT, JOINT)
            for system in (ROUTED, ENSEMBLE)
        ),
    ]
    head = ["size", "parameters", "tokens", "general", *(name for name, _ in columns)]
    rows = []
    for _, part in table.groupby(["params", "budget"]):
        first = part.iloc[0]
        cell = [
            first["size"],
            count(first["params"]),
            count(first["budget"]),
            percent(first["fraction_general"], 0),
        ]
        keyed = part.set_index(["system", "against", "task", "metric"])
        rows.append([*cell, *(_gain(keyed, key) for _, key in columns)])
    seeds = int(table["seeds"].max())
    note = _ONE_SEED if seeds == 1 else _SEVERAL_SEEDS.format(seeds=seeds)
    lines = markdown_table(head, rows)
    return "\n".join(["# Gain against size and budget", "", _EXPLANATION, note, "", *lines, ""])


def _gain(rows: pd.DataFrame, key: tuple[str, ...]) -> str:
    """One cell of the page: gain, error, prediction and verdict."""
    if key not in rows.index:
        return ""
    row: Mapping[str, Any] = rows.loc[key].to_dict()
    text = f"{row['gain']:.3f} ± {row['stderr']:.3f}"
    if np.isfinite(row["predicted"]):
        text += f" ({row['predicted']:.3f})"
    return text + MARKS.get(row["verdict"], "")
