"""The report of an experiment: one page that opens offline, and its figures.

>>> from pathlib import Path
>>> from splitlaw.report import make_report
>>> results = Path("results/default")
>>> make_report(results, out=results / "report.html", figures=results / "figures")  # doctest: +SKIP
"""

from splitlaw.report.build import make_report
from splitlaw.report.plan_page import write_plan_page
from splitlaw.report.table_report import report_table

__all__ = ["make_report", "report_table", "write_plan_page"]
