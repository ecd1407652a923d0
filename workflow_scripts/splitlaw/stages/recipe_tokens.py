"""The tokens of every strategy, read from a plan and rounded to whole steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from splitlaw.common.errors import UserError
from splitlaw.common.files import read_json
from splitlaw.experiment.lineage import GENERAL, Run
from splitlaw.experiment.strategies import JOINT, JOINT_STREAM, OPTIMAL, trunk_seed

INDEPENDENT = "independent"
"""Value of a plan's `trunk` with which every domain has a trunk of its own."""


@dataclass(frozen=True, kw_only=True)
class RecipeTokens:
    """General and domain tokens of one strategy, in whole steps, and the predicted losses."""

    strategy: str
    """Name of the strategy."""
    pretrain_steps: int
    """D of every specialist, or of the one general model."""
    specialize_steps: Mapping[str, int]
    """D' of each domain."""
    predicted_loss: Mapping[str, float]
    """Loss that the law predicts on each domain, nats per token; NaN if it has no prediction."""
    interval: Mapping[str, tuple[float, float]]
    """90% interval of `predicted_loss`."""
    law: str
    """The form or forms of the law that predict; empty where no law covers the strategy."""
    trunk: str
    """`shared`, or `independent` if the specialists of each domain have a trunk of their own."""

    def seed_of(self, domain: str, seed: int) -> int:
        """Seed of initialisation and data order of a domain's model, in a recipe of this seed."""
        if not self.independent:
            return seed
        return trunk_seed(seed, list(self.specialize_steps).index(domain))

    @property
    def independent(self) -> bool:
        """Whether every domain's model has a trunk of its own; a single model never has."""
        trained = self.pretrain_steps and all(self.specialize_steps.values())
        return self.trunk == INDEPENDENT and bool(trained) and self.strategy != JOINT

    @property
    def mixture(self) -> dict[str, int]:
        """Steps of each domain in the one stream of `joint`; empty for other strategies."""
        if self.strategy != JOINT:
            return {}
        amounts = {GENERAL: self.pretrain_steps, **self.specialize_steps}
        return {domain: steps for domain, steps in amounts.items() if steps}

    @property
    def runs(self) -> dict[str, Run]:
        """The run whose model is used for each domain."""
        if self.mixture:
            run = Run(domain=JOINT_STREAM, pretrain_steps=0, specialize_steps=self.steps)
            return dict.fromkeys(self.specialize_steps, run)
        return {
            domain: Run(
                domain=domain if steps else GENERAL,
                pretrain_steps=self.pretrain_steps,
                specialize_steps=steps,
            )
            for domain, steps in self.specialize_steps.items()
        }

    @property
    def steps(self) -> int:
        """Steps of all models together, a shared trunk counted once."""
        trunks = len(self.specialize_steps) if self.independent else 1
        return trunks * self.pretrain_steps + sum(self.specialize_steps.values())


def read_recipes(plan_file: Path, *, batch_tokens: int) -> dict[str, RecipeTokens]:
    """The recipes of a plan and of its baselines by strategy, rounded to whole steps."""
    plan = read_json(plan_file)
    each = {name: round(t / batch_tokens) for name, t in plan["specialize_tokens"].items()}
    unsplit = [name for name, steps in each.items() if not steps]
    if plan["trunk"] == INDEPENDENT and unsplit:
        raise UserError(
            f"{plan_file}: an independent trunk for {unsplit[0]}, which has no tokens of its own; "
            "plan with --trunk shared, or without that domain"
        )
    mixed = [law["law"] for law in plan["candidates"] if law["weight"] > 0] or [plan["law"]]
    names = {"mean": f"the mean of {' and '.join(mixed)}" if len(mixed) > 1 else mixed[0]}
    entries = [{**plan, "strategy": OPTIMAL, "law": "mean"}, *plan["baselines"]]
    return {
        entry["strategy"]: _recipe(
            {**entry, "trunk": plan["trunk"]},
            names.get(entry["law"], entry["law"] or ""),
            batch_tokens,
        )
        for entry in entries
    }


def _recipe(entry: Mapping[str, Any], law: str, batch_tokens: int) -> RecipeTokens:
    predicted = {
        domain: [np.nan if number is None else float(number) for number in loss]
        for domain, loss in entry["predicted_loss"].items()
    }
    return RecipeTokens(
        strategy=entry["strategy"],
        pretrain_steps=round(entry["pretrain_tokens"] / batch_tokens),
        specialize_steps={
            domain: round(tokens / batch_tokens)
            for domain, tokens in entry["specialize_tokens"].items()
        },
        predicted_loss={domain: value for domain, (value, _, _) in predicted.items()},
        interval={domain: (low, high) for domain, (_, low, high) in predicted.items()},
        law=law,
        trunk=entry["trunk"],
    )
