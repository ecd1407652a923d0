"""The loss of each domain at one model size, as a function of the split, for many draws."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from splitlaw.laws.fit import evaluate
from splitlaw.laws.form import Form
from splitlaw.laws.points import Array, Indices, Points
from splitlaw.laws.repetition import effective_tokens, marginal_worth
from splitlaw.laws.result import Member


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What the losses of a plan depend on beside the split."""

    domains: tuple[str, ...]
    weights: Array
    """Weight of each domain in the mean loss [k], summing to 1."""

    unique: Array
    """Tokens of each domain that differ [k]; infinite where there is no limit."""

    unique_pretrain: float
    """General tokens that differ."""

    repetitions: float
    """See `splitlaw.laws.repetition.effective_tokens`."""

    @property
    def limited(self) -> bool:
        """Whether any text can run out."""
        return bool(np.isfinite(self.unique).any() or np.isfinite(self.unique_pretrain))


@dataclass(frozen=True)
class Surface:
    """Losses at N = `params` under r sets of parameters, each a weighted mean of laws.

    Arrays of splits have D as [r, g] and D' as [r, g, k], in tokens.
    """

    params: float
    setting: Setting
    parts: tuple[tuple[float, Form, Array], ...]
    """Weight, form, and parameters [r, k, names] of each law."""

    @classmethod
    def of_points(
        cls, members: Sequence[Member], columns: Indices, params: float, setting: Setting
    ) -> "Surface":
        """The mean of the members' point estimates, as one set (r = 1)."""
        total = sum(member.weight for member in members)
        shares = [m.weight / total if total else 1 / len(members) for m in members]
        pairs = zip(shares, members, strict=True)
        parts = tuple((share, m.form, m.values[None, columns]) for share, m in pairs)
        return cls(params, setting, parts)

    @classmethod
    def of_draws(
        cls, member: Member, columns: Indices, params: float, setting: Setting
    ) -> "Surface":
        """Every draw of one member."""
        return cls(params, setting, ((1.0, member.form, member.draws[:, columns]),))

    @property
    def rows(self) -> int:
        """How many sets of parameters."""
        return len(self.parts[0][2])

    def first(self, count: int) -> "Surface":
        """The first `count` sets of parameters."""
        parts = tuple((weight, form, values[:count]) for weight, form, values in self.parts)
        return Surface(self.params, self.setting, parts)

    def _points(self, pretrain: Array, specialize: Array) -> Points:
        s = self.setting
        if not s.limited:
            return Points.of(self.params, pretrain[..., None], specialize)
        d = effective_tokens(pretrain, s.unique_pretrain, s.repetitions)
        e = effective_tokens(specialize, s.unique, s.repetitions)
        return Points.of(self.params, d[..., None], e)

    @staticmethod
    def _named(form: Form, values: Array) -> Mapping[str, Array]:
        return {name: values[:, None, :, j] for j, name in enumerate(form.names)}

    def losses(self, pretrain: Array, specialize: Array) -> Array:
        """Loss of each domain [r, g, k]; infinite where a law is."""
        x = self._points(pretrain, specialize)
        parts = [w * evaluate(form, values[:, None], x) for w, form, values in self.parts]
        return np.asarray(sum(parts))

    def mean(self, pretrain: Array, specialize: Array) -> Array:
        """Weighted mean loss over domains [r, g]."""
        return np.asarray(self.losses(pretrain, specialize) @ self.setting.weights)

    def slopes(self, pretrain: Array, specialize: Array) -> tuple[Array, Array]:
        """What one more token takes off the weighted mean loss: of D [r, g, k], of D'_k."""
        x = self._points(pretrain, specialize)
        s = self.setting
        shape = np.broadcast_shapes(specialize.shape, (self.rows, 1, 1))
        by_pretrain, by_specialize = np.zeros(shape), np.zeros(shape)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            for weight, form, values in self.parts:
                named = self._named(form, values)
                d_slopes, e_slopes = form.slopes(named, x, form.terms(named, x))
                for (name, _), slope in d_slopes.items():
                    by_pretrain -= weight * named[name] * slope
                for (name, _), slope in e_slopes.items():
                    by_specialize -= weight * named[name] * slope
        if s.limited:
            by_pretrain *= marginal_worth(pretrain, s.unique_pretrain, s.repetitions)[..., None]
            by_specialize *= marginal_worth(specialize, s.unique, s.repetitions)
        return by_pretrain * s.weights, by_specialize * s.weights
