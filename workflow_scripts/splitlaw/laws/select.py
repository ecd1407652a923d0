"""The choice of the form: by what it predicts outside its fit, never by how well it fits."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from splitlaw.common.errors import UserError
from splitlaw.laws.fit import SHARINGS, Estimate, fit_sharings, shared_names
from splitlaw.laws.form import FORMS, Form
from splitlaw.laws.holdout import Errors, held_out_rows, hold_out, score
from splitlaw.laws.points import Mask
from splitlaw.laws.table import Table


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A form with one sharing of its exponents, fitted and measured."""

    estimate: Estimate
    sharing: str
    errors: list[Errors]
    """Errors on the hold-outs made within the rows of the fit."""

    mre: float
    """Held-out mean relative error, each kind counting alike; NaN without hold-outs."""

    standard_error: float

    @property
    def form(self) -> Form:
        """The candidate's form."""
        return self.estimate.form


def forms_for(table: Table, law: str | Sequence[str]) -> list[Form]:
    """The forms that `law` (`auto`, a name, or several) lets compete on `table`."""
    if law != "auto":
        names = [law] if isinstance(law, str) else list(law)
        for name in names:
            if name not in FORMS:
                raise UserError(f"law {name!r} is unknown; give auto or one of {', '.join(FORMS)}")
        return [FORMS[name] for name in names]
    stages = 1 if table.one_stage else 2
    return [form for form in FORMS.values() if form.stages == stages]


def sharings_for(form: Form, table: Table, share: str) -> list[str]:
    """The sharings that compete: those that differ for this form and table."""
    if share != "auto":
        if share not in SHARINGS:
            raise UserError(f"share {share!r} is unknown; give auto or one of {SHARINGS}")
        return [share]
    if len(table.domains) == 1:
        return ["none"]
    dropped = form.size_only if len(table.sizes) == 1 else frozenset()
    seen: dict[frozenset[str], str] = {}
    for sharing in SHARINGS:
        seen.setdefault(shared_names(form, sharing) - dropped, sharing)
    return list(seen.values())


def candidates(
    table: Table, law: str | Sequence[str], share: str
) -> tuple[list[Candidate], list[str]]:
    """Every form with its best sharing, fitted and measured, and notes on those passed over.

    The candidates are compared on the rows that all of them can use.
    """
    forms = forms_for(table, law)
    compared = np.ones(len(table), dtype=bool)
    for form in forms:
        compared &= form.usable(table.pretrain, table.specialize)
    kinds = held_out_rows(table)
    found: list[Candidate] = []
    refusals: list[UserError] = []
    for form in forms:
        try:
            found.append(_candidate(form, table, sharings_for(form, table, share), kinds, compared))
        except UserError as refusal:
            refusals.append(refusal)
    if not found:
        raise refusals[0]
    return found, [f"Not compared: {refusal}." for refusal in refusals]


def _candidate(
    form: Form, table: Table, sharings: list[str], kinds: dict[str, Mask], compared: Mask
) -> Candidate:
    """The simplest sharing within one standard error of the one that predicts best."""
    estimates = fit_sharings(form, table, sharings)
    errors = hold_out(form, table, list(estimates), kinds, compared)
    tried = []
    for sharing, estimate in estimates.items():
        mre, spread = score(errors[sharing]) if errors[sharing] else (np.nan, np.nan)
        tried.append(
            Candidate(
                estimate=estimate,
                sharing=sharing,
                errors=errors[sharing],
                mre=mre,
                standard_error=spread,
            )
        )
    return near_best(tried)[0]


def _rank(candidate: Candidate) -> tuple[bool, int, float]:
    """Measured before not, then on more kinds of hold-out, then by error."""
    unmeasured = bool(np.isnan(candidate.mre))
    error = candidate.estimate.objective if unmeasured else candidate.mre
    return unmeasured, -len(candidate.errors), error


def stand_ins(found: Sequence[Candidate], chosen: Sequence[Candidate]) -> list[Candidate]:
    """Who speaks where some of the chosen are infinite: the best of those finite there.

    One for D = 0 and one for D' = 0, or one for both; the better of two stands first.
    """
    picked: list[Candidate] = []
    for pretrain, specialize in ((0.0, 1.0), (1.0, 0.0)):
        corner = np.array([pretrain]), np.array([specialize])
        able = [c for c in found if c.form.usable(*corner).all()]
        if able and not all(c.form.usable(*corner).all() for c in chosen):
            picked.append(min(able, key=_rank))
    return sorted({id(c): c for c in picked}.values(), key=_rank)


def near_best(found: Sequence[Candidate]) -> list[Candidate]:
    """The candidates within one standard error of the best, the simplest first."""
    best = min(found, key=_rank)
    if np.isnan(best.mre):
        return [best]
    kinds = len(best.errors)
    near = [c for c in found if len(c.errors) == kinds and c.mre <= best.mre + best.standard_error]
    return sorted(near, key=lambda c: (c.estimate.layout.free, c.mre))
