"""Many small bounded minimisations at once: quasi-Newton steps over a batch of problems."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from splitlaw.laws.points import Array, Indices, Mask

Objective = Callable[[Array, Indices], tuple[Array, Array]]
"""(parameters [b, p], numbers of the problems [b]) to (values [b], gradients [b, p])."""

ARMIJO = 1e-4
MAX_HALVINGS = 20
BOUND_PASSES = 3


@dataclass(frozen=True)
class Minimum:
    """Where each of b problems ended."""

    x: Array
    """Parameters [b, p]."""

    value: Array
    """Objective [b]."""

    gradient: Array
    """Gradient [b, p]."""

    converged: Mask
    """Whether the next step promised no more than the tolerance [b]."""


@dataclass
class _State:
    """The problems still under way."""

    which: Indices
    x: Array
    value: Array
    gradient: Array
    hessian: Array

    def keep(self, mask: Mask) -> None:
        for name in ("which", "x", "value", "gradient", "hessian"):
            setattr(self, name, getattr(self, name)[mask])


def _solve(matrix: Array, rhs: Array) -> Array:
    try:
        solved = np.linalg.solve(matrix, rhs[..., None])
    except np.linalg.LinAlgError:
        ridge = 1e-10 * np.trace(matrix, axis1=1, axis2=2)[:, None, None]
        solved = np.linalg.solve(matrix + ridge * np.eye(matrix.shape[1]), rhs[..., None])
    return np.asarray(solved[..., 0], dtype=float)


def _step(state: _State, low: Array, high: Array) -> Array:
    """The minimiser of the quadratic model inside the box, nearly: bounds are met in passes."""
    x, g = state.x, state.gradient
    held = (low >= high) | ((x <= low) & (g > 0)) | ((x >= high) & (g < 0))
    step = np.zeros_like(x)
    for _ in range(BOUND_PASSES):
        free = ~held
        pull = np.einsum("bij,bj->bi", state.hessian, np.where(held, step, 0.0))
        matrix = state.hessian * (free[:, :, None] & free[:, None, :])
        matrix[:, np.arange(x.shape[1]), np.arange(x.shape[1])] += held
        moved = _solve(matrix, np.where(free, -g - pull, step))
        clipped = np.clip(x + moved, low, high) - x
        crossed = free & (clipped != moved) & (np.abs(clipped - moved) > 1e-14)
        step = np.where(free, clipped, step)
        if not crossed.any():
            break
        held = held | crossed
    return step


def _search_line(
    objective: Objective, state: _State, step: Array
) -> tuple[Array, Array, Array, Mask]:
    """Halve each step until it descends enough; x, value, gradient, and whether it did."""
    x, value, gradient = state.x.copy(), state.value.copy(), state.gradient.copy()
    slope = np.einsum("bp,bp->b", state.gradient, step)
    waiting = np.flatnonzero(slope < 0)
    length = np.ones(len(x))
    done = np.zeros(len(x), dtype=bool)
    for _ in range(MAX_HALVINGS):
        if not waiting.size:
            break
        trial = state.x[waiting] + length[waiting, None] * step[waiting]
        f, g = objective(trial, state.which[waiting])
        good = f <= state.value[waiting] + ARMIJO * length[waiting] * slope[waiting]
        moved = waiting[good]
        x[moved], value[moved], gradient[moved] = trial[good], f[good], g[good]
        done[moved] = True
        # The parabola through the two values and the slope says where to try next.
        rise = f - state.value[waiting] - length[waiting] * slope[waiting]
        ideal = -0.5 * slope[waiting] * length[waiting] ** 2 / np.maximum(rise, 1e-300)
        ideal = np.where(np.isfinite(ideal), ideal, 0.0)
        length[waiting] = np.clip(ideal, 0.1 * length[waiting], 0.5 * length[waiting])
        waiting = waiting[~good]
    return x, value, gradient, done


def _update(hessian: Array, s: Array, y: Array) -> Array:
    """Powell's damped BFGS update, which keeps every Hessian positive definite."""
    hs = np.einsum("bij,bj->bi", hessian, s)
    shs = np.einsum("bi,bi->b", s, hs)
    sy = np.einsum("bi,bi->b", s, y)
    damp = np.where(sy < 0.2 * shs, 0.8 * shs / np.maximum(shs - sy, 1e-300), 1.0)
    y = damp[:, None] * y + (1 - damp)[:, None] * hs
    sy = np.einsum("bi,bi->b", s, y)
    sound = (shs > 1e-290) & (sy > 1e-290)
    shs, sy = np.where(sound, shs, np.inf), np.where(sound, sy, np.inf)
    return (
        hessian
        - hs[:, :, None] * hs[:, None, :] / shs[:, None, None]
        + y[:, :, None] * y[:, None, :] / sy[:, None, None]
    )


def minimise(
    objective: Objective,
    start: Array,
    bounds: tuple[Array, Array],
    hessian: Array,
    *,
    tolerance: float = 1e-10,
    floor: float = 0.0,
    max_steps: int = 300,
) -> Minimum:
    """Minimise b problems of p bounded parameters from `start` [b, p].

    `hessian` [b, p, p] is a first positive definite guess of the curvature. A problem is done
    when twice in a row the decrease that the quadratic model promises is below `tolerance`
    times the value (or `floor`, where that is more), and when no step descends any more.
    """
    low, high = bounds
    x = np.clip(start, low, high)
    which = np.arange(len(x))
    value, gradient = objective(x, which)
    state = _State(which, x, value, gradient, hessian.copy())
    end = Minimum(x.copy(), value.copy(), gradient.copy(), np.zeros(len(x), dtype=bool))
    quiet = np.zeros(len(x), dtype=int)
    fresh = np.zeros(len(x), dtype=bool)
    for _ in range(max_steps):
        step = _step(state, low, high)
        promise = -0.5 * np.einsum("bp,bp->b", state.gradient, step)
        small = promise <= tolerance * np.maximum(np.abs(state.value), floor) + 1e-300
        now = state.which
        quiet[now] = np.where(small, quiet[now] + 1, 0)
        x, value, gradient, moved = _search_line(objective, state, step)
        stuck = ~moved
        curved = _update(state.hessian, x - state.x, gradient - state.gradient)
        # A step that fails once may owe it to an old Hessian: begin again from the diagonal.
        diagonal = np.einsum("bii->bi", state.hessian)[:, :, None] * np.eye(x.shape[1])
        state.hessian = np.where(stuck[:, None, None], diagonal, curved)
        over = (quiet[now] >= 2) | (stuck & (fresh[now] | small))
        fresh[now] = stuck
        state.x, state.value, state.gradient = x, value, gradient
        end.x[now], end.value[now], end.gradient[now] = x, value, gradient
        end.converged[now] = small
        state.keep(~over)
        if not state.which.size:
            break
    return end
