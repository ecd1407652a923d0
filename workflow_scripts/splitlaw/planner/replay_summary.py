"""The base, the replay and the general loss of a plan as text for the terminal."""

import math
from collections.abc import Iterable, Mapping
from typing import Any


def replay_lines(plan: Mapping[str, Any]) -> list[str]:
    """A line for the base, one for each branch, and the rise of general loss."""
    lines = []
    if plan.get("base"):
        lines += ["", _base(plan["base"])]
    if plan.get("replay") is None:
        return lines
    general = plan.get("general_loss") or {}
    lines += ["", f"{'branch':<22}{'replay':>10}{'general loss':>14}{'90%':>18}"]
    for name, share in plan["replay"].items():
        loss = general.get(name)
        text = f"{loss[0]:>14.4f}{f'{loss[1]:.4f} to {loss[2]:.4f}':>18}" if loss else ""
        lines.append(f"{name:<22}{share:>10.1%}{text}")
    rise = plan.get("general_loss_rise")
    if rise:
        limit = "" if rise["limit"] is None else f", limit {rise['limit']:.1%}"
        lines.append(
            f"general loss rises by {rise['mean']:.1%} on average, at most by "
            f"{rise['worst']:.1%}{limit}"
        )
        lines += _certainty(rise)
    return lines


def _certainty(rise: Mapping[str, Any]) -> list[str]:
    """How probable it is that new specialists keep the limit, and what that costs."""
    kept = rise.get("probability_kept")
    if not kept:
        return []
    text = (
        f"a new specialist keeps the limit with a probability of at least {_down(kept.values())}, "
        f"all of them together with at least {_down([rise['probability_all_kept']])}"
    )
    cost = rise.get("domain_loss_cost")
    if cost is None:
        return [text]
    return [f"{text}; the mean domain loss is {cost:.4f} higher than at the limit itself"]


def _down(probabilities: Iterable[float]) -> str:
    """The least of them in whole percent, rounded down."""
    return f"{math.floor(100 * min(probabilities))}%"


def _base(base: Mapping[str, Any]) -> str:
    if base["effective_tokens"] is None:
        return f"base of {base['pretrain_tokens']:.3g} tokens, which are not paid for"
    value, low, high = base["effective_tokens"]
    return f"base of about {value:.3g} tokens (90%: {low:.3g} to {high:.3g}), not paid for"
