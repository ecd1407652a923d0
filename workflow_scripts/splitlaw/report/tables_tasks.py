"""The table of the tasks against held-out loss."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from splitlaw.report.inputs import Inputs
from splitlaw.report.number_format import NBSP, known, loss, percent
from splitlaw.report.table import Table
from splitlaw.report.task_names import metric_name, task_name
from splitlaw.stages.loss_to_task import fit_lines


def loss_to_task_table(inputs: Inputs) -> Table | None:
    """The lines of `loss_to_task.csv`."""
    lines = fit_lines(inputs.scores)
    if lines.empty:
        return None
    rows = [
        [
            task_name(str(row["task"])),
            metric_name(str(row["metric"])),
            str(row["models"]),
            "at chance" if row["at_chance"] else loss(row["slope"]),
            _slopes(row),
            loss(row["residual"]),
            _left_out(row),
        ]
        for row in lines.to_dict("records")
    ]
    head = ["Task", "Score", "Models", "Change per nat of held-out loss", "90% interval"]
    return Table(
        title="Tasks against held-out loss",
        head=[*head, "S.d. of residuals", "Error on the left-out size"],
        rows=rows,
        note=loss_to_task_note(lines),
    ).without_empty_columns()


def _slopes(row: Mapping[str, Any]) -> str:
    if not known(row["slope"]):
        return "–"
    return f"{loss(row['slope_low'])}{NBSP}to{NBSP}{loss(row['slope_high'])}"


def _left_out(row: Mapping[str, Any]) -> str:
    if not known(row["left_out_error"]):
        return "–"
    return (
        f"{loss(row['left_out_error'])} ({row['left_out']}; "
        f"{percent(row['left_out_inside'], 0)} inside the 90% interval)"
    )


def loss_to_task_note(lines: pd.DataFrame) -> str:
    """How to read the lines, and what is missing."""
    note = (
        "Least-squares lines through the routed splits and the single models; the held-out loss of "
        "a system is averaged over the domains as the router assigns the items of the task to "
        "them. Models share text and items, so intervals are too narrow where they differ in other "
        "things than the loss. "
    )
    chance = lines.loc[lines["at_chance"].astype(bool), "task"]
    if len(chance):
        note += (
            f"{len(chance)} of {lines['task'].nunique()} accuracies are not above guessing: only "
            "bits per byte are predicted there. "
        )
    if lines["sizes"].max() < 2:
        note += "There is one size; the error on a left-out size requires splitlaw run compare. "
    return note
