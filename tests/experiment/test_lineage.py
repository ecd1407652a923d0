import itertools
from dataclasses import replace

import pytest

from splitlaw.common.errors import UserError
from splitlaw.experiment.lineage import (
    GENERAL,
    Run,
    Segment,
    general_prefix,
    in_training_order,
    prefixes,
    trained_steps,
)


def lineage_of(domain: str, pretrain: int, specialize: int):
    return Run(domain=domain, pretrain_steps=pretrain, specialize_steps=specialize).lineage(0.2)


def test_a_long_branch_keeps_a_constant_rate_until_its_cooldown():
    assert lineage_of("law", 50, 50) == (
        Segment(domain=GENERAL, total=None, stop=50),
        Segment(domain="law", total=None, stop=80),
        Segment(domain="law", total=100, stop=100),
    )


def test_a_short_branch_begins_its_cooldown_on_general_text():
    assert lineage_of("law", 90, 10) == (
        Segment(domain=GENERAL, total=None, stop=80),
        Segment(domain=GENERAL, total=100, stop=90),
        Segment(domain="law", total=100, stop=100),
    )


def test_unsplit_and_scratch_have_one_stream():
    assert {segment.domain for segment in lineage_of(GENERAL, 100, 0)} == {GENERAL}
    assert {segment.domain for segment in lineage_of("law", 0, 100)} == {"law"}


def test_branches_on_a_part_of_the_text_share_the_trunk_alone():
    run = Run(domain="law", pretrain_steps=50, specialize_steps=50)
    lineages = [replace(run, unique_tokens=unique).lineage(0.2) for unique in (0, 320, 640)]
    assert [segment.unique_tokens for segment in lineages[1]] == [0, 320, 320]
    assert trained_steps(lineages) == 50 + 3 * 50
    assert len(set(in_training_order(lineages))) == 3


def step_by_step(lineage):
    """The history of a run as one entry per step: all that determines its state."""
    history, begin = [], 0
    for segment in lineage:
        for step in range(begin, segment.stop):
            history.append((segment.domain, segment.total, step))
        begin = segment.stop
    return tuple(history)


def test_trained_steps_agree_with_a_count_of_distinct_histories():
    runs = [lineage_of(GENERAL, total, 0) for total in (12, 20, 25)] + [
        lineage_of(domain, pretrain, specialize)
        for domain, pretrain, specialize in itertools.product(
            ["law", "code"], [0, 8, 16], [2, 5, 9]
        )
    ]
    distinct = {
        history[:n] for history in map(step_by_step, runs) for n in range(1, len(history) + 1)
    }
    assert trained_steps(runs) == len(distinct)


def test_training_order_puts_every_prefix_before_its_continuations():
    seen = set()
    branches = [("law", 50, 50), ("law", 50, 100), ("code", 90, 10)]
    for lineage in in_training_order(prefixes(lineage_of(*branch) for branch in branches)):
        assert len(lineage) == 1 or lineage[:-1] in seen
        seen.add(lineage)


def test_the_general_prefix_is_shared_by_all_domains():
    assert general_prefix(lineage_of("law", 90, 10)) == general_prefix(lineage_of("code", 90, 10))


@pytest.mark.parametrize("run", [("law", 5, 0), (GENERAL, 5, 5), ("law", -1, 3), (GENERAL, 0, 0)])
def test_a_run_with_impossible_steps_is_refused(run):
    with pytest.raises(UserError):
        Run(domain=run[0], pretrain_steps=run[1], specialize_steps=run[2])


def test_replay_changes_the_stream_of_the_branch_alone():
    run = Run(domain="law", pretrain_steps=50, specialize_steps=50, replay=0.1)
    plain = lineage_of("law", 50, 50)
    assert [segment.stop for segment in run.lineage(0.2)] == [segment.stop for segment in plain]
    streams = [segment.domain for segment in run.lineage(0.2)]
    assert streams == [GENERAL, "law-replay-0.1", "law-replay-0.1"]
    assert run.mixture == {GENERAL: 1, "law": 9}


@pytest.mark.parametrize(
    ("replay", "general", "own"),
    [(0.0004, 1, 999), (0.9999, 999, 1), (0.5, 1, 1), (0.307, 307, 693)],
)
def test_a_mixture_has_the_nearest_share_of_replay(replay, general, own):
    run = Run(domain="law", pretrain_steps=5, specialize_steps=5, replay=replay)
    assert run.mixture == {GENERAL: general, "law": own}


@pytest.mark.parametrize(("domain", "replay"), [("law", 1.0), ("law", -0.1), (GENERAL, 0.5)])
def test_an_impossible_share_of_replay_is_refused(domain, replay):
    steps = {"pretrain_steps": 5, "specialize_steps": 5 if domain == "law" else 0}
    with pytest.raises(UserError, match="give a share from 0 to below 1"):
        Run(domain=domain, replay=replay, **steps)
