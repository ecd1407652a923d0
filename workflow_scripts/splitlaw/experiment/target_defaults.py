"""Values that the sections of the targets take from other sections where a key is not given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from splitlaw.experiment import domains_settings

SWEEP_FACTORS = (0.25, 0.5, 1, 2, 4)
"""Learning rates of the default sweep, relative to the one in use: two on either side, so that the
minimum is bracketed where that rate is wrong by less than a factor of 4."""

Known = Mapping[str, Any]
"""The other sections by name, after validation; one with a mistake is missing."""
Section = Mapping[str, Any]


def complete(name: str, given: Any, known: Known) -> Any:
    """The section `name` with its defaults, which the keys of `given` replace.

    It is returned as it is where it is no mapping, or where a section that it depends on has a
    mistake: validation reports both.
    """
    sections, defaults = DEFAULTS[name]
    if not isinstance(given, Mapping) or not sections <= set(known):
        return given
    return {**defaults(known, given), **given}


def _fitted_sizes(known: Known) -> list[str]:
    """The sizes that the law is fitted to."""
    return [size for size in known["sizes"] if size not in known.get("holdout_sizes", ())]


def _sweep(known: Known, given: Section) -> dict[str, Any]:
    fitted, grid = _fitted_sizes(known), known["grid"]
    return {
        "sizes": fitted if len(fitted) > 1 else list(known["sizes"]),
        "rates": [known["training"].learning_rate * factor for factor in SWEEP_FACTORS],
        "tokens": max(grid.fit.pretrain_tokens) or grid.trunk_tokens,
    }


def _compare(known: Known, given: Section) -> dict[str, Any]:
    final = known["final"]
    return {"sizes": [final.size], "budgets": [final.budget_tokens], "seeds": final.seeds}


def _frontier(known: Known, given: Section) -> dict[str, Any]:
    return dict(known["final"].model_dump(include={"size", "budget_tokens", "seeds"}))


def _scarcity(known: Known, given: Section) -> dict[str, Any]:
    final, unique = known["final"], known["grid"].unique_tokens
    return {
        "sizes": [final.size],
        "budget_tokens": final.budget_tokens,
        # Without branches on repeated text, the least amount that may be given: one batch.
        "unique_tokens": unique.values if unique else [known["training"].batch_tokens],
        "seeds": final.seeds,
    }


def _domains(known: Known, given: Section) -> dict[str, Any]:
    size = (_fitted_sizes(known) or list(known["sizes"]))[0]
    budget = known["final"].budget_tokens
    return domains_settings.completed(dict(given), size=size, budget_tokens=budget)


DEFAULTS: dict[str, tuple[set[str], Callable[[Known, Section], dict[str, Any]]]] = {
    "tune_learning_rate": ({"training", "grid", "sizes"}, _sweep),
    "compare": ({"final"}, _compare),
    "frontier": ({"final"}, _frontier),
    "scarcity": ({"final", "grid", "training"}, _scarcity),
    "choose_domains": ({"final", "sizes"}, _domains),
}
"""For each section, the sections that its defaults depend on, and the function that gives them."""
