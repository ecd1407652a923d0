"use strict";
/* The planner in the browser: the best split of a budget, the losses of given splits, the baselines.
   Amounts are in tokens, losses in nats per token. The losses are those of law.js; the search reads
   them from tables at fixed N. A test compares the results with those of the Python package. */
const planner = (() => {
  /* Nodes of a table in D and in D'. They are evenly spaced in log(1 + x / scale), where scale is the
     largest x divided by SPAN: between them, losses are interpolated with an error of about 1e-6. */
  const NODES = 41, SPAN = 3000;
  /* Values of D in the first search for the optimal one, and in each of the following rounds. */
  const FRACTIONS = 33, ZOOM = 7;
  /* Halvings in the search for the price of a token, on a scale of about 15. */
  const HALVINGS = 36;
  /* Worth below which worths are interpolated linearly, relative to the highest. */
  const KNEE = 1e-6;
  /* Loss in nats per token above which no split is of interest; a law may grow without end. */
  const MOST = 1e3;
  /* Multiples of a budget that are searched for a compute multiplier. */
  const FACTORS = Array.from({ length: 33 }, (_, i) => 10 ** ((i - 8) / 8));

  function makeAxis(limit) {
    const scale = limit / SPAN, step = Math.log1p(SPAN) / (NODES - 1);
    const nodes = Float64Array.from({ length: NODES }, (_, i) => scale * Math.expm1(i * step));
    /* A law may be infinite at 0, where no optimum is then. */
    nodes[0] = 1e-3 * nodes[1];
    return {
      nodes, position: (x) => Math.log1p(Math.max(x, 0) / scale) / step,
      value: (position) => scale * Math.expm1(position * step),
    };
  }

  /* Values between the nodes, which are `step` apart in the array, by the cubic polynomial through the
     four nodes around a position. Where it is below both neighbours, as it is beside a steep rise, the
     value is on the straight line between them. */
  function between(values, position, start = 0, step = 1) {
    const first = Math.min(Math.max(Math.floor(position) - 1, 0), NODES - 4), u = position - first;
    const at = (i) => values[start + i * step], j = Math.min(Math.floor(position), NODES - 2);
    const value = -(u - 1) * (u - 2) * (u - 3) / 6 * at(first) + u * (u - 2) * (u - 3) / 2 * at(first + 1) -
      u * (u - 1) * (u - 3) / 2 * at(first + 2) + u * (u - 1) * (u - 2) / 6 * at(first + 3);
    return value >= Math.min(at(j), at(j + 1)) ? value : at(j) + (position - j) * (at(j + 1) - at(j));
  }

  /* Losses of the planned domains at the nodes of D and D', of the mean (draw -1) or of a draw. */
  function makeSurface(law, task, draw) {
    task.axes ??= [makeAxis(task.tokens / task.trunks), makeAxis(task.tokens)];
    const [pretrain, specialize] = task.axes;
    const tables = task.names.map((_, k) =>
      law.table(task, k, pretrain.nodes, specialize.nodes, draw).map((loss) => Math.min(loss, MOST)));
    return { pretrain, specialize, tables };
  }

  /* Losses of every domain at a D and the nodes of D'. */
  function rowsAt(surface, pretrain) {
    const position = surface.pretrain.position(pretrain);
    return surface.tables.map((table) =>
      Float64Array.from({ length: NODES }, (_, j) => between(table, position, j, NODES)));
  }

  /* The fall of the weighted loss per token, between neighbouring nodes. Where the loss is not convex it
     is that of the convex hull: neighbours between which the fall grows are pooled. */
  function worthOf(row, axis, weight) {
    const pools = [], worth = new Float64Array(NODES - 1);
    for (let j = 0; j < NODES - 1; j++) {
      let pool = { fall: weight * (row[j] - row[j + 1]), size: axis.nodes[j + 1] - axis.nodes[j], count: 1 };
      for (let last; (last = pools[pools.length - 1]) && last.fall / last.size < pool.fall / pool.size; pools.pop())
        pool = { fall: last.fall + pool.fall, size: last.size + pool.size, count: last.count + pool.count };
      pools.push(pool);
    }
    let j = 0;
    for (const { fall, size, count } of pools) worth.fill(fall / size, j, j += count);
    return worth;
  }

  /* Position in D' at which the worth of a token falls to a price. */
  function positionAt(worth, price) {
    const last = NODES - 2, first = 1.5 * worth[0] - 0.5 * worth[1];
    if (first <= price) return 0;
    if (worth[last] > price) return NODES - 1;
    if (worth[0] <= price) return 0.5 * (first - price) / (first - worth[0]);
    let low = 0, high = last;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (worth[middle] > price) low = middle; else high = middle;
    }
    return low + 0.5 + (worth[low] - price) / (worth[low] - worth[high]);
  }

  /* Divide at most `total` domain tokens: a further token has the same worth for every domain, its
     price. Tokens that lower no loss are left over. Worths are interpolated as their logarithms, and
     linearly around 0. */
  function allocate(worths, axis, total) {
    const knee = KNEE * Math.max(...worths.map((worth) => worth[0]), 1e-300);
    const scaled = worths.map((worth) => worth.map((value) => Math.asinh(value / knee)));
    const wanted = (price) => scaled.map((worth) => axis.value(positionAt(worth, price)));
    const sum = (values) => values.reduce((x, y) => x + y, 0);
    let low = 0, high = Math.max(0, ...scaled.map((worth) => 1.5 * worth[0] - 0.5 * worth[1]));
    for (let i = 0; i < HALVINGS; i++) {
      const middle = (low + high) / 2;
      if (sum(wanted(middle)) > total) low = middle; else high = middle;
    }
    /* Where the worth is constant the two ends differ; the budget is then met between them. */
    const more = wanted(low), less = wanted(high), gap = sum(more) - sum(less);
    const share = gap > 0 ? Math.min(Math.max((total - sum(less)) / gap, 0), 1) : 0;
    return more.map((s, k) => less[k] + share * (s - less[k]));
  }

  /* The best split at a D, with its mean loss from the tables. */
  function splitAt(surface, task, pretrain) {
    const rows = rowsAt(surface, pretrain), axis = surface.specialize;
    const worths = rows.map((row, k) => worthOf(row, axis, task.weights[k]));
    const specialize = allocate(worths, axis, Math.max(0, task.tokens - task.trunks * pretrain));
    const mean = rows.reduce((sum, row, k) => sum + task.weights[k] * between(row, axis.position(specialize[k])), 0);
    return { pretrain, specialize, mean };
  }

  /* Mean loss of a split from the tables of a surface. */
  function meanAt(surface, task, split) {
    const axis = surface.specialize, rows = rowsAt(surface, split.pretrain);
    return rows.reduce((sum, row, k) => sum + task.weights[k] * between(row, axis.position(split.specialize[k])), 0);
  }

  /* The optimal D and D'_k, by a search over a grid of D that is refined around its minimum. */
  function bestSplit(surface, task, { fractions = FRACTIONS, rounds = 8 } = {}) {
    const most = task.tokens / task.trunks, line = (low, high, count) =>
      Array.from({ length: count }, (_, i) => low + (high - low) * i / (count - 1));
    let grid = line(0, most, fractions), best = null;
    for (let round = 0; round <= rounds; round++) {
      const found = grid.map((pretrain) => splitAt(surface, task, pretrain));
      let at = 0;
      found.forEach((split, i) => { if (split.mean < found[at].mean) at = i; });
      if (!best || found[at].mean < best.mean) best = found[at];
      grid = line(grid[Math.max(at - 1, 0)], grid[Math.min(at + 1, grid.length - 1)], ZOOM);
    }
    return best;
  }

  /* Mean loss of each split under the mean, and under every draw: { mean: [splits], drawn: [draws][splits] }. */
  function meanLosses(law, task, splits) {
    const pretrain = Float64Array.from(splits, (split) => split.pretrain);
    const mean = new Float64Array(splits.length);
    const drawn = Array.from({ length: law.draws }, () => new Float64Array(splits.length));
    task.names.forEach((_, k) => {
      const losses = law.losses(task, k, pretrain, Float64Array.from(splits, (split) => split.specialize[k]));
      losses.mean.forEach((loss, i) => { mean[i] += task.weights[k] * loss; });
      losses.drawn.forEach((values, d) => values.forEach((loss, i) => { drawn[d][i] += task.weights[k] * loss; }));
    });
    return { mean, drawn };
  }

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
      params, names, columns: names.map((name) => fit.domains.indexOf(name)), weights: weights.map((w) => w / sum),
      unique: unique || names.map(() => Infinity), uniqueGeneral: uniqueGeneral ?? Infinity,
      trunks: trunk === "independent" ? names.length : 1,
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

  /* The least multiple at which losses fall to a target, linear in its logarithm between two of them. */
  function crossing(losses, target) {
    const at = losses.findIndex((loss) => loss <= target);
    if (at <= 0) return at ? Infinity : FACTORS[0];
    const above = losses[at - 1], share = Number.isFinite(above) ? (above - target) / (above - losses[at]) : 1;
    return FACTORS[at - 1] * (FACTORS[at] / FACTORS[at - 1]) ** share;
  }

  /* How many times the FLOPs a baseline needs for the loss of a split, with its 90% interval over the
     draws: [value, low, high], infinite where no budget up to 1,000 times reaches it. */
  function multiplier(law, task, split, strategy, share) {
    const budgets = FACTORS.map((factor) => {
      const [[, pretrain, specialize]] = baselines({ ...task, tokens: factor * task.tokens }, { [strategy]: share });
      return { pretrain, specialize };
    });
    const { mean, drawn } = meanLosses(law, task, [split, ...budgets]);
    const [value, ...draws] = [mean, ...drawn].map((losses) => crossing(losses.slice(1), losses[0]));
    draws.sort((a, b) => a - b);
    /* Observed values, because there is none between a finite one and infinity. */
    const at = (q) => draws[Math.max(Math.ceil(q * draws.length) - 1, 0)] ?? value;
    return [value, Math.min(at(0.05), value), Math.max(at(0.95), value)];
  }

  const fraction = (task, split) => {
    const specialize = split.specialize.reduce((x, y) => x + y, 0);
    return task.trunks * split.pretrain / Math.max(task.trunks * split.pretrain + specialize, 1e-300);
  };

  return { makeSurface, bestSplit, splitAt, meanAt, meanLosses, interval, flopsPerToken, makeTask, baselines,
    multiplier, fraction };
})();
if (typeof module !== "undefined") module.exports = planner;
