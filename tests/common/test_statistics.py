import numpy as np
import pytest

from splitlaw.common.statistics import NORMAL_90, mean_over_seeds


def test_one_seed_has_the_error_over_documents():
    mean = mean_over_seeds(np.array([0.2]), 0.1)
    assert (mean.value, mean.stderr, mean.spread) == (0.2, 0.1, None)
    assert mean.reach == pytest.approx(0.1 * NORMAL_90)


def test_equal_seeds_leave_the_error_over_documents():
    mean = mean_over_seeds(np.array([0.2, 0.2]), 0.1)
    assert mean.stderr == pytest.approx(0.1)
    assert mean.reach == pytest.approx(0.1 * NORMAL_90)


@pytest.mark.parametrize(("document_sd", "seed_sd", "seeds"), [(0.01, 1.0, 2), (0.3, 1.0, 3)])
def test_intervals_cover_the_mean_over_all_documents_and_seeds(document_sd, seed_sd, seeds):
    rng = np.random.default_rng(0)
    documents = rng.normal(0, document_sd, 4000)  # common to the seeds of an experiment
    values = documents[:, None] + rng.normal(0, seed_sd, (4000, seeds))
    means = [mean_over_seeds(row, document_sd) for row in values]
    covered = np.mean([abs(mean.value) <= mean.reach for mean in means])
    # Below 90%, because the degrees of freedom are estimated; normal quantiles cover 82% or less.
    assert 0.86 < covered < 0.92
