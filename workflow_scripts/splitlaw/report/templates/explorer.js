"use strict";
/* Controls, sentences and figures of the explorer. The arithmetic is in planner.js. */
(() => {
  const root = document.getElementById("explorer");
  const fit = JSON.parse(document.getElementById("explorer-data").textContent);
  const law = makeLaw(fit);
  const find = (name) => root.querySelector(`[data-is="${name}"]`);
  /* Points of the curve, enough to appear smooth. */
  const FRACTIONS = 33;
  /* Milliseconds without input before the interval of the optimum is computed, and the longest time
     that its computation blocks the page: less than a frame at 60 Hz. */
  const PAUSE = 120, SLICE = 15;

  const short = (value) => {
    for (const [scale, letter] of [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "k"]])
      if (value >= 0.9995 * scale) return `${+(value / scale).toPrecision(3)}${letter}`;
    return String(Math.round(value));
  };
  const percent = (value, digits = 1) => `${(100 * value).toFixed(digits)}%`;
  const loss = (value) => (Number.isFinite(value) ? value.toFixed(3) : "none");
  const escape = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

  let later = 0, shown = null;

  /* ---- settings ---- */
  function readSettings() {
    const names = [], weights = [], unique = [];
    root.querySelectorAll("[data-domain]").forEach((row) => {
      if (!row.querySelector("[data-is=use]").checked) return;
      names.push(row.dataset.domain);
      weights.push(Math.max(Number(row.querySelector("[data-is=weight]").value) || 0, 1e-6));
      const limit = Number(row.querySelector("[data-is=unique]").value);
      unique.push(limit > 0 ? limit : Infinity);
    });
    return {
      names, weights, unique, flops: 10 ** Number(find("flops").value), params: 10 ** Number(find("params").value),
      trunk: find("trunk").value,
    };
  }

  /* ---- computation ---- */
  function solve(settings) {
    const task = planner.makeTask(fit, settings), surface = planner.makeSurface(law, task, -1);
    const best = planner.bestSplit(surface, task);
    const baselines = planner.baselines(task, fit.generalFractions);
    const shares = Array.from({ length: FRACTIONS }, (_, i) => i / (FRACTIONS - 1));
    const splits = [best, ...baselines.map(([, pretrain, specialize]) => ({ pretrain, specialize })),
      ...shares.map((share) => planner.splitAt(surface, task, share * task.tokens / task.trunks))];
    const { mean, drawn } = planner.meanLosses(law, task, splits);
    const band = (i) => planner.interval(drawn.map((draw) => draw[i]), mean[i]);
    const rows = baselines.map(([strategy], i) => ({
      strategy, split: splits[i + 1], mean: mean[i + 1], above: mean[i + 1] - mean[0],
      worse: drawn.length && Number.isFinite(mean[i + 1])
        ? drawn.filter((draw) => draw[i + 1] > draw[0]).length / drawn.length : null,
    }));
    const first = 1 + baselines.length;
    const curve = shares.map((share, i) => ({ share, mean: mean[first + i], band: band(first + i) }))
      .filter((at) => Number.isFinite(at.mean));
    best.mean = mean[0];
    return { settings, task, best, rows, curve, expected: band(0), share: planner.fraction(task, best) };
  }

  /* The interval of the optimum and the expected regret require the optimum of every draw, the compute
     multipliers losses at many budgets. They are computed after a pause in the input, a few draws at a time, so that the page responds to the next
     input at once. */
  function optimaOfDraws(found, done) {
    const { task, best } = found, shares = [], regrets = [], multipliers = {}, waiting = [...found.rows];
    const some = () => {
      const until = performance.now() + SLICE;
      while (waiting.length && performance.now() < until) {
        const { strategy } = waiting.pop();
        multipliers[strategy] = planner.multiplier(law, task, best, strategy, fit.generalFractions[strategy]);
      }
      while (shares.length < law.draws && performance.now() < until) {
        const surface = planner.makeSurface(law, task, shares.length);
        const own = planner.bestSplit(surface, task, { fractions: 17, rounds: 4 });
        shares.push(planner.fraction(task, own));
        regrets.push(Math.max(planner.meanAt(surface, task, best) - own.mean, 0));
      }
      if (waiting.length || shares.length < law.draws) later = setTimeout(some, 0);
      else done({ multipliers, ends: planner.interval(shares, found.share),
        regret: law.draws ? regrets.reduce((x, y) => x + y, 0) / law.draws : null });
    };
    some();
  }

  /* ---- sentences ---- */
  function sentence(found, optima) {
    const { task, best, expected } = found, ends = optima && optima.ends;
    const names = task.names.map((name, k) => `${percent(best.specialize[k] / task.tokens)} on ${name}`);
    const range = ends && ends[0] < ends[1] ? ` (90% interval ${percent(ends[0], 0)} to ${percent(ends[1], 0)})` : "";
    const interval = expected[0] < expected[1] ? ` (${loss(expected[0])} to ${loss(expected[1])})` : "";
    const regret = optima && optima.regret !== null ? ` The expected regret is ${percent(optima.regret / best.mean, 3)} of the loss.` : "";
    return `Train ${percent(found.share, 0)}${range} of ${short(task.tokens)} tokens on general text, then ` +
      `${names.join(", ")}; expect a mean loss of ${loss(best.mean)}${interval} nats per token.${regret}`;
  }

  function extrapolation(found) {
    const planned = { params: ["N", found.task.params], pretrain_tokens: ["D", found.best.pretrain],
      specialize_tokens: ["D′", Math.max(...found.best.specialize)] };
    const beyond = Object.entries(planned).flatMap(([column, [name, value]]) => {
      const [low, high] = fit.range[column];
      if (value > 1.001 * high && high > 0) return [`${+(value / high).toPrecision(2)} times the largest ${name} in the fit`];
      if (value > 0 && value < 0.999 * low) return [`${+(value / low).toPrecision(2)} times the smallest ${name} in the fit`];
      return [];
    });
    return beyond.length ? `Extrapolates: ${beyond.join("; ")}.` : "Within the range of the fit.";
  }

  /* A word of a shell command, and a list of names as `--domains` reads it. */
  const word = (text) => (/^[\w.,=:\/+-]+$/.test(text) ? text : `'${text.replace(/'/g, "'\\''")}'`);
  const list = (names) => names.map((n) => (/[",]|^\s/.test(n) ? `"${n.replace(/"/g, '""')}"` : n)).join(",");

  function command(found) {
    const { settings } = found;
    const parts = [`splitlaw choose_split --law ${word(fit.file)}`, `--flops ${settings.flops.toPrecision(6)}`,
      `--params ${Math.round(settings.params)}`, `--domains ${word(list(settings.names))}`, `--trunk ${settings.trunk}`];
    if (new Set(settings.weights).size > 1) parts.push(`--weights ${settings.names.map((n, k) => word(`${n}=${settings.weights[k]}`)).join(" ")}`);
    const limited = settings.names.filter((_, k) => Number.isFinite(settings.unique[k]));
    if (limited.length) parts.push(`--unique-tokens ${limited.map((n) => word(`${n}=${settings.unique[settings.names.indexOf(n)]}`)).join(" ")}`);
    return `${parts.join(" \\\n    ")} \\\n    --out plan.json`;
  }

  /* A configuration file with which the workflow trains this split. */
  function config(found) {
    const { settings, task } = found;
    const near = Object.entries(fit.sizes).find(([, n]) => Math.abs(n / settings.params - 1) < 0.005);
    const known = Object.entries(fit.sizes).map(([name, n]) => `${name} ${short(n)}`).join(", ");
    const size = near ? near[0] : `NAME  # add a size of about ${short(settings.params)} parameters to sizes${known ? ` (now: ${known})` : ""}`;
    const differs = [];
    if (settings.trunk !== "shared") differs.push("independent trunks");
    if (new Set(settings.weights).size > 1) differs.push("weights");
    if (settings.names.length < fit.domains.length) differs.push("a subset of the domains");
    const note = differs.length ? `# The workflow makes its own plan, without ${differs.join(" and ")}; its split will differ.\n` : "";
    return `# split.yaml; then: splitlaw run train_final --configfile split.yaml\n${note}` +
      `final:\n  size: ${size}\n  budget_tokens: ${Math.round(task.tokens)}`;
  }

  /* ---- figures ---- */
  function drawCurve(found, ends) {
    const narrow = root.clientWidth < 480;
    const [w, h, left, right, top, bottom] = [narrow ? 380 : 520, 300, 52, 22, 12, 42];
    const points = [...found.rows.map((row) => row.mean), ...found.curve.map((at) => at.mean)].filter(Number.isFinite);
    const low = Math.min(...points), high = Math.max(...points), room = 0.12 * (high - low) + 1e-4;
    const x = (share) => left + share * (w - left - right);
    const y = (value) => top + (high + room - value) / (high - low + 2 * room) * (h - top - bottom);
    const clip = (value) => Math.min(Math.max(value, low - room), high + room);
    const line = (values) => values.map(([a, b], i) => `${i ? "L" : "M"}${x(a).toFixed(1)} ${y(clip(b)).toFixed(1)}`).join("");
    const upper = found.curve.map((at) => [at.share, at.band[1]]), lower = found.curve.map((at) => [at.share, at.band[0]]);
    const ticks = Array.from({ length: 5 }, (_, i) => low + (high - low) * i / 4);
    const parts = ticks.map((value) => `<path class="grid" d="M${left} ${y(value)}H${w - right}"/>` +
      `<text x="${left - 6}" y="${y(value) + 4}" text-anchor="end">${value.toFixed(2)}</text>`);
    for (const share of [0, 0.25, 0.5, 0.75, 1])
      parts.push(`<text x="${x(share)}" y="${h - bottom + 18}" text-anchor="middle">${percent(share, 0)}</text>`);
    parts.push(`<path class="band" d="${line(upper)}${line(lower.reverse()).replace("M", "L")}Z"/>`);
    if (ends) parts.push(`<rect class="ends" x="${x(ends[0])}" width="${Math.max(x(ends[1]) - x(ends[0]), 0)}" y="${top}" height="${h - top - bottom}"/>`);
    parts.push(`<path class="curve" d="${line(found.curve.map((at) => [at.share, at.mean]))}"/>`);
    parts.push(`<path class="best" d="M${x(found.share)} ${top}V${h - bottom}"/>`);
    for (const row of found.rows) {
      if (!Number.isFinite(row.mean)) continue;
      const share = planner.fraction(found.task, row.split), end = share > 0.7;
      parts.push(`<circle class="recipe" cx="${x(share)}" cy="${y(row.mean)}" r="4"/><text x="${x(share) + (end ? -8 : 8)}" ` +
        `y="${y(row.mean) - 6}" text-anchor="${end ? "end" : "start"}">${fit.strategyNames[row.strategy]}</text>`);
    }
    parts.push(`<text x="${(left + w - right) / 2}" y="${h - 4}" text-anchor="middle">general tokens, share of all tokens</text>`);
    parts.push(`<text transform="translate(12 ${(h - bottom + top) / 2}) rotate(-90)" text-anchor="middle">mean loss (nats/token)</text>`);
    find("curve").setAttribute("viewBox", `0 0 ${w} ${h}`);
    find("curve").innerHTML = parts.join("");
  }

  const times = (value) => (Number.isFinite(value) ? (value < 10 ? value.toFixed(2) : value.toFixed(0)) : ">1000");
  function multiple(row, optima) {
    if (!optima || !Number.isFinite(row.mean)) return "–";
    const [value, low, high] = optima.multipliers[row.strategy].map(times);
    return low === high ? `×${value}` : `×${value} (${low} to ${high})`;
  }

  function drawTables(found, optima) {
    const { task, best } = found;
    find("split").innerHTML = [["general", task.trunks * best.pretrain], ...task.names.map((n, k) => [n, best.specialize[k]])]
      .map(([name, tokens]) => `<tr><th scope="row">${escape(name)}</th><td>${short(tokens)}</td>` +
        `<td class="share"><span style="width:${(8 * tokens / task.tokens).toFixed(2)}rem"></span>${percent(tokens / task.tokens)}</td></tr>`).join("");
    find("recipes").innerHTML = found.rows.map((row) => `<tr><th scope="row">${fit.strategyNames[row.strategy]}</th><td>${loss(row.mean)}</td>` +
      `<td>${loss(row.above)}</td><td>${row.worse === null ? "–" : percent(row.worse, 0)}</td><td>${multiple(row, optima)}</td></tr>`).join("");
  }

  /* ---- redrawing ---- */
  function redraw() {
    const began = performance.now();
    const settings = readSettings();
    const [digits, exponent] = settings.flops.toExponential(2).split("e+");
    find("flops-out").innerHTML = `${digits} × 10<sup>${exponent}</sup> FLOPs`;
    find("params-out").textContent = `${short(settings.params)} parameters`;
    find("flops").setAttribute("aria-valuetext", `${digits} times ten to the ${exponent} FLOPs`);
    find("params").setAttribute("aria-valuetext", `${short(settings.params)} parameters`);
    clearTimeout(later);
    if (!settings.names.length) { find("answer").textContent = "Select at least one domain."; return; }
    shown = solve(settings);
    show(null);
    root.dataset.milliseconds = (performance.now() - began).toFixed(1);
    later = setTimeout(() => optimaOfDraws(shown, show), PAUSE);
  }
  function show(optima) {
    find("answer").textContent = sentence(shown, optima);
    find("beyond").textContent = extrapolation(shown);
    find("command").textContent = command(shown);
    find("config").textContent = config(shown);
    find("curve").setAttribute("aria-label", `Loss against the general fraction. ${sentence(shown, optima)}`);
    drawCurve(shown, optima && optima.ends);
    drawTables(shown, optima);
  }
  function save() {
    const content = { flops: shown.settings.flops, params: shown.settings.params, trunk: shown.settings.trunk,
      pretrain_tokens: Math.floor(shown.best.pretrain), fraction_general: shown.share,
      specialize_tokens: Object.fromEntries(shown.task.names.map((n, k) => [n, Math.floor(shown.best.specialize[k])])),
      predicted_mean_loss: [shown.best.mean, ...shown.expected] };
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([JSON.stringify(content, null, 1)], { type: "application/json" }));
    link.download = "split.json";
    link.click();
    URL.revokeObjectURL(link.href);
  }
  root.addEventListener("input", redraw);
  window.addEventListener("resize", () => shown && redraw());
  find("save").addEventListener("click", save);
  redraw();
})();
