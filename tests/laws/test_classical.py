"""The classical fit: the objective of Hoffmann et al. 2022, and laws that are recovered."""

import time

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from laws.planted import cells, law, table
from splitlaw.laws import FORMS, fit_table

TWO_STAGE = [name for name, form in FORMS.items() if form.stages == 2]


def published(rows: int = 240, noise: float = 0.01) -> pd.DataFrame:
    """A table of the parameters that Besiroglu et al. 2024 (arXiv:2404.10102) published."""
    rng = np.random.default_rng(0)
    n, d = 10 ** rng.uniform(7.6, 10.2, rows), 10 ** rng.uniform(8.9, 11.6, rows)
    loss = (1.8172 + 482.01 / n**0.3478 + 2085.43 / d**0.3658) * np.exp(
        noise * rng.standard_t(3, rows)
    )
    columns = {"params": n, "pretrain_tokens": d, "specialize_tokens": 0, "domain": "web"}
    return pd.DataFrame({**columns, "loss": loss})


def classical(frame: pd.DataFrame, name: str, draws: int = 0):
    return fit_table(frame, law=name, discrepancy="none", draws=draws)


def test_chinchilla_reaches_the_best_of_many_scipy_starts_in_little_time():
    frame = published()
    n, d, y = (np.log(frame[c]) for c in ("params", "pretrain_tokens", "loss"))

    def objective(p):
        e, a, b, alpha, beta = p
        parts = [a - alpha * n, b - beta * d, np.full(len(frame), e)]
        r = np.abs(np.logaddexp.reduce(parts, axis=0) - y)
        return np.where(r < 1e-3, 0.5 * r * r, 1e-3 * (r - 5e-4)).sum()

    starts = [(0.5, a, b, 0.4, 0.4) for a in (4, 7) for b in (5, 9)]
    best = min(minimize(objective, s, method="L-BFGS-B", tol=1e-15).fun for s in starts)
    began = time.process_time()
    fit = classical(frame, "chinchilla", draws=100)
    assert time.process_time() - began < 0.3  # 0.07 s; a busy machine takes longer
    assert fit.converged and fit.objective <= best + 1e-10


def test_published_parameters_are_recovered_without_noise():
    fit = classical(published(noise=0.0), "chinchilla")
    assert fit.objective < 1e-12
    expected = {"E": 1.8172, "A": 482.01, "alpha": 0.3478, "B": 2085.43, "beta": 0.3658}
    for name, value in expected.items():
        assert fit.params.loc["web", name] == pytest.approx(value, rel=1e-3)


@pytest.mark.parametrize("name", TWO_STAGE)
def test_a_planted_law_without_noise_is_recovered(name):
    truth = law(name)
    fit = classical(table(truth), name)
    assert fit.converged and fit.objective < 1e-9
    far = cells(truth.domains, sizes=(2.4e8,), pretrain=(8e9,), specialize=(2e9,))
    np.testing.assert_allclose(fit.predict(far)["loss"], truth.predict(far)["loss"], rtol=2e-3)


def test_intervals_of_parameters_contain_the_estimates_and_warn(tmp_path):
    fit = classical(published(), "chinchilla", draws=100)
    bounds = fit.conf_int()
    for name, value in fit.params.loc["web"].items():
        low, high = bounds.loc[("web", name)]
        assert low < value < high
    assert any("no discrepancy" in w for w in fit.warnings)
    assert fit.candidates[0]["objective"] == fit.objective
    assert classical(published(60), "chinchilla").conf_int().isna().all().all()


def test_of_several_forms_the_lowest_objective_predicts():
    fit = classical(table(law("coupled"), noise=2e-3), ["two_skills", "coupled"])
    assert fit.law == "coupled" and list(fit.weights) == ["coupled"]
    assert [c["weight"] for c in fit.candidates if c["law"] == "two_skills"] == [0.0]
