"""A plan in plain text, for the terminal."""

from collections.abc import Mapping
from typing import Any


def summarise(plan: Mapping[str, Any]) -> str:
    """What to train, what to expect of it and of today's recipes, and what to beware of."""
    lines = [
        f"{plan['flops']:.3g} FLOPs, {plan['params']:.3g} parameters, {plan['trunk']} trunk",
        f"{'':<22}{'tokens':>10}{'share':>8}",
        *_split(plan),
        "",
        f"{'':<22}{'mean loss':>10}{'90%':>18}{'worse in':>10}",
        _row("this split", plan["predicted_mean_loss"], None),
    ]
    lines += [
        _row(entry["strategy"], entry["predicted_mean_loss"], entry["probability_worse"])
        for entry in plan["baselines"]
    ]
    lines += [f"warning: {warning}" for warning in plan["warnings"]]
    return "\n".join(lines)


def _split(plan: Mapping[str, Any]) -> list[str]:
    special = plan["specialize_tokens"]
    models = len(special) if plan["trunk"] == "independent" else 1
    general = models * plan["pretrain_tokens"]
    total = max(general + sum(special.values()), 1)
    told = [("general", general), *special.items()]
    lines = [f"{name:<22}{tokens:>10.3g}{tokens / total:>8.1%}" for name, tokens in told]
    low, high = plan["interval"]["fraction_general"]
    if low < high:
        lines[0] += f"  (90%: {low:.1%} to {high:.1%})"
    return lines


def _row(name: str, loss: list[float | None] | None, worse: float | None) -> str:
    value, low, high = loss or (None, None, None)
    if value is None:
        return f"{name:<22}{'infinite':>10}"
    interval = "" if low is None or high is None or low == high else f"{low:.4f} to {high:.4f}"
    share = "" if worse is None else f"{worse:.0%}"
    return f"{name:<22}{value:>10.4f}{interval:>18}{share:>10}".rstrip()
