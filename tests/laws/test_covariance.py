"""The algebra of the covariance against matrices that are written out in full."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal

from laws.planted import cells, law
from splitlaw.laws import FORMS
from splitlaw.laws.hyper import Distances, start_hyper, trunk_covariance
from splitlaw.laws.kernel import unsplit_part
from splitlaw.laws.mean import Mean
from splitlaw.laws.posterior import left_out_errors, linearised
from splitlaw.laws.read import read_table
from splitlaw.laws.rows import make_frame, make_rows


def seeded_rows():
    """Rows of two domains with two seeds, at D = 0 and D' = 0 too, and with unequal weights."""
    truth = law("two_skills")
    grid = {"sizes": (1e7, 4e7), "pretrain": (0.0, 5e8, 2e9), "specialize": (0.0, 1e8, 1e9)}
    frame = truth.predict(cells(truth.domains, **grid))
    both = pd.concat([frame.assign(seed=0), frame[frame["params"] == 1e7].assign(seed=1)])
    rng = np.random.default_rng(0)
    both["loss"] *= np.exp(0.01 * rng.standard_normal(len(both)))
    table = read_table(both.drop(columns=[c for c in both if c.endswith(("_low", "_high"))])).fit
    rows = make_rows(table, make_frame(table))
    return replace(rows, weight=rng.uniform(0.2, 1.0, len(rows)))


@pytest.fixture(scope="module")
def rows():
    return seeded_rows()


@pytest.fixture(scope="module")
def hyper(rows):
    start = start_hyper(rows)
    assert {"trunk", "unsplit", "unsplit_row"} <= set(start.names)
    return start.at(start.vector + 0.3 * np.random.default_rng(1).standard_normal(len(start.names)))


@pytest.fixture(scope="module")
def likelihood(rows):
    mean = Mean(FORMS["two_skills"], rows.frame, rows.domains)
    vector = mean.centre + 0.1 * np.random.default_rng(2).standard_normal(mean.size)
    return linearised(mean, rows, vector, Distances(rows))


def written_out(rows, hyper) -> np.ndarray:
    """The covariance of the rows about the mean [n, n], entry by entry of its definition."""
    x, z = rows.coordinates, rows.unsplit.astype(float)
    kernel = hyper.kernel(rows)
    own = kernel.smooth(x, x) + kernel.slope**2 * x @ x.T
    own += kernel.unsplit**2 * np.outer(z, z) * unsplit_part(x, x)
    own *= rows.domain[:, None] == rows.domain[None]
    own += np.diag(hyper.noise(rows))
    shared = (rows.trunk[:, None] == rows.trunk[None]) & (rows.trunk >= 0)[:, None]
    return own + hyper["trunk"] ** 2 * shared


def test_rows_share_sites_groups_and_trunks(rows):
    assert rows.trunk_identified and rows.trunks == 3
    assert (rows.trunk[rows.x.D == 0] == -1).all() and (rows.trunk[rows.x.D > 0] >= 0).all()
    # 2 sizes x (3 D x 3 D' - 1); each of both domains; seeds are at one site.
    assert len(rows.sites[0]) == 16 and len(rows.groups[0]) == 32 and len(rows) == 48


def test_solve_determinant_and_diagonal_are_those_of_the_full_matrix(rows, hyper):
    covariance, full = trunk_covariance(rows, hyper, Distances(rows)), written_out(rows, hyper)
    inverse = np.linalg.inv(full)
    v = np.random.default_rng(0).standard_normal((len(rows), 3))
    np.testing.assert_allclose(covariance.solve(v), inverse @ v, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(covariance.logdet, np.linalg.slogdet(full)[1], rtol=1e-10)
    np.testing.assert_allclose(covariance.inverse_diagonal, np.diag(inverse), rtol=1e-8)


def test_parts_of_the_gradient_are_those_of_the_full_matrix(rows, hyper, likelihood):
    covariance, _ = likelihood.covariance(hyper)
    u = np.c_[rows.trunk_matrix, likelihood.jacobian]
    mean_part = likelihood.jacobian @ likelihood.mean.prior_covariance @ likelihood.jacobian.T
    inverse = np.linalg.inv(written_out(rows, hyper) + mean_part)
    alpha = inverse @ likelihood.target
    np.testing.assert_allclose(covariance.inverse_diagonal, np.diag(inverse), rtol=1e-6)
    np.testing.assert_allclose(
        covariance.inverse_of_u, u.T @ inverse @ u, rtol=1e-5, atol=1e-6 * np.abs(inverse).max()
    )
    groups = np.eye(len(rows.groups[0]))[rows.group]
    whole = groups.T @ (inverse - np.outer(alpha, alpha)) @ groups
    found = covariance.inverse_of_groups(covariance.solve(likelihood.target[:, None])[:, 0])
    for part, block in zip(rows.group_slices, found, strict=True):
        np.testing.assert_allclose(block, whole[part, part], atol=1e-6 * np.abs(whole).max())


def test_left_out_errors_are_those_of_a_fit_without_the_row(rows, hyper):
    full = written_out(rows, hyper)
    residual = np.random.default_rng(3).standard_normal(len(rows))
    found = left_out_errors(trunk_covariance(rows, hyper, Distances(rows)), residual)
    for row in (0, 17, len(rows) - 1):
        others = np.arange(len(rows)) != row
        weights = np.linalg.solve(full[np.ix_(others, others)], full[others, row])
        variance = full[row, row] - weights @ full[others, row]
        error = (residual[row] - weights @ residual[others]) / np.sqrt(variance)
        assert found[row] == pytest.approx(error, rel=1e-6)


def test_the_log_density_is_that_of_a_normal_distribution(rows, hyper, likelihood):
    spread = likelihood.jacobian @ likelihood.mean.prior_covariance @ likelihood.jacobian.T
    normal = multivariate_normal(np.zeros(len(rows)), written_out(rows, hyper) + spread)
    assert likelihood.log_density(hyper) == pytest.approx(normal.logpdf(likelihood.target))


def test_the_gradient_of_the_marginal_likelihood_agrees_with_finite_differences(hyper, likelihood):
    _, gradient = likelihood.objective(hyper)
    for j, name in enumerate(hyper.names):
        step = np.zeros(len(hyper.names))
        step[j] = 1e-4
        up, down = (likelihood.objective(hyper.at(hyper.vector + s))[0] for s in (step, -step))
        assert gradient[j] == pytest.approx((up - down) / 2e-4, rel=1e-4, abs=1e-5), name


def test_prior_precision_and_covariance_are_inverse(likelihood):
    mean = likelihood.mean
    product = mean.prior_precision @ mean.prior_covariance
    np.testing.assert_allclose(product, np.eye(mean.size), atol=1e-10)
    np.testing.assert_allclose(mean.prior_root @ mean.prior_root.T, mean.prior_covariance)
