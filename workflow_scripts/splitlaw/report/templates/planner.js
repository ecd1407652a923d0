"use strict";
/* The planner in the browser: the best split of a budget, the losses of given splits, the baselines.
   Amounts are in tokens, losses in nats per token. A split has the tokens D after a base (`pretrain`),
   those of every branch (`branch`), and the share of general tokens in each (`shares`), which is 0 if it
   is left out. The losses are those of law.js; the search reads them from tables at fixed N, those of
   replay.js where shares are chosen. A test compares the results with those of the Python package. */
const planner = (() => {
  /* Nodes of a table in D and in T. They are evenly spaced in log(1 + x / scale), where scale is the
     largest x divided by SPAN: between 41 of them, losses are interpolated with an error of about 1e-6. */
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

  function makeAxis(limit, count) {
    const scale = limit / SPAN, step = Math.log1p(SPAN) / (count - 1);
    return withNodes(count, {
      position: (x) => Math.log1p(Math.max(x, 0) / scale) / step,
      value: (position) => scale * Math.expm1(position * step),
    });
  }
  function withNodes(count, axis) {
    const nodes = Float64Array.from({ length: count }, (_, i) => axis.value(i));
    /* A law may be infinite at 0, where no optimum is then. */
    nodes[0] = 1e-3 * nodes[1];
    return { ...axis, nodes };
  }

  /* Values between the nodes, which are `step` apart in the array, by the cubic polynomial through the
     four nodes around a position. Where it is below both neighbours, as it is beside a steep rise, the
     value is on the straight line between them. */
  function between(values, position, start = 0, step = 1) {
    const count = Math.floor((values.length - 1 - start) / step) + 1;
    const first = Math.min(Math.max(Math.floor(position) - 1, 0), count - 4), u = position - first;
    const at = (i) => values[start + i * step], j = Math.min(Math.floor(position), count - 2);
    const value = -(u - 1) * (u - 2) * (u - 3) / 6 * at(first) + u * (u - 2) * (u - 3) / 2 * at(first + 1) -
      u * (u - 1) * (u - 3) / 2 * at(first + 2) + u * (u - 1) * (u - 2) / 6 * at(first + 3);
    return value >= Math.min(at(j), at(j + 1)) ? value : at(j) + (position - j) * (at(j + 1) - at(j));
  }

  /* Losses of a domain with a share of replay at the nodes of D and T, of the mean (draw -1) or of a draw. */
  function tableAt(law, task, k, share, draw) {
    const [pretrain, branch] = task.axes;
    return law.table(task, k, share, pretrain.nodes, branch.nodes, draw).map((loss) => Math.min(loss, MOST));
  }

  /* Losses of a table at a D and the nodes of T. */
  function rowAt(table, { pretrain, branch }, d) {
    const position = pretrain.position(d), count = branch.nodes.length;
    return Float64Array.from({ length: count }, (_, j) => between(table, position, j, count));
  }

  /* Losses of every domain at a D and the nodes of T, and the most tokens that its branch may have. */
  function makeSurface(law, task, draw) {
    const axes = { pretrain: task.axes[0], branch: task.axes[1] };
    if (task.replay) return { ...axes, rowsAt: task.replay.rowsAt(law, task, axes, draw) };
    const tables = task.names.map((_, k) => tableAt(law, task, k, 0, draw));
    return { ...axes, rowsAt: (d) => tables.map((table) => ({ row: rowAt(table, axes, d), most: Infinity })) };
  }

  /* The fall of the weighted loss per token, between neighbouring nodes. Where the loss is not convex it
     is that of the convex hull: neighbours between which the fall grows are pooled. */
  function worthOf(row, axis, weight) {
    const pools = [], worth = new Float64Array(row.length - 1);
    for (let j = 0; j < worth.length; j++) {
      let pool = { fall: weight * (row[j] - row[j + 1]), size: axis.nodes[j + 1] - axis.nodes[j], count: 1 };
      for (let last; (last = pools[pools.length - 1]) && last.fall / last.size < pool.fall / pool.size; pools.pop())
        pool = { fall: last.fall + pool.fall, size: last.size + pool.size, count: last.count + pool.count };
      pools.push(pool);
    }
    let j = 0;
    for (const { fall, size, count } of pools) worth.fill(fall / size, j, j += count);
    return worth;
  }

  /* Position in T at which the worth of a token falls to a price. */
  function positionAt(worth, price) {
    const last = worth.length - 1, first = 1.5 * worth[0] - 0.5 * worth[1];
    if (first <= price) return 0;
    if (worth[last] > price) return last + 1;
    if (worth[0] <= price) return 0.5 * (first - price) / (first - worth[0]);
    let low = 0, high = last;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (worth[middle] > price) low = middle; else high = middle;
    }
    return low + 0.5 + (worth[low] - price) / (worth[low] - worth[high]);
  }

  /* Divide at most `total` domain tokens: a further token has the same worth for every domain, its
     price, unless the domain has its most. Tokens that lower no loss are left over. Worths are interpolated as their logarithms, and
     linearly around 0. */
  function allocate(worths, most, axis, total) {
    const knee = KNEE * Math.max(...worths.map((worth) => worth[0]), 1e-300);
    const scaled = worths.map((worth) => worth.map((value) => Math.asinh(value / knee)));
    const wanted = (price) => scaled.map((worth, k) => Math.min(axis.value(positionAt(worth, price)), most[k]));
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
    const rows = surface.rowsAt(pretrain), axis = surface.branch;
    const worths = rows.map(({ row }, k) => worthOf(row, axis, task.weights[k]));
    const branch = allocate(worths, rows.map(({ most }) => most), axis, Math.max(0, task.tokens - task.trunks * pretrain));
    const mean = rows.reduce((sum, { row }, k) => sum + task.weights[k] * between(row, axis.position(branch[k])), 0);
    return { pretrain, branch, mean };
  }

  /* The optimal D and T_k, by a search over a grid of D that is refined around its minimum. */
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
      const branch = Float64Array.from(splits, (split) => split.branch[k]);
      const losses = law.losses(task, k, pretrain, branch, splits.map((split) => (split.shares ? split.shares[k] : 0)));
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
  function makeTask(fit, { flops, params, names, weights, unique, uniqueGeneral, trunk }) {
    const sum = weights.reduce((x, y) => x + y, 0), trunks = trunk === "independent" ? names.length : 1;
    const tokens = flops / flopsPerToken(fit.flopsPerToken, params);
    return {
      params, names, weights: weights.map((w) => w / sum), unique, uniqueGeneral, trunks, tokens,
      /* Tokens of a base that D of the law counts, and that the budget does not pay for. */
      start: fit.start, axes: [makeAxis(tokens / trunks, NODES), makeAxis(tokens, NODES)],
      /* Numbers that are computed once for a task. */
      memory: new Map(),
    };
  }

  /* [strategy, D, T_k] of the baselines at the same compute. `shares` are their general fractions by
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
      const [[, pretrain, branch]] = baselines({ ...task, tokens: factor * task.tokens }, { [strategy]: share });
      return { pretrain, branch };
    });
    const { mean, drawn } = meanLosses(law, task, [split, ...budgets]);
    const [value, ...draws] = [mean, ...drawn].map((losses) => crossing(losses.slice(1), losses[0]));
    draws.sort((a, b) => a - b);
    /* Observed values, because there is none between a finite one and infinity. */
    const at = (q) => draws[Math.max(Math.ceil(q * draws.length) - 1, 0)] ?? value;
    return [value, Math.min(at(0.05), value), Math.max(at(0.95), value)];
  }

  /* Tokens that a split trains on, and the share of them before the branches. */
  const tokensOf = (task, split) => task.trunks * split.pretrain + split.branch.reduce((x, y) => x + y, 0);
  const fraction = (task, split) => task.trunks * split.pretrain / Math.max(tokensOf(task, split), 1e-300);

  return { makeAxis, withNodes, between, rowAt, tableAt, makeSurface, bestSplit, splitAt, meanLosses, interval, makeTask, baselines, multiplier,
    tokensOf, fraction };
})();
if (typeof module !== "undefined") module.exports = planner;
