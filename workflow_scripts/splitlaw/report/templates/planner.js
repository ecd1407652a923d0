"use strict";
/* The planner's arithmetic (splitlaw.planner) in the browser: the loss of a split, the best split of a
   budget, the baselines. Amounts are in tokens, losses in nats per token. A test compares the results
   with those of the Python package. */
const planner = (() => {
  /* As in splitlaw/planner/allocate.py. */
  const ROUNDS = 14, TAIL = 1.5, ZOOM = 7;

  /* Each law at fixed N and D, as a function of D' = s:
     constant + sum of c * (floor + (shift + s + k * s^g)^-p)^q, with terms [c, shift, p, k, g] and,
     where they are not 0 and 1, floor and q. */
  const LAWS = {
    two_skills: (v, n, d) => [
      [v.F, d, v.phi, 0, 1], [v.B, v.kappa * d ** v.gamma, v.beta, 0, 1]],
    effective_tokens: (v, n, d) => [[v.B, v.kappa * d ** v.gamma * n ** (v.delta || 0), v.beta, 0, 1]],
    chinchilla: (v, n, d) => [[v.B, d, v.beta, 0, 1]],
    additive: (v, n, d) => [[v.F * d ** -v.phi, 1, 0, 0, 1], [v.B, 0, v.beta, 0, 1]],
    multiplicative: (v, n, d) => [[v.B * d ** -v.phi, 0, v.beta, 0, 1]],
    transfer_gap: (v, n, d) => [[v.F * d ** -v.phi + v.G, 0, v.beta, 0, 1]],
    interaction: (v, n, d) => [[v.B * d ** -v.phi, 0, v.beta - v.gamma * Math.log(d), 0, 1]],
    transferred_data: (v, n, d) => [
      [v.B, 0, v.beta, v.kappa * d ** v.phi * n ** (v.delta || 0), v.gamma]],
    coupled: (v, n, d) => {
      const gap = d ** -v.phi + v.G;
      return [[v.B * gap ** v.gamma, 0, v.beta, 0, 1, v.rho * n ** -v.alpha / gap, v.gamma]];
    },
  };
  const NEEDS_GENERAL = new Set(["additive", "multiplicative", "transfer_gap", "interaction", "coupled"]);
  const NEEDS_DOMAIN = new Set([...NEEDS_GENERAL, "transferred_data"]);

  /* Unique tokens equivalent to t tokens of which u are unique (Muennighoff et al. 2023), and the
     derivative with respect to t. */
  const effective = (t, u, r) => (t > u ? u * (1 - r * Math.expm1(-(t / u - 1) / r)) : t);
  const marginal = (t, u, r) => (t > u ? Math.exp(-(t / u - 1) / r) : 1);

  /* A surface is a list of [share, law, parameters] for every planned domain. */
  function pointSurface(fit, names) {
    const total = fit.members.reduce((sum, m) => sum + m.weight, 0);
    return names.map((name) => fit.members.map((m) => [m.weight / total, m.law, m.parameters[name]]));
  }
  function drawnSurfaces(fit, names) {
    return fit.members.flatMap((m) => Array.from({ length: m.draws }, (_, i) => names.map((name) => {
      const values = {};
      for (const key in m.drawn[name]) values[key] = m.drawn[name][key][i];
      return [[1, m.law, values]];
    })));
  }

  /* For every domain, the loss at fixed D as a function of D', and its negative derivative. */
  function atGeneral(surface, task, general) {
    const d = effective(general, task.uniqueGeneral, task.repetitions);
    return surface.map((parts, k) => {
      const unique = task.unique[k];
      let constant = 0, finite = true, needsDomain = false;
      const terms = [];
      for (const [share, law, v] of parts) {
        if (NEEDS_GENERAL.has(law) && !(d > 0)) finite = false;
        needsDomain = needsDomain || NEEDS_DOMAIN.has(law);
        constant += share * (v.E + (v.A ? v.A * task.params ** -v.alpha : 0));
        for (const [c, ...rest] of LAWS[law](v, task.params, d)) terms.push([share * c, ...rest]);
      }
      const loss = (special) => {
        const s = effective(special, unique, task.repetitions);
        if (!finite || (needsDomain && !(s > 0)) || !(d + s > 0)) return Infinity;
        let sum = constant;
        for (const [c, shift, p, extra, g, floor = 0, q = 1] of terms)
          sum += c * (floor + (shift + (p ? s : 0) + (extra ? extra * s ** g : 0)) ** -p) ** q;
        return sum;
      };
      const worth = (special) => {
        const s = effective(special, unique, task.repetitions);
        let sum = 0;
        for (const [c, shift, p, extra, g, floor = 0, q = 1] of terms) {
          if (!p) continue;
          const tokens = shift + s + (extra ? extra * s ** g : 0);
          const rate = extra ? 1 + extra * g * s ** (g - 1) : 1;
          sum += c * p * rate * tokens ** (-p - 1) * q * (floor + tokens ** -p) ** (q - 1);
        }
        sum *= task.weights[k] * marginal(special, unique, task.repetitions);
        return Math.min(Math.max(Number.isFinite(sum) ? sum : sum > 0 ? 1e200 : 0, 1e-200), 1e200);
      };
      return { loss, worth };
    });
  }

  const meanOf = (curves, special, weights) =>
    curves.reduce((sum, curve, k) => sum + weights[k] * curve.loss(special[k]), 0);

  /* max(0, a + b v) with v such that the domains sum to `total`. */
  function fill(a, b, total) {
    const active = a.map(() => true);
    for (;;) {
      let room = total, rate = 0;
      a.forEach((x, k) => { if (active[k]) { room -= x; rate += b[k]; } });
      const level = room / (rate > 0 ? rate : 1);
      let below = false;
      const filled = a.map((x, k) => {
        if (!active[k]) return 0;
        const value = x + b[k] * level;
        if (value < 0) { active[k] = false; below = true; return 0; }
        return value;
      });
      if (!below) return filled;
    }
  }

  /* Divide `total` domain tokens optimally: marginal gains are equalized iteratively. */
  function allocate(curves, total, weights, shares, tolerance) {
    const span = Math.max(total, 1e-9);
    let special = curves.map((_, k) => Math.max(total * (shares ? shares[k] : 1 / curves.length), 1e-9 * span));
    for (let round = 0; round < ROUNDS; round++) {
      const worth = curves.map((curve, k) => curve.worth(special[k]));
      const top = Math.max(...worth);
      const reach = curves.map((curve, k) => {
        const nudge = 1e-4 * (special[k] + 1e-4 * span);
        const fall = Math.log(worth[k] / curve.worth(special[k] + nudge)) / nudge;
        return TAIL / Math.max(fall, 1e-12 / span);
      });
      const a = special.map((s, k) => s - reach[k]);
      const b = reach.map((r, k) => r * (worth[k] / top) ** (1 / TAIL));
      const moved = fill(a, b, total);
      const done = moved.every((s, k) => Math.abs(s - special[k]) <= tolerance * span);
      special = moved.map((s, k) => Math.max(s, 1e-3 * special[k]));
      const sum = special.reduce((x, y) => x + y, 0);
      special = special.map((s) => s * total / sum);
      if (done) break;
    }
    const kept = special.map((s) => (s <= 1e-4 * total ? 0 : s));
    const sum = kept.reduce((x, y) => x + y, 0);
    if (sum > 0 && sum < total) {
      const put = kept.map((s) => s * total / sum);
      if (meanOf(curves, put, weights) <= meanOf(curves, special, weights)) return put;
    }
    return special;
  }

  function atShare(surface, task, general, shares, tolerance) {
    const total = Math.max(0, task.tokens - task.trunks * general);
    const curves = atGeneral(surface, task, general);
    const special = allocate(curves, total, task.weights, shares, tolerance);
    return { general, special, mean: meanOf(curves, special, task.weights) };
  }

  /* The optimal D and D'_k, by a search over a grid of D that is refined around its minimum. */
  function bestSplit(surface, task, { fractions = 33, rounds = 12, tolerance = 1e-9 } = {}) {
    const most = task.tokens / task.trunks;
    let grid = Array.from({ length: fractions }, (_, i) => most * i / (fractions - 1));
    let best = null, shares = null;
    for (let round = 0; round <= rounds; round++) {
      const found = grid.map((general) => atShare(surface, task, general, shares, tolerance));
      let at = 0;
      found.forEach((split, i) => { if (split.mean < found[at].mean) at = i; });
      if (!best || found[at].mean < best.mean) best = found[at];
      const low = grid[Math.max(at - 1, 0)], high = grid[Math.min(at + 1, grid.length - 1)];
      grid = Array.from({ length: ZOOM }, (_, i) => low + (high - low) * i / (ZOOM - 1));
      const total = best.special.reduce((x, y) => x + y, 0);
      shares = best.special.map((s) => (total > 0 ? s / total : 1 / best.special.length));
    }
    return best;
  }

  const meanAt = (surface, task, general, special) =>
    meanOf(atGeneral(surface, task, general), special, task.weights);

  /* The 90% interval of values by numpy's quantiles; the value itself if there are none. */
  function interval(values, value) {
    const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
    if (!sorted.length) return [value, value];
    const at = (q) => {
      const x = q * (sorted.length - 1), i = Math.floor(x);
      return sorted[i] + (x - i) * ((sorted[i + 1] ?? sorted[i]) - sorted[i]);
    };
    return [Math.min(at(0.05), value), Math.max(at(0.95), value)];
  }

  /* FLOPs per token at N, interpolated between the measured sizes on logarithmic axes. */
  function flopsPerToken(known, params) {
    const sizes = Object.keys(known).map(Number).sort((a, b) => a - b);
    if (!sizes.length) return 6 * params;
    const ratio = sizes.map((size) => Math.log(known[String(size)] / size));
    const x = Math.log(params), logs = sizes.map(Math.log);
    if (x <= logs[0]) return Math.exp(ratio[0]) * params;
    for (let i = 1; i < logs.length; i++)
      if (x <= logs[i])
        return params * Math.exp(
          ratio[i - 1] + (ratio[i] - ratio[i - 1]) * (x - logs[i - 1]) / (logs[i] - logs[i - 1]));
    return Math.exp(ratio[ratio.length - 1]) * params;
  }

  /* The settings in the units of the arithmetic. */
  function makeTask(fit, { flops, params, names, weights, unique, uniqueGeneral, trunk, perToken }) {
    const sum = weights.reduce((x, y) => x + y, 0);
    return {
      params, names, weights: weights.map((w) => w / sum),
      unique: unique || names.map(() => Infinity), uniqueGeneral: uniqueGeneral ?? Infinity,
      repetitions: fit.repetitions, trunks: trunk === "independent" ? names.length : 1,
      tokens: flops / (perToken || flopsPerToken(fit.flopsPerToken, params)),
    };
  }

  /* [strategy, D, D'_k] of the baselines at the same compute. `shares` are their general fractions by
     name. The domains share the rest evenly; without domain tokens there is a single model. */
  function baselines(task, shares) {
    return Object.entries(shares).map(([strategy, share]) => {
      const trunks = share < 1 ? task.trunks : 1, each = (1 - share) * task.tokens / task.names.length;
      return [strategy, share * task.tokens / trunks, task.names.map(() => each)];
    });
  }

  const fraction = (task, split) => {
    const special = split.special.reduce((x, y) => x + y, 0);
    return task.trunks * split.general / Math.max(task.trunks * split.general + special, 1e-300);
  };

  return { pointSurface, drawnSurfaces, bestSplit, atShare, meanAt, interval, flopsPerToken, makeTask,
    baselines, fraction };
})();
if (typeof module !== "undefined") module.exports = planner;
