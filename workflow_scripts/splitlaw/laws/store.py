"""fit.json, and the posterior beside it, of a `FitResult` (which imports this module)."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from splitlaw.common.errors import UserError
from splitlaw.common.files import SCHEMA_VERSION, read_json, write_bytes, write_json
from splitlaw.laws.form import AFTER, FORMS, Form, form_for
from splitlaw.laws.functions import base_tokens
from splitlaw.laws.kernel import Features, Kernel
from splitlaw.laws.log_loss import REPETITION
from splitlaw.laws.mean import Mean
from splitlaw.laws.member import Member
from splitlaw.laws.points import Array, Units
from splitlaw.laws.rows import Frame

KERNEL = ("amplitude", "slope", "unsplit")

LEVEL = (5.0, 95.0)
"""Percentiles at the two ends of a 90% interval."""

UNITS = {
    "params": "parameters",
    "pretrain_tokens": "tokens",
    "specialize_tokens": "tokens",
    "loss": "nats per token",
    "flops_per_token": "training FLOPs per token",
    "interval": "90%",
    "amplitude": "log loss",
    "length_scales": "natural logarithms",
    "tau": "tokens",
    "trunk_sd": "log loss",
    "row_sd": "log loss",
}


def described(fit: Any) -> dict[str, Any]:
    """The content of fit.json without the posterior."""
    first = fit.members[0]
    about: dict[str, Any] = {
        "law": fit.law,
        "weights": fit.weights,
        "formula": first.form.formula,
        "domains": _domains(fit),
        "objective": fit.objective,
        "converged": fit.converged,
        "warnings": list(fit.warnings),
        "discrepancy": _discrepancy(first),
        "trunk_sd": {"value": first.trunk_sd, "identified": fit.identified["trunk_sd"]},
        "row_sd": {"value": first.row_sd, "identified": fit.identified["row_sd"]},
        "holdout": [dict(entry) for entry in fit.holdout],
        "candidates": [dict(entry) for entry in fit.candidates],
        "flops_per_token": {f"{n:.15g}": f for n, f in fit.flops_per_token.items()},
        "range": {column: list(ends) for column, ends in fit.range.items()},
        "repetitions": fit.repetitions,
        "repetition": dict(
            zip(REPETITION, np.exp(first.vector[-len(REPETITION) :]).tolist(), strict=True)
        ),
        "units": UNITS,
    }
    if fit.base is not None:
        tokens = {"pretrain_tokens": fit.base, "effective_tokens": base_interval(fit)}
        about["base"] = {**tokens, **_rewarming(first)}
    if fit.frame.cooldown is not None:
        annealing = _common(first)["annealing"]
        about["cooldown"] = {"fraction": fit.frame.cooldown, "annealing": annealing}
    if fit.general_after is not None:
        about["general_after"] = described(fit.general_after)
    return about


def _domains(fit: Any) -> dict[str, Any]:
    """Parameters of each domain in the user's scale, their intervals and the number of rows."""
    bounds = fit.conf_int()
    return {
        domain: {
            "parameters": {name: float(v) for name, v in row.items()},
            "interval": {
                name: [_or_none(v) for v in bounds.loc[(domain, name)]] for name in row.index
            },
            "n": n,
        }
        for (domain, row), n in zip(fit.params.iterrows(), fit.counts, strict=True)
    }


def _discrepancy(member: Member) -> dict[str, Any]:
    """Hyperparameters of the discrepancy of a form, and the offsets of its coordinates."""
    kernel, frame = member.kernel, member.mean.frame
    return {
        "amplitude": kernel.amplitude,
        "length_scales": dict(zip(frame.names, kernel.lengths.tolist(), strict=True)),
        "slope": kernel.slope,
        "unsplit_amplitude": kernel.unsplit,
        "tau": {"pretrain_tokens": frame.tau_pretrain, "specialize_tokens": frame.tau_specialize},
    }


def _rewarming(member: Member) -> dict[str, float]:
    """The rise of log loss after a base, and the tokens over which half of it is made up."""
    common = _common(member)
    if "rewarm" not in common:
        return {}
    tokens = common["rewarm_tokens"] * member.mean.frame.units.tokens
    return {"rewarm": common["rewarm"], "rewarm_tokens": tokens}


def _common(member: Member) -> dict[str, float]:
    """Parameters that the domains have in common, in the units of the fit."""
    names = list(member.mean.common)
    return dict(zip(names, np.exp(member.vector[-len(names) :]).tolist(), strict=True))


def base_interval(fit: Any) -> list[float] | None:
    """Estimate and ends of the 90% interval of the tokens of a base; None where D counts them."""
    tokens = base_tokens(fit)
    if not len(tokens):
        return None
    low, high = np.percentile(tokens, LEVEL)
    return [float(tokens[0]), min(float(low), float(tokens[0])), max(float(high), float(tokens[0]))]


def save(fit: Any, path: str | os.PathLike[str]) -> None:
    """Write the posterior first, so that no fit.json is without one."""
    target = Path(path)
    posterior = target.with_name(f"{target.stem}.posterior.npz")
    content = _archive(fit)
    json = {**described(fit), "frame": _frame_json(fit.frame)}
    if fit.general_after is not None:
        json["general_after"]["frame"] = _frame_json(fit.general_after.frame)
    write_bytes(posterior, content)
    about = {
        "file": posterior.name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "draws": fit.n_draws,
        "seed": fit.seed,
    }
    frame = json.pop("frame")
    write_json(target, {**json, "posterior": about, "frame": frame})


def load(path: str | os.PathLike[str], make: Callable[[Mapping[str, Any]], Any]) -> dict[str, Any]:
    """The fields of a `FitResult`; `make` makes the result of the second law from its fields."""
    content = read_json(path)
    version = content.get("schema_version", SCHEMA_VERSION)
    if version != SCHEMA_VERSION:
        raise UserError(
            f"{path}: schema_version is {version}, but this version of splitlaw reads "
            f"{SCHEMA_VERSION}; write it with fit_law"
        )
    try:
        about = content["posterior"]
        archive = _read_archive(Path(path), about)
        fields = {**_fields(path, content, archive, ""), "seed": about["seed"]}
        if "general_after" not in content:
            return fields
        after = _fields(path, content["general_after"], archive, "after/")
        return {**fields, "general_after": make({**after, "seed": about["seed"]})}
    except (KeyError, TypeError, ValueError, AttributeError) as cause:
        raise UserError(
            f"{path}: is not a fit ({cause!r} is wrong or missing); write it with fit_law"
        ) from None


def _fields(
    path: str | os.PathLike[str],
    content: Mapping[str, Any],
    archive: Mapping[str, Array],
    prefix: str,
) -> dict[str, Any]:
    """The fields of a `FitResult` but its seed; `prefix` begins the names of its arrays."""
    domains, frame = tuple(content["domains"]), _frame(content["frame"])
    weights = content["weights"]
    forms = [_form(law, frame, prefix) for law in weights]
    # The same parameters in another formula would predict other losses.
    if content["formula"] != forms[0].formula:
        raise UserError(
            f"{path}: {forms[0].name!r} was fitted with another formula, {content['formula']}; "
            "fit it again with fit_law"
        )
    members = [
        _member(archive, f"{prefix}{i}/", form, weight, frame, len(domains))
        for i, (form, weight) in enumerate(zip(forms, weights.values(), strict=True))
    ]
    return {
        "domains": domains,
        "members": tuple(members),
        "counts": tuple(content["domains"][d]["n"] for d in domains),
        "objective": content["objective"],
        "converged": content["converged"],
        "warnings": tuple(content["warnings"]),
        "holdout": tuple(content["holdout"]),
        "candidates": tuple(content["candidates"]),
        "flops_per_token": {float(n): f for n, f in content["flops_per_token"].items()},
        "range": {column: tuple(ends) for column, ends in content["range"].items()},
        "identified": {n: content[n]["identified"] for n in ("trunk_sd", "row_sd")},
        "base": content["base"]["pretrain_tokens"] if "base" in content else None,
    }


def _read_archive(path: Path, about: Mapping[str, Any]) -> Mapping[str, Array]:
    file = path.with_name(about["file"])
    try:
        content = file.read_bytes()
    except OSError as cause:
        raise UserError(
            f"{file}: cannot be read ({cause.strerror}); {path} requires it: copy both files, or "
            "write them with fit_law"
        ) from None
    if hashlib.sha256(content).hexdigest() != about["sha256"]:
        raise UserError(f"{file}: is not the posterior of {path}; write both with fit_law")
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return dict(archive)


def _archive(fit: Any) -> bytes:
    """The members as arrays of an npz file; mixtures of draws in single precision."""
    arrays: dict[str, Any] = {}
    members = [(f"{i}/", member) for i, member in enumerate(fit.members)]
    if fit.general_after is not None:
        members += [(f"after/{i}/", m) for i, m in enumerate(fit.general_after.members)]
    for prefix, member in members:
        part = {
            "vector": member.vector,
            "vectors": member.vectors,
            "kernel": np.array([getattr(member.kernel, name) for name in KERNEL]),
            "lengths": member.kernel.lengths,
            "noise": np.array([member.trunk_sd, member.row_sd, member.unsplit_row_sd]),
            **vars(member.features),
            "sites": member.sites,
            "zero": member.zero,
            "weights": member.weights,
            "drawn": member.drawn.astype(np.float32),
        }
        arrays |= {f"{prefix}{name}": value for name, value in part.items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _member(
    archive: Mapping[str, Array],
    prefix: str,
    form: Form,
    weight: float,
    frame: Frame,
    domains: int,
) -> Member:
    part = {n.removeprefix(prefix): v for n, v in archive.items() if n.startswith(prefix)}
    kernel = dict(zip(KERNEL, part["kernel"].tolist(), strict=True))
    trunk_sd, row_sd, unsplit_row_sd = part["noise"].tolist()
    mean = Mean(form, frame, domains)
    if part["vector"].shape != (mean.size,) or len(part["weights"]) != domains:
        raise ValueError("the number of domains")
    return Member(
        mean=mean,
        weight=float(weight),
        vector=part["vector"],
        vectors=part["vectors"],
        kernel=Kernel(lengths=part["lengths"], **kernel),
        features=Features(**{name: part[name] for name in Features.__dataclass_fields__}),
        sites=part["sites"],
        zero=part["zero"],
        weights=part["weights"],
        drawn=part["drawn"].astype(float),
        trunk_sd=trunk_sd,
        row_sd=row_sd,
        unsplit_row_sd=unsplit_row_sd,
    )


def _form(law: str, frame: Frame, prefix: str) -> Form:
    """A form by its name: of the domains' losses, or with a prefix of the general loss."""
    known = AFTER if prefix else FORMS
    if law not in known:
        raise UserError(f"the law {law!r} of the fit is unknown; choose from {', '.join(known)}")
    return AFTER[law] if prefix else form_for(law, frame.stages, replays=frame.replays)


def _frame_json(frame: Frame) -> dict[str, Any]:
    content = dict(vars(frame))
    # A table without replay and without a base has the frame that it had before there were any.
    for name, absent in (("replays", False), ("base", 0.0), ("start", None), ("cooldown", None)):
        if content[name] == absent and type(content[name]) is type(absent):
            del content[name]
    return {
        **content,
        "units": vars(frame.units),
        "repeats": list(frame.repeats),
        "centre": frame.centre.tolist(),
    }


def _frame(content: Mapping[str, Any]) -> Frame:
    pretrain, specialize = content["repeats"]
    return Frame(
        **{
            **content,
            "units": Units(**content["units"]),
            "repeats": (bool(pretrain), bool(specialize)),
            "centre": np.array(content["centre"]),
        }
    )


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
