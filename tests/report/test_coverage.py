import numpy as np
import pandas as pd
import pytest

from splitlaw.laws import FitResult
from splitlaw.report.figures_coverage import positions, shares_inside

DRAWS = 200


@pytest.fixture
def fit():
    """A law without noise, whose draws differ in E alone, from 1 to 2."""
    law = {"E": 1.5, "A": 18, "alpha": 0.3, "B": 42, "beta": 0.3, "F": 30, "phi": 0.25}
    law |= {"kappa": 0.05, "gamma": 0.95}
    drawn = [{"law": {**law, "E": e}} for e in np.linspace(1, 2, DRAWS)]
    return FitResult.of_parameters("two_skills", {"law": law}, drawn=drawn)


def rows(fit, shifts):
    """Losses that differ from the law by `shifts`."""
    points = {"params": 1e5, "pretrain_tokens": 1e6, "specialize_tokens": 3e5, "domain": "law"}
    table = pd.DataFrame([points] * len(shifts))
    return table.assign(loss=fit.predict(table)["loss"] + shifts)


def test_the_position_of_a_loss_is_its_quantile_among_the_draws(fit):
    found = positions(fit, rows(fit, [-0.6, -0.25, 0.0, 0.25, 0.6]))
    assert found == pytest.approx([0, 0.25, 0.5, 0.75, 1], abs=1 / DRAWS)


def test_losses_that_are_draws_of_the_law_are_covered_as_often_as_nominal(fit):
    shifts = np.random.default_rng(0).uniform(-0.5, 0.5, 2000)
    assert shares_inside(positions(fit, rows(fit, shifts))) == pytest.approx(
        [0.5, 0.8, 0.9, 0.95], abs=0.03
    )


def test_the_central_interval_of_90_percent_is_that_of_predictions(fit):
    table = rows(fit, np.linspace(-0.6, 0.6, 13))
    predicted = fit.predict(table)
    inside = table["loss"].between(predicted["loss_low"], predicted["loss_high"])
    assert (np.abs(positions(fit, table) - 0.5) <= 0.45).tolist() == inside.tolist()
