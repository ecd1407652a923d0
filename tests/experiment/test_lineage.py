import itertools

import pytest

from splitlaw.common.errors import UserError
from splitlaw.experiment.lineage import (
    GENERAL,
    Leg,
    Run,
    general_part,
    nodes,
    ordered,
    trained_steps,
)


def path(domain: str, pretrain: int, specialize: int):
    return Run(domain=domain, pretrain_steps=pretrain, specialize_steps=specialize).path(0.2)


def test_a_long_branch_stays_at_constant_rate_before_it_cools_down():
    assert path("law", 50, 50) == (
        Leg(domain=GENERAL, total=None, stop=50),
        Leg(domain="law", total=None, stop=80),
        Leg(domain="law", total=100, stop=100),
    )


def test_a_short_branch_cools_down_from_general_text():
    assert path("law", 90, 10) == (
        Leg(domain=GENERAL, total=None, stop=80),
        Leg(domain=GENERAL, total=100, stop=90),
        Leg(domain="law", total=100, stop=100),
    )


def test_unsplit_and_scratch_have_one_stream():
    assert {leg.domain for leg in path(GENERAL, 100, 0)} == {GENERAL}
    assert {leg.domain for leg in path("law", 0, 100)} == {"law"}


def step_by_step(run_path):
    """The history of a run, one step at a time: what decides its state."""
    history, begin = [], 0
    for leg in run_path:
        for step in range(begin, leg.stop):
            history.append((leg.domain, leg.total, step))
        begin = leg.stop
    return tuple(history)


def test_sharing_is_counted_as_brute_force_over_steps_counts_it():
    runs = [path(GENERAL, total, 0) for total in (12, 20, 25)] + [
        path(domain, pretrain, specialize)
        for domain, pretrain, specialize in itertools.product(
            ["law", "code"], [0, 8, 16], [2, 5, 9]
        )
    ]
    distinct = {
        history[:n] for history in map(step_by_step, runs) for n in range(1, len(history) + 1)
    }
    assert trained_steps(runs) == len(distinct)


def test_parents_come_first():
    seen = set()
    for node in ordered(nodes([path("law", 50, 50), path("law", 50, 100), path("code", 90, 10)])):
        assert len(node) == 1 or node[:-1] in seen
        seen.add(node)


def test_general_part_is_shared_by_all_domains():
    assert general_part(path("law", 90, 10)) == general_part(path("code", 90, 10))


@pytest.mark.parametrize("run", [("law", 5, 0), (GENERAL, 5, 5), ("law", -1, 3), (GENERAL, 0, 0)])
def test_a_run_that_makes_no_sense_is_refused(run):
    with pytest.raises(UserError):
        Run(domain=run[0], pretrain_steps=run[1], specialize_steps=run[2])
