"""Starts of a fit: non-negative least squares inside a search over the other parameters."""

from itertools import combinations

import numpy as np
from scipy.stats import qmc

from splitlaw.laws.form import Form
from splitlaw.laws.points import Array
from splitlaw.laws.problem import Layout, Problem

SAMPLES = 512
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

    `theta` [count, p] serves every domain. Gives full parameters [count, domains, names] and
    the sum of squared relative errors [count, domains].
    """
    layout = problem.layout
    form = layout.form
    rows = len(problem.log_loss)
    per_block = max(1, BLOCK // rows)
    values, errors = [], []
    for first in range(0, len(theta), per_block):
        block = theta[first : first + per_block]
        named = {n: block[:, j, None] for j, n in enumerate(form.nonlinear)}
        terms = np.stack(np.broadcast_arrays(*form.terms(named, problem.points)), axis=2)
        terms = terms / np.exp(problem.log_loss)[:, None]
        terms = terms * np.array([name not in layout.dropped for name in form.linear])
        linear, left = _project_domains(problem, terms)
        spread = np.broadcast_to(block[:, None], (len(block), layout.domains, block.shape[1]))
        values.append(np.concatenate([linear, spread], axis=2))
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


def find_starts(problem: Problem, *, keep: int, samples: int = SAMPLES, seed: int = 0) -> Array:
    """The `keep` most promising starts [keep, size] of `samples` draws."""
    layout: Layout = problem.layout
    theta = draw_theta(layout.form, layout.dropped, samples, seed)
    values, errors = project(problem, theta)
    if layout.domains == 1 or layout.shared:
        order = np.argsort(errors.sum(axis=1))[:keep]
        return layout.vector(values[order])
    order = np.argsort(errors, axis=0)[:keep]
    own = np.take_along_axis(values, order[:, :, None], axis=0)
    return layout.vector(own)
