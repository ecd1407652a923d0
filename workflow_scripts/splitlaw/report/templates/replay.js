"use strict";
/* Shares of replay in the browser: the best share of general tokens in every branch, within a limit on
   the general loss of its specialist, as in splitlaw/planner/replay.py. A task with replay has these
   fields beside those of planner.js:
     shares     given share of each domain, null where it is chosen
     most       largest chosen share
     general    law of the general loss of specialists (law.js), null without one
     reference  general loss from which rises are counted, of each specialist
     rise       largest relative rise of general loss, Infinity without a limit
     margins    parts by which each prediction is below the limit, for the certainty of the plan
     replay     this module */
const replay = (() => {
  /* Shares at which losses are tabulated, and points between two of them at which they are compared. */
  const NODES = 5, FINE = 8, POINTS = FINE * (NODES - 1) + 1;
  /* Nodes of a table in D and in T, fewer because there are tables of several shares and of two laws.
     Those in D are dense at both ends, with steps of even factors below EDGE of the tokens and even
     steps between: without a base, a limit requires nearly all of them. */
  const TRUNK = 25, TOKENS = 21, EDGE = 3e-3;
  /* Unit of the coordinate log(1 + r / 0.1) in which shares are evenly spaced; shares of a plan are
     rounded up to multiples of `ROUND`. */
  const SCALE = 0.1, ROUND = 1e-3;
  /* Domain loss that an excess of general loss counts as in a search; excess that is a rounding error. */
  const PENALTY = 1e3, KEPT = 1e-5;
  /* Values of D in the first search for the optimal one, and further searches, as in planner.js. */
  const SEARCH = { fractions: 21, rounds: 5 };
  /* Bisections of the tokens of a branch that exceeds its limit; limits of a front. */
  const HALVINGS = 16, LIMITS = 11;

  /* Shares of a domain that are compared: `count` of them where the share is not given. */
  function sharesOf(task, k, count) {
    if (task.shares[k] !== null) return [task.shares[k]];
    const top = Math.log1p(task.most / SCALE);
    return Array.from({ length: count }, (_, i) => SCALE * Math.expm1(top * i / (count - 1)));
  }
  const limitOf = (task, k) => (1 + task.rise) * task.reference[k] / (1 + task.margins[k]);
  const limited = (task) => Number.isFinite(task.rise);

  /* The values of POINTS shares from those of the NODES tables at one place, by cubic interpolation. */
  const weights = Array.from({ length: POINTS }, (_, i) => {
    const position = i / FINE, first = Math.min(Math.max(Math.floor(position) - 1, 0), NODES - 4), u = position - first;
    return [first, -(u - 1) * (u - 2) * (u - 3) / 6, u * (u - 2) * (u - 3) / 2,
      -u * (u - 1) * (u - 3) / 2, u * (u - 1) * (u - 2) / 6];
  });
  function fill(values, tables, at) {
    if (tables.length === 1) { values[0] = tables[0][at]; return; }
    for (let i = 0; i < POINTS; i++) {
      const [n, a, b, c, d] = weights[i];
      values[i] = a * tables[n][at] + b * tables[n + 1][at] + c * tables[n + 2][at] + d * tables[n + 3][at];
    }
  }

  /* The lowest loss over shares within a limit on general loss, and its position. Where the general loss
     crosses the limit between two shares, both losses are linear between them. Where no share keeps the
     limit, it is the one of the least general loss, with a penalty. Without a limit, `general` is null. */
  function lowest(losses, general, limit) {
    let value = Infinity, position = 0, least = 0;
    for (let i = 0; i < losses.length; i++) {
      const inside = !general || general[i] <= limit;
      if (general && general[i] < general[least]) least = i;
      if (inside && losses[i] < value) { value = losses[i]; position = i; }
      if (!general || !i || inside === general[i - 1] <= limit) continue;
      const part = (limit - general[i - 1]) / (general[i] - general[i - 1]);
      const crossing = losses[i - 1] + part * (losses[i] - losses[i - 1]);
      if (crossing < value) { value = crossing; position = i - 1 + part; }
    }
    if (Number.isFinite(value)) return { value, position, least };
    return { value: losses[least] + PENALTY * (general[least] - limit), position: least, least };
  }

  function makeTrunkAxis(limit) {
    const end = Math.log((1 + EDGE) / EDGE), whole = 1 + 2 * EDGE;
    return planner.withNodes(TRUNK, {
      value: (position) => limit * (whole / (1 + Math.exp(end * (1 - 2 * position / (TRUNK - 1)))) - EDGE),
      position: (x) => {
        const part = Math.min(Math.max(x / limit, 0), 1);
        return (TRUNK - 1) / 2 * (1 + Math.log((part + EDGE) / (1 + EDGE - part)) / end);
      },
    });
  }

  /* Losses of a domain at the nodes of D and T at each tabulated share; those of the mean are computed
     once for a task. */
  function tablesOf(law, task, k, draw = -1) {
    const make = () => sharesOf(task, k, NODES).map((share) => planner.tableAt(law, task, k, share, draw));
    if (draw >= 0) return make();
    const key = `${law === task.general ? "general" : "domain"} tables ${k}`;
    if (!task.memory.has(key)) task.memory.set(key, make());
    return task.memory.get(key);
  }

  /* Losses of each domain with its best share, at a D and the nodes of T: a function of D. The branch has
     at most the tokens that keep the limit. The tables are of the mean (draw -1) or of a draw, those of
     general loss of the mean. */
  function rowsAt(law, task, axes, draw) {
    const known = task.names.map((_, k) => tablesOf(law, task, k, draw));
    return (d) => known.map((tables, k) => {
      const rowsOf = (several) => several.map((table) => planner.rowAt(table, axes, d));
      const domain = rowsOf(tables), general = limited(task) ? rowsOf(tablesOf(task.general, task, k)) : null;
      return bestRow(task, k, domain, general, axes.branch);
    });
  }
  function bestRow(task, k, domain, general, axis) {
    const count = sharesOf(task, k, POINTS).length, limit = limitOf(task, k), row = new Float64Array(TOKENS);
    const losses = new Float64Array(count), after = general && new Float64Array(count), excess = new Float64Array(TOKENS);
    for (let j = 0; j < TOKENS; j++) {
      fill(losses, domain, j);
      if (general) fill(after, general, j);
      const { value, least } = lowest(losses, after, limit);
      row[j] = value;
      if (general) excess[j] = after[least] - limit;
    }
    /* Beyond the longest branch within the limit, losses have no penalty, so that they are smooth there. */
    let last = TOKENS - 1;
    while (last >= 0 && excess[last] > 0) last--;
    if (last < 0 || last === TOKENS - 1) return { row, most: Infinity };
    for (let j = last + 1; j < TOKENS; j++) row[j] -= PENALTY * excess[j];
    return { row, most: axis.value(last + excess[last] / (excess[last] - excess[last + 1])) };
  }

  /* Losses of branch k of D and T at the compared shares: from the tables, or `exact` from the law. */
  function atShares(law, task, k, pretrain, branch, exact) {
    const shares = sharesOf(task, k, POINTS), same = (value) => shares.map(() => value);
    if (exact) return law.losses(task, k, same(pretrain), same(branch), shares, true).mean;
    const axes = { pretrain: task.axes[0], branch: task.axes[1] }, found = new Float64Array(shares.length);
    fill(found, tablesOf(law, task, k).map((table) =>
      [planner.between(planner.rowAt(table, axes, pretrain), axes.branch.position(branch))]), 0);
    return found;
  }

  /* The best share of a branch, and whether it keeps the limit. */
  function bestShare(law, task, k, pretrain, branch, exact) {
    const shares = sharesOf(task, k, POINTS), limit = limitOf(task, k);
    const general = limited(task) ? atShares(task.general, task, k, pretrain, branch, exact) : null;
    const { position } = lowest(atShares(law, task, k, pretrain, branch, exact), general, limit);
    const i = Math.min(Math.floor(position), Math.max(shares.length - 2, 0)), part = position - i;
    const at = (values) => (shares.length > 1 ? values[i] + part * (values[i + 1] - values[i]) : values[0]);
    /* General loss falls with the share: rounding up keeps the limit. */
    const share = task.shares[k] ?? Math.ceil(at(shares) / ROUND - ROUND) * ROUND;
    return { share: branch > 0 ? share : 0, kept: !general || at(general) <= limit * (1 + KEPT) };
  }

  /* A split with its shares, every branch as long as its limit allows; null where none keeps it. */
  function settled(law, task, { pretrain, branch }, exact = false) {
    const found = branch.map((most, k) => {
      let best = { ...bestShare(law, task, k, pretrain, most, exact), tokens: most };
      if (best.kept) return best;
      for (let i = 0, low = 0, high = most; i < HALVINGS; i++) {
        const tokens = (low + high) / 2, one = bestShare(law, task, k, pretrain, tokens, exact);
        if (one.kept) { low = tokens; best = { ...one, tokens }; } else high = tokens;
      }
      return best;
    });
    if (found.some((one) => !one.kept)) return null;
    return { pretrain, branch: found.map((one) => one.tokens), shares: found.map((one) => one.share) };
  }

  /* The lowest rise of general loss that some split has, from the tables: { rise, split }. Each branch has
     at most an even share of what D leaves. */
  function lowestRise(task) {
    const [pretrain, branch] = task.axes.map((axis) => axis.nodes), tables = task.names.map((_, k) => tablesOf(task.general, task, k));
    let found = { rise: Infinity };
    pretrain.forEach((d, i) => {
      const each = Math.max((task.tokens - task.trunks * d) / task.names.length, branch[0]) * (1 + 1e-9);
      const own = tables.map((several, k) => {
        let best = { rise: Infinity, tokens: 0 };
        for (let j = 0; j < TOKENS && branch[j] <= each; j++) {
          const bound = (1 + task.margins[k]) * Math.min(...several.map((table) => table[i * TOKENS + j]));
          const rise = bound / task.reference[k] - 1;
          if (rise < best.rise) best = { rise, tokens: branch[j] };
        }
        return best;
      });
      const rise = Math.max(...own.map((one) => one.rise));
      if (rise < found.rise) found = { rise, split: { pretrain: d, branch: own.map((one) => one.tokens) } };
    });
    return found;
  }

  /* The best split within the limit, with its shares; null where no split keeps it. */
  function best(law, task) {
    const least = limited(task) ? lowestRise(task) : null;
    if (least && task.rise < least.rise) return null;
    const found = settled(law, task, planner.bestSplit(planner.makeSurface(law, task, -1), task, SEARCH), true);
    return found || settled(law, task, least.split);
  }

  /* General loss of every specialist of a split. */
  const generalLosses = (task, { pretrain, branch, shares }) => task.names.map((_, k) =>
    task.general.losses(task, k, [pretrain], [branch[k]], [shares[k]], true).mean[0]);
  const rises = (task, split) => generalLosses(task, split).map((loss, k) => loss / task.reference[k] - 1);

  /* The best splits under limits from the lowest rise to that without a limit: functions that each
     find one of them, because each takes some milliseconds. */
  function front(law, task) {
    const free = { ...task, rise: Infinity, margins: task.names.map(() => 0) }, end = best(law, free);
    const highest = Math.max(...rises(free, end)), lowest = Math.min(lowestRise(free).rise, highest);
    const limits = Array.from({ length: LIMITS - 1 }, (_, i) => lowest + (highest - lowest) * i / (LIMITS - 1));
    return [...limits.map((rise) => () => best(law, { ...free, rise })), () => end];
  }

  /* The settings of a plan with replay in the units of the arithmetic. */
  function makeTask(fit, settings, general) {
    const { shares, rise } = settings, task = planner.makeTask(fit, settings);
    const axes = [makeTrunkAxis(task.tokens / task.trunks), planner.makeAxis(task.tokens, TOKENS)];
    const made = { ...task, axes, shares, rise: rise ?? Infinity, most: fit.mostReplay, general, replay: { rowsAt } };
    /* Margins are those of the plan of the page; a domain that it has not takes its largest. */
    const known = fit.margins || {}, largest = Math.max(0, ...Object.values(known));
    made.margins = task.names.map((name) => known[name] ?? largest);
    const tokens = fit.base ? 0 : task.tokens;
    made.reference = task.names.map((_, k) => fit.reference ??
      (general ? general.losses(task, k, [tokens], [0], [0], true).mean[0] : Infinity));
    return made;
  }

  return { makeTask, best, settled, front, lowestRise, generalLosses, rises };
})();
if (typeof module !== "undefined") module.exports = replay;
