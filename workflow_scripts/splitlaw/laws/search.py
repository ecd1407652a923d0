"""Starts of a fit: non-negative least squares inside a search over the other parameters."""

from itertools import combinations

import numpy as np
from scipy.stats import qmc

from splitlaw.laws.form import Form
from splitlaw.laws.points import Array
from splitlaw.laws.problem import Problem

OWN_DRAWS = 8
"""Draws of the parameters that are not shared, for each of those that are."""

BLOCK = 400_000
"""Terms held at once; larger tables are searched in smaller blocks."""


def draw_theta(form: Form, dropped: frozenset[str], count: int, seed: int) -> Array:
    """Low-discrepancy draws of the nonlinear parameters within their search box [count, p]."""
    boxes = [form.search.get(name, form.bounds[name]) for name in form.nonlinear]
    unit = qmc.Sobol(len(boxes), seed=seed).random(count)
    low, high = np.array(boxes).T
    held = np.array([name in dropped for name in form.nonlinear])
    return np.where(held, 0.0, low + unit * (high - low))


def best_linear(gram: Array, moment: Array, total: Array) -> tuple[Array, Array]:
    """Non-negative least squares from normal equations, exactly, by trying every support.

    `gram` [..., j, j], `moment` [..., j], `total` [...] the sum of squares of the target.
    Gives the solution [..., j] and the sum of squares left [...]. j is at most 4.
    """
    width = gram.shape[-1]
    best = np.zeros(moment.shape)
    least = total.copy()
    scale = np.sqrt(np.maximum(np.einsum("...ii->...i", gram), 1e-300))
    gram = gram / (scale[..., :, None] * scale[..., None, :]) + 1e-12 * np.eye(width)
    moment = moment / scale
    for size in range(1, width + 1):
        for support in combinations(range(width), size):
            pick = np.array(support)
            part = gram[..., pick[:, None], pick[None, :]]
            solved = np.linalg.solve(part, moment[..., pick, None])[..., 0]
            left = total - np.einsum("...j,...j->...", solved, moment[..., pick])
            better = (solved >= 0).all(axis=-1) & (left < least)
            least = np.where(better, left, least)
            full = np.zeros(moment.shape)
            full[..., pick] = solved
            best = np.where(better[..., None], full, best)
    return best / scale, least


def project(problem: Problem, theta: Array) -> tuple[Array, Array]:
    """The best linear parameters for each draw of the nonlinear ones, in relative error.

    `theta` is [count, domains, p]. Gives full parameters [count, domains, names] and the sum of
    squared relative errors [count, domains].
    """
    form = problem.layout.form
    per_block = max(1, BLOCK // len(problem.log_loss))
    fitted = np.array([name not in problem.layout.dropped for name in form.linear])
    values, errors = [], []
    for first in range(0, len(theta), per_block):
        block = theta[first : first + per_block]
        named = {n: block[:, problem.domain, j] for j, n in enumerate(form.nonlinear)}
        terms = np.stack(np.broadcast_arrays(*form.terms(named, problem.points)), axis=2)
        terms = terms * (fitted / np.exp(problem.log_loss)[:, None])
        linear, left = _project_domains(problem, terms)
        values.append(np.concatenate([linear, block], axis=2))
        errors.append(left)
    return np.concatenate(values), np.concatenate(errors)


def _project_domains(problem: Problem, terms: Array) -> tuple[Array, Array]:
    ends = np.append(problem.starts[1:], terms.shape[1])
    grams, moments, totals = [], [], []
    for first, last in zip(problem.starts, ends, strict=True):
        part = terms[:, first:last]
        grams.append(np.swapaxes(part, 1, 2) @ part)
        moments.append(part.sum(axis=1))
        totals.append(np.full(len(part), float(last - first)))
    return best_linear(np.stack(grams, 1), np.stack(moments, 1), np.stack(totals, 1))


def find_starts(problem: Problem, *, keep: int, samples: int, seed: int = 0) -> Array:
    """The `keep` most promising starts [keep, size] of `samples` draws.

    Draws come in groups with the same shared parameters, in which every domain takes the draw
    that suits it best.
    """
    layout = problem.layout
    group = OWN_DRAWS if layout.shared and layout.domains > 1 else 1
    theta = draw_theta(layout.form, layout.dropped, samples, seed)
    shared = np.array([name in layout.shared for name in layout.form.nonlinear])
    firsts = np.repeat(theta[::group], group, axis=0)[: len(theta)]
    theta = np.where(shared, firsts, theta)
    spread = np.broadcast_to(theta[:, None], (samples, layout.domains, theta.shape[1]))
    values, errors = project(problem, spread)
    values = values.reshape(samples // group, group, *values.shape[1:])
    errors = errors.reshape(samples // group, group, -1)
    own = np.argmin(errors, axis=1)[:, None]
    values = np.take_along_axis(values, own[..., None], axis=1)[:, 0]
    least = np.take_along_axis(errors, own, axis=1)[:, 0].sum(axis=1)
    return layout.vector(values[np.argsort(least)[:keep]])


def start_from(problem: Problem, values: Array) -> Array:
    """A start [1, size] from parameters [domains, names]: what is shared is averaged."""
    layout = problem.layout
    even = layout.by_domain(layout.vector(values[None]))
    projected, _ = project(problem, even[:, :, len(layout.form.linear) :])
    return layout.vector(projected)
