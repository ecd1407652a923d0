"""The report of a table of losses that has no experiment: fit, plan and page in one step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from splitlaw.common.step_line import StepLine
from splitlaw.experiment.columns import FIT, HOLDOUT
from splitlaw.laws import fit_table
from splitlaw.laws.read import read_table
from splitlaw.laws.table import Table
from splitlaw.planner import plan
from splitlaw.report.build import write_report
from splitlaw.report.inputs import TABLE_FIT, Inputs


def report_table(losses: Path, *, out: Path, figures: Path, **options: Any) -> str:
    """Fit a law to a table of losses, plan a budget, and write the report of both to `out`.

    `options` are those of `plan`. The fit and the plan are written beside `out`, as `fit.json` and
    `plan.json`. Returns a summary; raises `UserError` for a table or a budget that cannot be used.
    """
    steps = StepLine("report")
    try:
        fit = fit_table(losses, report=steps)
    finally:
        steps.close()
    made = plan(fit, **options)
    fit.save(out.with_name(TABLE_FIT))
    made.save(out.with_name("plan.json"))
    inputs = Inputs(
        folder=out.parent, table=losses, losses=_rows(losses), fit=fit, plan=made.to_json()
    )
    return write_report(inputs, out=out, figures=figures)


def _rows(losses: Path) -> pd.DataFrame:
    """The rows of the table that the fit uses or tests, with the columns of `losses.csv`."""
    reading = read_table(losses)
    frames = [_frame(reading.fit).assign(split=FIT)]
    if reading.holdout is not None:
        frames.append(_frame(reading.holdout).assign(split=HOLDOUT))
    return pd.concat(frames, ignore_index=True)


def _frame(table: Table) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "domain": np.array(table.domains)[table.domain],
            "params": table.params,
            "pretrain_tokens": table.pretrain,
            "specialize_tokens": table.specialize,
            "unique_pretrain_tokens": table.unique_pretrain,
            "unique_specialize_tokens": table.unique_specialize,
            "loss": table.loss,
        }
    )
