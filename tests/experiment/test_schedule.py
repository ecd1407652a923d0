from itertools import pairwise

from splitlaw.experiment.schedule import cooldown_start, learning_rate_factor


def factors(total: int | None, steps: int, warmup: int = 4) -> list[float]:
    return [
        learning_rate_factor(step, warmup=warmup, total=total, fraction=0.2)
        for step in range(steps)
    ]


def test_the_rate_rises_stays_constant_and_falls_to_zero():
    rates = factors(100, 101)
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[4:81] == [1.0] * 77
    assert all(later < earlier for earlier, later in pairwise(rates[80:]))
    assert rates[100] == 0.0


def test_a_run_follows_the_trunk_until_its_cooldown():
    assert factors(100, 81) == factors(None, 81)


def test_the_shortest_cooldown_is_one_step():
    assert cooldown_start(2, 0.2) == 1
    assert cooldown_start(1000, 0.2) == 800
