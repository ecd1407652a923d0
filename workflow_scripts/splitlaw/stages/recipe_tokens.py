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
from splitlaw.experiment.strategies import (
    JOINT_STREAM,
    MIXTURE,
    OPTIMAL,
    REPLAY_SHARES,
    REPLAYING,
    SINGLE,
    trunk_seed,
)

INDEPENDENT = "independent"
"""Value of a plan's `trunk` with which every domain has a trunk of its own."""


@dataclass(frozen=True, kw_only=True)
class RecipeTokens:
    """General and domain tokens of one strategy, in whole steps, and the predicted losses."""

    strategy: str
    """Name of the strategy."""
    pretrain_steps: int
    """D of every specialist, or of the one general model; with a base, after it."""
    specialize_steps: Mapping[str, int]
    """Steps of each domain's branch; of its text alone where all text is in one stream."""
    replay: Mapping[str, float]
    """Share of general text in the branches of some domains."""
    predicted_loss: Mapping[str, float]
    """Loss that the law predicts on each domain, nats per token; NaN if it has no prediction."""
    interval: Mapping[str, tuple[float, float]]
    """90% interval of `predicted_loss`."""
    law: str
    """The form or forms of the law that predict; empty where no law covers the strategy."""
    unique_tokens: Mapping[str, int]
    """Tokens of a domain's text that the recipe reads, where these are not all."""
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
        return self.trunk == INDEPENDENT and bool(trained) and self.strategy not in SINGLE

    @property
    def mixture(self) -> dict[str, int]:
        """Steps of each domain in the stream of a single model; empty for other strategies."""
        if self.strategy not in SINGLE:
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
                replay=self.replay.get(domain, 0.0) if steps else 0.0,
                unique_tokens=self.unique_tokens.get(domain, 0) if steps else 0,
            )
            for domain, steps in self.specialize_steps.items()
        }

    def runs_by_seed(self, seed: int) -> dict[int, dict[str, Run]]:
        """`runs` by the seed that each is trained with, in a recipe of this seed."""
        found: dict[int, dict[str, Run]] = {}
        for domain, run in self.runs.items():
            found.setdefault(self.seed_of(domain, seed), {})[domain] = run
        return found

    @property
    def steps(self) -> int:
        """Steps of all models together, a shared trunk counted once."""
        trunks = len(self.specialize_steps) if self.independent else 1
        return trunks * self.pretrain_steps + sum(self.specialize_steps.values())


def read_recipes(
    plan_file: Path,
    *,
    batch_tokens: int,
    replay: Mapping[str, float] | None = None,
    base_tokens: int = 0,
) -> dict[str, RecipeTokens]:
    """The recipes of a plan and of its baselines by strategy, rounded to whole steps.

    `replay` are the shares of domains where the plan has none. `base_tokens` of the plan's general
    tokens are those of its base, if it has one.
    """
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
    entries = [_in_branches(entry, replay or {}) for entry in entries]
    if plan.get("base"):
        entries = [{**e, "pretrain_tokens": e["pretrain_tokens"] - base_tokens} for e in entries]
        known = {entry["strategy"] for entry in entries}
        entries += [e for e in _of_base(entries[0]) if e["strategy"] not in known]
    return {
        entry["strategy"]: _recipe(
            {**entry, "trunk": plan["trunk"], "unique_tokens": plan.get("unique_tokens", {})},
            names.get(entry["law"], entry["law"] or ""),
            batch_tokens,
        )
        for entry in entries
    }


def _in_branches(entry: Mapping[str, Any], replay: Mapping[str, float]) -> dict[str, Any]:
    """The entry with `specialize_tokens` that count all tokens of a branch, and its shares.

    Those of an entry with shares of its own are (1 - r) of the branch. For other entries the law
    predicts no loss with `replay`.
    """
    own = entry.get("replay")
    if own is None and (entry["strategy"] not in REPLAYING or not any(replay.values())):
        return {**entry, "replay": {}}
    if own is None:
        unknown = {domain: [None] * 3 for domain in entry["predicted_loss"]}
        predicted = {**entry["predicted_loss"], **{d: unknown[d] for d in replay if d in unknown}}
        return {**entry, "replay": replay, "predicted_loss": predicted}
    tokens = entry["specialize_tokens"].items()
    if entry["strategy"] in SINGLE:
        return {**entry, "replay": {}}
    branches = {domain: amount / (1 - own.get(domain, 0)) for domain, amount in tokens}
    return {**entry, "specialize_tokens": branches, "replay": own}


def _of_base(optimal: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The other strategies with a base: the tokens of the plan with other shares, or shuffled."""
    branches = optimal["specialize_tokens"]
    unknown = {domain: [None] * 3 for domain in branches}
    common = {**optimal, "law": None, "predicted_loss": unknown}
    entries = [
        {**common, "strategy": strategy, "replay": dict.fromkeys(branches, share)}
        for strategy, share in REPLAY_SHARES.items()
    ]
    replayed = {domain: branches[domain] * optimal["replay"].get(domain, 0) for domain in branches}
    mixed = {
        "strategy": MIXTURE,
        "replay": {},
        "pretrain_tokens": optimal["pretrain_tokens"] + sum(replayed.values()),
        "specialize_tokens": {domain: branches[domain] - replayed[domain] for domain in branches},
    }
    return [*entries, {**common, **mixed}]


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
        replay={domain: share for domain, share in entry["replay"].items() if share},
        law=law,
        # General text is read whole: a limit of it is the amount that there is.
        unique_tokens={d: int(n) for d, n in entry["unique_tokens"].items() if d != GENERAL},
        trunk=entry["trunk"],
    )
