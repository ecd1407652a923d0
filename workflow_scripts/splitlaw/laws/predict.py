"""What `predict_loss.py` does: a table of points in, the same with losses out."""

import os

from splitlaw.common.files import write_text
from splitlaw.laws.result import FitResult
from splitlaw.laws.table import read_points


def predict_file(
    law: str | os.PathLike[str], points: str | os.PathLike[str], out: str | os.PathLike[str]
) -> None:
    """Read a fit and a table of points, and write the points with `loss` and its interval."""
    fit = FitResult.load(law)
    predicted = fit.predict(read_points(points))
    write_text(out, predicted.to_csv(index=False))
