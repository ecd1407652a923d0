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
from splitlaw.experiment.strategies import JOINT, JOINT_STREAM, OPTIMAL


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
        """Steps of all models together, their shared trunk counted once."""
        return self.pretrain_steps + sum(self.specialize_steps.values())


def read_recipes(plan_file: Path, *, batch_tokens: int) -> dict[str, RecipeTokens]:
    """The recipes of a plan and of its baselines by strategy, rounded to whole steps."""
    plan = read_json(plan_file)
    if plan["trunk"] != "shared":
        raise UserError(
            f"{plan_file}: a plan with trunk {plan['trunk']}, but final models share one trunk; "
            "plan with --trunk shared"
        )
    mixed = [law["law"] for law in plan["candidates"] if law["weight"] > 0] or [plan["law"]]
    names = {"mean": f"the mean of {' and '.join(mixed)}" if len(mixed) > 1 else mixed[0]}
    entries = [{**plan, "strategy": OPTIMAL, "law": "mean"}, *plan["baselines"]]
    return {
        entry["strategy"]: _recipe(entry, names.get(entry["law"], entry["law"] or ""), batch_tokens)
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
    )
