"""The table of `choose_domains`: the predicted loss for every number of domains, and a summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from splitlaw.corpus.domains.partitions import Partition
from splitlaw.experiment.lineage import GENERAL
from splitlaw.experiment.strategies import NO_SPLIT
from splitlaw.planner import Plan


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """A partition with the plan for it."""

    partition: Partition
    plan: Plan
    branch_tokens: int
    """Tokens that the branches of its domains were trained on."""

    @property
    def loss(self) -> tuple[float, float, float]:
        """Predicted mean loss of the best split with its 90% interval, nats per token."""
        value, low, high = self.plan.predicted_mean_loss
        assert value is not None and low is not None and high is not None
        return value, low, high


def domains_rows(found: Sequence[Predicted], *, budget_tokens: int) -> list[dict[str, Any]]:
    """Rows with the columns `DOMAINS`: one domain, which is no split, then every partition."""
    rows = [_row_of_one(found[0], budget_tokens)]
    for each in found:
        value, low, high = each.loss
        shares = each.plan.weights
        rows.append(
            {
                "k": len(each.partition.names),
                "merged": each.partition.merged,
                "predicted_loss": value,
                "predicted_low": low,
                "predicted_high": high,
                "trained_loss": None,
                "no_split_loss": _no_split(each.plan)[0],
                "fraction_general": each.plan.fraction_general,
                "pretrain_tokens": each.plan.pretrain_tokens,
                "branch_tokens": each.branch_tokens,
                "clusters": "; ".join(
                    f"{label} ({shares[name]:.0%})"
                    for name, label in zip(each.partition.names, each.partition.labels, strict=True)
                ),
            }
        )
    return rows


def _row_of_one(first: Predicted, budget_tokens: int) -> dict[str, Any]:
    """The row of one domain: no split, by the law of the first partition."""
    value, low, high = _no_split(first.plan)
    return {
        "k": 1,
        "merged": "",
        "predicted_loss": value,
        "predicted_low": low,
        "predicted_high": high,
        "trained_loss": None,
        "no_split_loss": value,
        "fraction_general": 1.0,
        "pretrain_tokens": budget_tokens,
        "branch_tokens": 0,
        "clusters": GENERAL,
    }


def _no_split(best: Plan) -> tuple[float | None, float | None, float | None]:
    (baseline,) = (entry for entry in best.baselines if entry.strategy == NO_SPLIT)
    value, low, high = baseline.predicted_mean_loss
    return value, low, high


def domains_summary(found: Sequence[Predicted], *, budget_tokens: int, size: str) -> list[str]:
    """The number of domains with the lowest predicted loss, and the effect of every merger."""
    best = min(found, key=lambda each: each.loss[0])
    value, low, high = best.loss
    tokens = f"{budget_tokens / 1e6:.2f}M tokens at size {size}"
    lines = [
        f"{len(best.partition.names)} domains have the lowest predicted loss for {tokens}: "
        f"{value:.4f} ({low:.4f} to {high:.4f}) nats per token."
    ]
    whole = {each.partition.number: each for each in found if not each.partition.merged}
    for each in found:
        if each.partition.merged:
            change = each.loss[0] - whole[each.partition.number].loss[0]
            lines.append(
                f"Of {each.partition.number} domains, merging the nearest two "
                f"({each.partition.merged}) changes it by {change:+.4f}."
            )
    return lines
