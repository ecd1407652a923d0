"""Scaling laws L(N, D, D') of pretraining and then specialising: fit, choose, predict.

>>> from splitlaw.laws import fit_table
>>> fit = fit_table("losses.csv")                                        # doctest: +SKIP
"""

from splitlaw.laws import coupled, leading, others  # noqa: F401  (forms register themselves)
from splitlaw.laws.api import fit_table
from splitlaw.laws.form import FORMS, Form, register
from splitlaw.laws.result import FitResult, Member

__all__ = ["FORMS", "FitResult", "Form", "Member", "fit_table", "register"]
