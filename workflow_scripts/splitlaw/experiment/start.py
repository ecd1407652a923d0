"""The runs with which an adaptive grid starts."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping

from splitlaw.experiment.grid import Grid
from splitlaw.experiment.lineage import Lineage, Run, trained_steps

Design = list[tuple[str, Run]]
"""Runs with the names of their sizes."""


def start_design(grids: Mapping[str, Grid], *, domain: str, runs: int, seed: int) -> Design:
    """The first `runs` runs of a domain, or of `general`; all of them if there are fewer.

    The size and D of a run are those of which the fewest are used so far, and so is its D', so that
    the first runs have every size, D and D'. Ties are broken by a pseudorandom order. A smaller
    number of runs gives the beginning of the same design. The designs of several domains have the
    same sizes and D, whose trunks they share; the design of a domain does not depend on the others.
    """
    left = [(size, run) for size, grid in grids.items() for run in grid.runs(domain)]
    used: Counter[tuple[object, ...]] = Counter()

    def order_of_pair(pair: tuple[str, int]) -> tuple[int, int, int, str]:
        counts = [used["size", pair[0]], used["pretrain", pair[1]]]
        return sum(map(bool, counts)), sum(counts), used[pair], _rank(seed, *pair)

    def order_of_run(entry: tuple[str, Run]) -> tuple[int, str]:
        size, run = entry
        level = run.specialize_steps
        return used["specialize", level], _rank(seed, size, run.pretrain_steps, domain, level)

    design: Design = []
    while left and len(design) < runs:
        pair = min({(size, run.pretrain_steps) for size, run in left}, key=order_of_pair)
        of_pair = [entry for entry in left if (entry[0], entry[1].pretrain_steps) == pair]
        chosen = min(of_pair, key=order_of_run)
        design.append(chosen)
        left.remove(chosen)
        used.update([pair, *_levels([chosen])])
    return design


def least_start(grids: Mapping[str, Grid], *, domain: str, seed: int) -> int:
    """The smallest number of runs with which the design has every size, D and D' of the domain."""
    count = sum(len(grid.runs(domain)) for grid in grids.values())
    design = start_design(grids, domain=domain, runs=count, seed=seed)
    wanted = _levels(design)
    return next(n for n in range(1, count + 1) if _levels(design[:n]) == wanted)


def design_steps(design: Iterable[tuple[str, Run]], cooldown_fraction: float) -> int:
    """Steps that train the runs of a seed when every segment that they share is trained once."""
    lineages: dict[str, list[Lineage]] = {}
    for size, run in design:
        lineages.setdefault(size, []).append(run.lineage(cooldown_fraction))
    return sum(map(trained_steps, lineages.values()))


def _levels(design: Iterable[tuple[str, Run]]) -> set[tuple[object, ...]]:
    """Every size, D and D' of the runs."""
    levels: set[tuple[object, ...]] = set()
    for size, run in design:
        levels |= {
            ("size", size),
            ("pretrain", run.pretrain_steps),
            ("specialize", run.specialize_steps),
        }
    return levels


def _rank(*names: object) -> str:
    """A pseudorandom order that stays the same for old runs when a grid gets new ones."""
    return hashlib.sha256(" ".join(map(str, names)).encode()).hexdigest()
