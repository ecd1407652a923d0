"""The content of fit.json as text for the terminal, and as HTML for a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from splitlaw.common.display import section, table

LEFT_OUT = "left out            domain          n     mre     max    bias  coverage"
"""Head of the table of errors on left-out rows."""

NONE_LEFT_OUT = "left out: none; the table is too small, so the errors of predictions are unknown"


def summarise(fit: Mapping[str, Any]) -> str:
    """The parameters, the left-out errors, the forms and the warnings, as plain text."""
    lines = _law_lines(fit, "L")
    after = fit.get("general_after")
    if after:
        lines += ["", "General loss after specialising, by the domain of the branch"]
        lines += _law_lines(after, "G")
    lines += [f"note: {sentence}" for sentence in fit["left_out"]]
    lines += [f"warning: {warning}" for warning in fit["warnings"]]
    if after:
        lines += [f"warning: general loss: {warning}" for warning in after["warnings"]]
    return "\n".join(lines)


def _law_lines(fit: Mapping[str, Any], symbol: str) -> list[str]:
    """The parameters, the left-out errors and the forms of one law."""
    lines = [f"{fit['law']}: {symbol} = {fit['formula']}", ""]
    for domain, fitted in fit["domains"].items():
        lines.append(f"{domain}")
        for name, value in fitted["parameters"].items():
            low, high = fitted["interval"][name]
            ends = "" if low is None else f"   90% {low:.5g} to {high:.5g}"
            lines.append(f"  {name:<6}{value:>12.5g}{ends}")
    lines += ["", *_noise_lines(fit), *_base_lines(fit), ""]
    lines += [LEFT_OUT if fit["holdout"] else NONE_LEFT_OUT]
    lines += [
        f"{h['kind']:<20}{h['domain']:<12}{h['n']:>5}{h['mre']:>8.2%}{h['max']:>8.2%}"
        f"{h['bias']:>+8.2%}{_percent(h['coverage'], 0):>10}"
        for h in fit["holdout"]
    ]
    lines += ["", "form                weight  parameters  left-out mre  log density"]
    return lines + [
        f"{c['law']:<20}{c['weight']:>6.0%}{c['n_parameters']:>12}{_percent(c['holdout_mre']):>14}"
        f"{_one_decimal(c['log_predictive_density']):>13}"
        for c in fit["candidates"]
    ]


def _base_lines(fit: Mapping[str, Any]) -> list[str]:
    """The tokens of a base that the table does not count."""
    tokens = fit.get("base", {}).get("effective_tokens")
    if not tokens:
        return []
    value, low, high = tokens
    return [f"tokens of the base: {value:.3g}, 90% {low:.3g} to {high:.3g}"]


def _noise_lines(fit: Mapping[str, Any]) -> list[str]:
    """The sizes of the discrepancy and of the noise."""
    return [
        f"standard deviations: discrepancy {fit['discrepancy']['amplitude']:.2%}, noise of a "
        f"general run {fit['trunk_sd']['value']:.2%}, noise of a row {fit['row_sd']['value']:.2%}"
    ]


def to_html(fit: Mapping[str, Any]) -> str:
    """Two tables: the parameters, with a column per domain, and the left-out errors."""
    domains = fit["domains"]
    names = next(iter(domains.values()))["parameters"]
    parameters = [[name, *(_parameter(part, name) for part in domains.values())] for name in names]
    errors = [
        [h["kind"], h["domain"], str(h["n"]), f"{h['mre']:.2%}", f"{h['bias']:+.2%}"]
        for h in fit["holdout"]
    ]
    tables = [table(["parameter", *domains], parameters)]
    if errors:
        tables.append(table(["left out", "domain", "n", "mean error", "bias"], errors))
    return section(f"{fit['law']}: L = {fit['formula']}", tables, fit["warnings"])


def _parameter(fitted: Mapping[str, Any], name: str) -> str:
    value, (low, high) = fitted["parameters"][name], fitted["interval"][name]
    return f"{value:.4g}" if low is None else f"{value:.4g} ({low:.4g} to {high:.4g})"


def _percent(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}%}"


def _one_decimal(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
