"use strict";
/* The explorer: from the settings of its controls to its results. The arithmetic is in planner.js and
   replay.js, the settings are in controls.js, figures and tables in figures.js. */
(() => {
  const root = document.getElementById("explorer");
  const fit = JSON.parse(document.getElementById("explorer-data").textContent);
  const law = makeLaw(fit), general = fit.general && makeLaw(fit.general);
  const controls = makeControls(root, fit), figures = makeFigures(fit, controls);
  const { find, short } = controls, { percent, loss, listing } = figures;
  /* Points of the curve, enough to appear smooth; each takes longer with replay. */
  const FRACTIONS = 33, FRACTIONS_WITH_REPLAY = 17;
  /* Milliseconds without input before the intervals of the optimum are computed, and the time after
     which their computation lets the page respond: less than a frame at 60 Hz. */
  const PAUSE = 120, SLICE = 15;

  /* The page opens with the settings of a plan, whose intervals are from all draws of the law. They are
     shown unless the plan has another loss, because of an option that the page does not have. */
  const asText = (settings) => JSON.stringify({ ...settings, flops: settings.flops.toPrecision(6), params: settings.params.toPrecision(6) });
  const initial = asText(controls.read());
  const SAME_LOSS = 1e-3;
  const plannedFor = (settings, loss) =>
    (fit.planned && asText(settings) === initial && Math.abs(loss / fit.planned.mean - 1) < SAME_LOSS ? fit.planned : null);

  let timer = 0, shown = null;

  /* ---- computation ---- */
  const line = (count) => Array.from({ length: count }, (_, i) => i / (count - 1));
  const sum = (values) => values.reduce((x, y) => x + y, 0);
  const weighted = (task, values) => sum(values.map((value, k) => task.weights[k] * value));

  /* The task of the settings, its best split, its baselines and the splits of the curve; the best split is
     null where none keeps the limit. */
  function splitsWithout(task) {
    const surface = planner.makeSurface(law, task, -1);
    const baselines = planner.baselines(task, fit.generalFractions)
      .map(([strategy, pretrain, branch]) => ({ strategy, split: { pretrain, branch } }));
    const curve = line(FRACTIONS).map((share) => ({ share, split: planner.splitAt(surface, task, share * task.tokens / task.trunks) }));
    return { best: planner.bestSplit(surface, task), baselines, curve };
  }
  function splitsWith(task) {
    const best = replay.best(law, task);
    if (!best) return { best };
    const surface = planner.makeSurface(law, task, -1);
    const baselines = Object.entries(fit.replayShares).map(([strategy, share]) =>
      ({ strategy, split: { ...best, shares: best.branch.map((tokens) => (tokens > 0 ? share : 0)) } }));
    const curve = line(FRACTIONS_WITH_REPLAY).map((share) =>
      ({ share, split: replay.settled(law, task, planner.splitAt(surface, task, share * task.tokens / task.trunks)) }));
    /* A limit may leave few other fractions than that of the best split. */
    curve.push({ share: planner.fraction(task, best), split: best });
    return { best, baselines, curve: curve.filter((at) => at.split).sort((a, b) => a.share - b.share) };
  }

  function solve(settings) {
    const task = controls.replays(settings) ? replay.makeTask(fit, settings, general) : planner.makeTask(fit, settings);
    const { best, baselines, curve } = task.replay ? splitsWith(task) : splitsWithout(task);
    if (!best) return { settings, task, best };
    const { mean, drawn } = planner.meanLosses(law, task, [best, ...baselines.map((one) => one.split), ...curve.map((at) => at.split)]);
    const band = (i) => planner.interval(drawn.map((draw) => draw[i]), mean[i]);
    const rows = baselines.map((one, i) => ({
      ...one, mean: mean[i + 1], band: band(i + 1), above: mean[i + 1] - mean[0],
      worse: drawn.length && Number.isFinite(mean[i + 1])
        ? drawn.filter((draw) => draw[i + 1] > draw[0]).length / drawn.length : null,
    }));
    const first = 1 + baselines.length, planned = plannedFor(settings, mean[0]);
    if (planned) rows.forEach((row) => {
      const { band: known, worse } = planned.baselines[row.strategy] || {};
      Object.assign(row, known ? { band: known, worse } : {});
    });
    return {
      settings, task, planned, best: { ...best, mean: mean[0] }, rows, expected: planned ? planned.expected : band(0), own: drawn.map((draw) => draw[0]),
      curve: curve.map(({ share }, i) => ({ share, mean: mean[first + i], band: band(first + i) })).filter((at) => Number.isFinite(at.mean)),
      share: planner.fraction(task, best), general: task.general && generalOf(task, best, rows),
    };
  }
  /* General losses of the specialists of the plan and of its baselines. */
  function generalOf(task, best, rows) {
    for (const row of rows) {
      row.general = weighted(task, replay.generalLosses(task, row.split));
      row.rise = Math.max(...replay.rises(task, row.split));
    }
    const losses = replay.generalLosses(task, best);
    return { losses, mean: weighted(task, losses), rises: replay.rises(task, best) };
  }

  /* The interval of the optimum and the expected regret require the optimum of every draw, the compute
     multipliers losses at many budgets, and the front the best splits under several limits. They are
     computed after a pause in the input, in jobs of some milliseconds between which the page responds. */
  function computeLater(found, done) {
    const { task, best, rows } = found, shares = [], regrets = [], multipliers = {}, front = [];
    const jobs = Array.from({ length: law.draws }, (_, draw) => () => {
      const own = planner.bestSplit(planner.makeSurface(law, task, draw), task, { fractions: 17, rounds: 4 });
      shares.push(planner.fraction(task, own));
      regrets.push(Math.max(found.own[draw] - own.mean, 0));
    });
    if (task.general) jobs.unshift(...replay.front(law, task).map((job) => () => front.push(job())));
    if (!task.replay) jobs.push(...rows.map(({ strategy }) => () => {
      multipliers[strategy] = planner.multiplier(law, task, best, strategy, fit.generalFractions[strategy]);
    }));
    const some = () => {
      const until = performance.now() + SLICE;
      while (jobs.length && performance.now() < until) jobs.shift()();
      if (jobs.length) timer = setTimeout(some, 0);
      else done(withPlanned({ multipliers, front: frontOf(task, front.filter(Boolean)), ends: planner.interval(shares, found.share),
        regret: law.draws ? sum(regrets) / law.draws : null }, found.planned));
    };
    some();
  }
  /* What is shown of a plan with its own settings. */
  function withPlanned(later, planned) {
    if (!planned) return later;
    const known = Object.entries(planned.baselines).filter(([, { multiplier }]) => multiplier)
      .map(([strategy, { multiplier }]) => [strategy, multiplier.map((times) => times ?? Infinity)]);
    return { ...later, ends: planned.ends, regret: planned.regret ?? later.regret,
      multipliers: { ...later.multipliers, ...Object.fromEntries(known) } };
  }
  function frontOf(task, splits) {
    const { mean, drawn } = planner.meanLosses(law, task, splits);
    return splits.map((split, i) => ({
      split, mean: mean[i], band: planner.interval(drawn.map((draw) => draw[i]), mean[i]), fraction: planner.fraction(task, split),
      general: weighted(task, replay.generalLosses(task, split)), rise: Math.max(...replay.rises(task, split)),
    }));
  }

  /* ---- sentences ---- */
  const small = (share) => (share > 0 && share < 5e-6 ? "less than 0.001%" : percent(share, 3));
  /* Domains that a sentence names; of more, it gives the range. */
  const MOST_NAMED = 10;
  function sentence(found, later) {
    const { task, best, expected, general: after } = found, ends = later && later.ends, used = planner.tokensOf(task, best);
    const [from, to] = (ends || [0, 0]).map((share) => percent(share, 0)), range = from === to ? "" : ` (90% interval ${from} to ${to})`;
    const interval = expected[0] < expected[1] ? ` (${loss(expected[0])} to ${loss(expected[1])})` : "";
    const rise = after ? ` The general loss of the specialists rises by at most ${percent(Math.max(...after.rises))}.` : "";
    const regret = later && later.regret !== null ? ` The expected regret is ${small(later.regret / best.mean)} of the loss.` : "";
    const unspent = 1 - used / task.tokens;
    const rest = unspent > figures.UNSPENT ? ` This leaves ${percent(unspent)} of the budget unspent: more tokens would lower no loss.` : "";
    return `${instruction(found, range, used)}; expect a mean loss of ${loss(best.mean)}${interval} nats per token.${rise}${rest}${regret}`;
  }
  /* Share of the tokens that is shown as none. */
  const NONE = 5e-4;

  function instruction({ task, best, share }, range, used) {
    const begin = fit.base ? "From the base, train" : "Train";
    const trained = task.names.map((name, k) => ({ name, share: best.branch[k] / used, replay: best.shares ? best.shares[k] : 0 }));
    const [some, none] = [trained.filter((one) => one.share >= NONE), trained.filter((one) => one.share < NONE)];
    if (!some.length) return `${fit.base ? "From the base, do" : "Do"} not split: train one model on ${short(used)} tokens of general text`;
    const rest = none.length ? `, and none on ${none.length > MOST_NAMED ? `${none.length} domains` : listing(none.map((one) => one.name))}` : "";
    if (share < NONE) return `${begin} on no general text${range}, only ${short(used)} tokens: ${branches(some)}${rest}`;
    return `${begin} ${percent(share, 0)}${range} of ${short(used)} tokens on general text, then ${branches(some)}${rest}`;
  }
  function branches(trained) {
    if (trained.length <= MOST_NAMED)
      return listing(trained.map((one) => `${percent(one.share)} on ${one.name}${one.replay > 0 ? ` with ${percent(one.replay, 0)} replay` : ""}`));
    const shares = trained.map((one) => one.share), ends = [Math.min(...shares), Math.max(...shares)].map((share) => percent(share));
    return `${percent(sum(shares))} on ${shares.length} domains, ${ends[0] === ends[1] ? ends[0] : ends.join(" to ")} on each`;
  }

  function extrapolation({ task, best }) {
    const special = best.branch.map((tokens, k) => (1 - (best.shares ? best.shares[k] : 0)) * tokens);
    const planned = { params: ["model size", task.params], pretrain_tokens: ["number of general tokens", task.start + best.pretrain],
      specialize_tokens: ["number of domain tokens", Math.max(...special)] };
    const beyond = Object.entries(planned).flatMap(([column, [name, value]]) => {
      const [low, high] = fit.range[column];
      if (value > 1.001 * high && high > 0) return [`${+(value / high).toPrecision(2)} times the largest ${name} in the fit`];
      if (value > 0 && value < 0.999 * low) return [`${+(value / low).toPrecision(2)} times the smallest ${name} in the fit`];
      return [];
    });
    return beyond.length ? `Extrapolates: ${beyond.join("; ")}.` : "Within the range of the fit.";
  }

  /* Tokens that a plan of the Python package may have, as numbers above it are not exact. */
  const MOST_TOKENS = 2 ** 53;
  /* Why there is no result for the settings; empty if there is one. */
  function refusal(settings, found) {
    if (!settings.names.length) return "Select at least one domain.";
    if (controls.problem()) return controls.problem();
    if (controls.replays(settings) && [...settings.unique, settings.uniqueGeneral].some(Number.isFinite))
      return "This page does not count repeated text in plans with replay or with a limit on general loss: clear the unique tokens, or use splitlaw choose_split.";
    const { tokens, trunks } = planner.makeTask(fit, settings), models = trunks + settings.names.length;
    if (tokens < models) return `This budget pays for ${tokens.toPrecision(2)} tokens, less than one for each of ${models} models; raise it, or choose a smaller size.`;
    if (tokens > MOST_TOKENS) return `This budget pays for ${tokens.toExponential(1)} tokens; a plan has at most ${MOST_TOKENS.toExponential(1)}. Lower it, or choose a larger size.`;
    if (!found || found.best) return "";
    const nearest = Math.ceil(1000 * replay.lowestRise(found.task).rise) / 10;
    return `No plan of this budget keeps this limit; the nearest limit that one keeps is ${nearest.toFixed(1)}%.`;
  }

  /* ---- redrawing ---- */
  function redraw() {
    const began = performance.now(), settings = controls.read();
    clearTimeout(timer);
    controls.label(settings);
    find("status").textContent = "";
    const found = refusal(settings) ? null : solve(settings), refused = refusal(settings, found);
    find("results").hidden = Boolean(refused);
    if (refused) {
      shown = null;
      find("answer").textContent = refused;
      find("beyond").textContent = "";
      timer = setTimeout(() => { find("status").textContent = refused; }, PAUSE);
    } else {
      shown = found;
      show(null);
      timer = setTimeout(() => computeLater(shown, (later) => { show(later); find("status").textContent = find("answer").textContent; }), PAUSE);
    }
    root.dataset.milliseconds = (performance.now() - began).toFixed(1);
  }
  function show(later) {
    shown.later = later;
    const text = sentence(shown, later);
    find("answer").textContent = text;
    find("beyond").textContent = extrapolation(shown);
    find("command").textContent = controls.command(shown.settings);
    find("config").textContent = controls.config(shown.settings, shown.task.tokens);
    if (find("next-runs")) find("next-runs").textContent = controls.nextRuns(shown.settings);
    figures.drawCurve(shown, later && later.ends, `Loss against the general fraction. ${text}`);
    figures.splitTable(shown);
    figures.recipesTable(shown, later);
    figures.curveTable(shown);
    if (!find("front-part")) return;
    find("front-part").hidden = !shown.general;
    if (!shown.general || !later) return;
    figures.drawFront({ ...shown, ...later }, `Mean domain loss against mean general loss. ${text}`);
    figures.frontTable(later);
  }
  function save() {
    const { settings, task, best, share, expected } = shown;
    const byName = (values) => Object.fromEntries(task.names.map((name, k) => [name, values[k]]));
    const replayed = best.branch.map((tokens, k) => Math.round(Math.floor(tokens) * (best.shares ? best.shares[k] : 0)));
    const content = { flops: settings.flops, params: settings.params, trunk: settings.trunk,
      pretrain_tokens: Math.floor(task.start + best.pretrain), fraction_general: share,
      specialize_tokens: byName(best.branch.map((tokens, k) => Math.floor(tokens) - replayed[k])),
      ...(best.shares ? { replay: byName(best.shares), replay_tokens: byName(replayed) } : {}),
      predicted_mean_loss: [best.mean, ...expected] };
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([JSON.stringify(content, null, 1)], { type: "application/json" }));
    link.download = "split.json";
    link.click();
    URL.revokeObjectURL(link.href);
  }

  /* The address changes after a pause, because browsers limit how often it may. */
  let address = 0;
  function changed() {
    redraw();
    clearTimeout(address);
    address = setTimeout(controls.toAddress, PAUSE);
  }
  /* A number that is being typed counts when it is entered. */
  root.addEventListener("input", ({ target }) => { if (target.type !== "text") changed(); });
  find("form").addEventListener("reset", () => setTimeout(changed, 0));
  for (const name of ["flops", "params"]) find(`${name}-number`).addEventListener("change", () => controls.enter(name) && changed());
  window.addEventListener("hashchange", () => controls.fromAddress() && redraw());
  window.addEventListener("resize", () => shown && show(shown.later));
  find("save").addEventListener("click", save);
  controls.fromAddress();
  redraw();
})();
