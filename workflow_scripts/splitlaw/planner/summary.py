"""The content of plan.json as text for the terminal, and as HTML for a notebook."""

from collections.abc import Mapping, Sequence
from typing import Any

from splitlaw.common.display import section, table
from splitlaw.planner.replay_summary import replay_lines

FLOPS_HEAD = "FLOPs for this loss"
"""Head of the column of compute multipliers."""

NO_BUDGET = ">1000"
"""Text of a multiplier where no budget up to 1,000 times the plan's reaches its loss."""

UNSPENT = 1e-3
"""Share of the budget that a plan may leave unspent without mention: rounding leaves less."""


def summarise(plan: Mapping[str, Any]) -> str:
    """The split, the expected losses beside those of the baselines, and the warnings."""
    lines = [
        f"{plan['flops']:.3g} FLOPs, {plan['params']:.3g} parameters, {plan['trunk']} trunk",
        f"{'':<22}{'tokens':>10}{'share':>8}",
        *_split(plan),
        *replay_lines(plan),
        "",
        f"{'':<22}{'mean loss':>10}{'90%':>18}{'worse in':>10}{FLOPS_HEAD:>24}",
        _row(_cells("this split", plan["predicted_mean_loss"])),
    ]
    lines += [_row(_baseline(entry)) for entry in plan["baselines"]]
    if plan["expected_regret"] is not None:
        lines.append(
            f"expected regret {plan['expected_regret']:.2g} nats per token "
            f"({plan['expected_regret_relative']:.2%} of the loss)"
        )
    lines += [f"warning: {warning}" for warning in plan["warnings"]]
    return "\n".join(lines)


def to_html(plan: Mapping[str, Any]) -> str:
    """Two tables: tokens by domain, and mean losses of the split and of the baselines."""
    tokens = [[name, f"{count:,.0f}", f"{share:.1%}"] for name, count, share in _shares(plan)]
    losses = [_cells("this split", plan["predicted_mean_loss"])]
    losses += [_baseline(entry) for entry in plan["baselines"]]
    low, high = plan["interval"]["fraction_general"]
    title = (
        f"{plan['flops']:.3g} FLOPs, {plan['params']:.3g} parameters, {plan['trunk']} trunk: "
        f"{plan['fraction_general']:.1%} general (90%: {low:.1%} to {high:.1%})"
    )
    heads = ["", "tokens", "share"], ["", "mean loss", "90%", "worse in", FLOPS_HEAD]
    return section(title, [table(heads[0], tokens), table(heads[1], losses)], plan["warnings"])


def _shares(plan: Mapping[str, Any]) -> list[tuple[str, float, float]]:
    """Name, tokens and share of the general text and of each domain."""
    specialize = plan["specialize_tokens"]
    models = len(specialize) if plan["trunk"] == "independent" else 1
    base, replayed = plan.get("base") or {}, plan.get("replay_tokens") or {}
    counted = base.get("pretrain_tokens", 0)
    pretrain = models * (plan["pretrain_tokens"] - (0 if isinstance(counted, str) else counted))
    branches = {name: tokens + replayed.get(name, 0) for name, tokens in specialize.items()}
    total = max(pretrain + sum(branches.values()), 1)
    amounts = [("general", pretrain), *branches.items()]
    return [(name, tokens, tokens / total) for name, tokens in amounts]


def _split(plan: Mapping[str, Any]) -> list[str]:
    shares = _shares(plan)
    lines = [f"{name:<22}{tokens:>10.3g}{share:>8.1%}" for name, tokens, share in shares]
    low, high = (f"{end:.1%}" for end in plan["interval"]["fraction_general"])
    if low != high:
        lines[0] += f"  (90%: {low} to {high})"
    unspent = plan["tokens"] - sum(tokens for _, tokens, _ in shares)
    if plan["pretrain_tokens_paid"] and unspent > UNSPENT * plan["tokens"]:
        lines.append(f"{'left unspent':<22}{unspent:>10.3g}")
    return lines


def _row(cells: Sequence[str]) -> str:
    name, value, interval, share, multiplier = cells
    return f"{name:<19}{value:>13} {interval:>17}{share:>10}{multiplier:>24}".rstrip()


def _baseline(entry: Mapping[str, Any]) -> list[str]:
    """The row of a baseline; plans of earlier versions have no multiplier."""
    multiplier = multiplier_text(entry.get("compute_multiplier"))
    return _cells(
        entry["strategy"], entry["predicted_mean_loss"], entry["probability_worse"], multiplier
    )


def _cells(
    name: str, loss: Sequence[float | None], worse: float | None = None, multiplier: str = ""
) -> list[str]:
    """A row of the losses: name, value, interval, probability of being worse, multiplier."""
    value, low, high = loss
    if value is None:
        return [name, "no prediction", "", "", ""]
    interval = "" if low is None or high is None or low == high else _ends(low, high)
    return [name, _loss(value), interval, "" if worse is None else f"{worse:.0%}", multiplier]


def _ends(low: float, high: float) -> str:
    return f"{_loss(low)} to {_loss(high)}"


def _loss(value: float) -> str:
    """Four digits after the point, or five in all where these would be too many or too few."""
    return f"{value:.4f}" if 0.01 <= value < 10 else f"{value:.5g}"


def multiplier_text(multiplier: Sequence[float | None] | None) -> str:
    """A compute multiplier with its interval: 5.82 (4.07 to 9.19), or >1000 without a budget."""
    if multiplier is None:
        return ""
    value, low, high = (_times(number) for number in multiplier)
    return f"×{value}" if low == high else f"×{value} ({low} to {high})"


def _times(number: float | None) -> str:
    if number is None:
        return NO_BUDGET
    return f"{number:.2f}" if number < 10 else f"{number:.0f}"
