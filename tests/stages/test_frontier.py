import numpy as np
import pandas as pd
import pytest
from planted_tokens import job_of

from splitlaw.common.errors import UserError
from splitlaw.common.files import read_json
from splitlaw.experiment.columns import FRONTIER
from splitlaw.experiment.settings import ExecutionConfig
from splitlaw.laws import FitResult
from splitlaw.planner import plan
from splitlaw.report.frontier import write_frontier
from splitlaw.stages.frontier import measure
from splitlaw.stages.regret import estimate_regret, fit_curve, mean_losses

FRACTIONS = np.array([0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9])


def valley(x):
    """A convex curve that is no polynomial, with its minimum near 0.28."""
    return 3 + 0.05 * x**-0.4 + 0.3 * (1 - x) ** -0.35


def planted(noise, seed=0):
    rng = np.random.default_rng(seed)
    rows = [
        {
            "size": "tiny",
            "budget": 1,
            "seed": number,
            "fraction_general": f,
            "domain": name,
            "predicted_loss": valley(f),
            "loss": valley(f) + 0.01 * number + noise * rng.standard_normal(),
        }
        for number in (0, 1)
        for f in FRACTIONS
        for name in ("law", "code")
    ]
    return pd.DataFrame(rows)


def test_the_minimum_is_that_of_the_curve_and_not_of_the_lowest_loss():
    grid = np.linspace(0.05, 0.9, 1000)
    best = grid[valley(grid).argmin()]
    found = [estimate_regret(planted(0.004, seed), best)[1] for seed in range(20)]
    assert np.mean([abs(one.best - best) for one in found]) < 0.08
    assert np.mean([one.regret for one in found]) < 0.002
    inside = [one.best_interval[0] <= best <= one.best_interval[1] for one in found]
    assert np.mean(inside) > 0.6


def test_a_plan_away_from_the_minimum_has_regret():
    _, found = estimate_regret(planted(0.0005), 0.7)
    truth = valley(0.7) - valley(np.linspace(0.05, 0.9, 1000)).min()
    assert found.regret == pytest.approx(truth, rel=0.15)
    low, high = found.regret_interval
    assert low <= found.regret <= high
    assert "70%" in found.summary()


def test_each_seed_has_its_own_offset():
    means = mean_losses(planted(0.0))
    x, y, seeds = (means[name].to_numpy() for name in ("fraction_general", "loss", "seed"))
    apart = fit_curve(x, y + 0.5 * seeds, seeds)
    assert apart.minimum[0] == pytest.approx(fit_curve(x, y, seeds).minimum[0], abs=1e-3)


def test_too_few_fractions_are_refused():
    few = planted(0.0).query("fraction_general < 0.35")
    with pytest.raises(UserError, match="give at least 7"):
        estimate_regret(few, 0.2)


def planted_law(draws):
    """A law of two domains, and draws scattered around it."""
    values = {"E": 1, "A": 18, "alpha": 0.3, "F": 30, "phi": 0.25, "B": 42, "beta": 0.3}
    values |= {"kappa": 0.05, "gamma": 0.95}
    domains = {
        "law": values,
        "medicine": {**values, "B": 50},
    }
    rng = np.random.default_rng(0)
    drawn = [
        {
            domain: {name: value * (1 + 0.01 * rng.normal()) for name, value in own.items()}
            for domain, own in domains.items()
        }
        for _ in range(draws)
    ]
    return FitResult.of_parameters("two_skills", domains, drawn=drawn)


@pytest.fixture
def job(tokens):
    return job_of(tokens, "frontier")


def test_every_fraction_is_trained_at_the_compute_of_the_plan(job, tmp_path):
    fit = planted_law(draws=20)
    made = plan(fit, flops=6e3 * 6400, params=1e3, flops_per_token=6e3)
    file = tmp_path / "plan.json"
    made.save(file)
    out = tmp_path / "seed0/losses.csv"
    execution = ExecutionConfig(compile=False, device="cpu", repeat=True)
    fractions = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    measure(job, fit, file, fractions, budget="6400", execution=execution, out=out)
    table = pd.read_csv(out)
    assert list(table) == FRONTIER
    assert set(table["fraction_general"]) == {*fractions, read_json(file)["fraction_general"]}
    spent = table.groupby("fraction_general").agg(
        {"pretrain_tokens": "first", "specialize_tokens": "sum"}
    )
    assert np.allclose(spent.sum(axis=1), 6400, atol=3 * 64)
    assert table["loss"].between(0.5, 5).all()
    text = write_frontier([out], plan_file=file, fit=fit, out=tmp_path / "frontier.csv")
    assert "regret" in text
    assert (tmp_path / "frontier.svg").exists()
