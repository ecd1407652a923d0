import numpy as np
from scipy.optimize import minimize, nnls, rosen, rosen_der
from splitlaw.laws.minimise import minimise
from splitlaw.laws.search import best_linear


def test_many_bounded_problems_end_where_scipy_ends():
    starts = np.random.default_rng(0).uniform(-1.5, 1.5, size=(20, 3))
    low, high = np.array([-2.0, -2.0, -2.0]), np.array([0.7, 2.0, 2.0])

    def objective(x, _which):
        return np.array([rosen(v) for v in x]), np.array([rosen_der(v) for v in x])

    hessian = np.tile(np.eye(3) * 100, (20, 1, 1))
    end = minimise(objective, starts, (low, high), hessian, tolerance=1e-14)
    reference = minimize(
        rosen, [0.5, 0.5, 0.5], jac=rosen_der, bounds=list(zip(low, high, strict=True))
    )
    assert end.converged.all()
    np.testing.assert_allclose(end.value.min(), reference.fun, rtol=1e-6)
    assert (end.x <= high).all() and (end.x >= low).all()


def test_least_squares_over_supports_is_non_negative_least_squares():
    rng = np.random.default_rng(1)
    for _ in range(30):
        matrix, target = rng.normal(size=(12, 4)), rng.normal(size=12)
        solved, left = best_linear(matrix.T @ matrix, matrix.T @ target, target @ target)
        expected, norm = nnls(matrix, target)
        np.testing.assert_allclose(solved, expected, atol=1e-8)
        np.testing.assert_allclose(left, norm**2, atol=1e-8)
