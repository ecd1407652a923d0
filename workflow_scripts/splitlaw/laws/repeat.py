"""The worth of repeated tokens, fitted where a table repeats enough of them."""

from dataclasses import replace

import numpy as np

from splitlaw.common.errors import UserError
from splitlaw.laws.fit import QUICK, fit_form
from splitlaw.laws.form import FORMS
from splitlaw.laws.repetition import REPETITIONS
from splitlaw.laws.table import Table

MIN_ROWS = 8
"""Rows with repetition below which the published constant is taken."""

REACH = (0.5, 200.0)
GRID = 9
ZOOMS = 3


def repetition_constant(table: Table, given: float | None) -> float:
    """R*: as given, fitted to the rows that repeat tokens, or the published constant.

    The fit minimises the objective of the plainest form over log R*, on a grid and then closer.
    """
    if given is not None:
        if not given > 0:
            raise UserError(f"repetitions is {given:g}; give a number above 0")
        return given
    again = (table.unique_pretrain < table.pretrain) | (table.unique_specialize < table.specialize)
    if again.sum() < MIN_ROWS:
        return REPETITIONS
    form = FORMS["chinchilla" if table.one_stage else "effective_tokens"]

    def misfit(log_constant: float) -> float:
        constant = float(np.exp(log_constant))
        return fit_form(form, replace(table, repetitions=constant), effort=QUICK).objective

    logs = np.linspace(np.log(REACH[0]), np.log(REACH[1]), GRID)
    try:
        for _ in range(ZOOMS):
            at = int(np.argmin([misfit(v) for v in logs]))
            best = float(np.exp(logs[at]))
            logs = np.linspace(logs[max(at - 1, 0)], logs[min(at + 1, GRID - 1)], GRID)
    except UserError:
        return REPETITIONS
    return best
