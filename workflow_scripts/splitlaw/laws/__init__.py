"""Scaling laws L(N, D, D') of pretraining and then specialising: fit, average, predict.

>>> from splitlaw.laws import fit_table
>>> fit = fit_table("losses.csv")                                        # doctest: +SKIP
"""

from splitlaw.laws import after_forms, forms, published_forms  # noqa: F401  (forms register themselves)
from splitlaw.laws.api import fit_table
from splitlaw.laws.form import FORMS, Form, Prior, register
from splitlaw.laws.member import Member
from splitlaw.laws.result import FitResult

__all__ = ["FORMS", "FitResult", "Form", "Member", "Prior", "fit_table", "register"]
