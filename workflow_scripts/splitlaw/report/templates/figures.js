"use strict";
/* Figures and tables of the explorer. The classes of the marks are in style.css. */
const makeFigures = (fit, { find, short }) => {
  /* The 0 added turns -0 into 0. */
  const percent = (value, digits = 1) => `${(Math.round(100 * value * 10 ** digits) / 10 ** digits + 0).toFixed(digits)}%`;
  const loss = (value) => (Number.isFinite(value) ? value.toFixed(3).replace("-", "−") : "none");
  const bounds = (value, [low, high]) => (low < high ? `${loss(value)} (${loss(low)} to ${loss(high)})` : loss(value));
  const escape = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

  /* ["a", "b", "c"] as "a, b and c". */
  const listing = (parts) => (parts.length < 2 ? parts.join("") : `${parts.slice(0, -1).join(", ")} and ${parts[parts.length - 1]}`);

  /* ---- tables ---- */
  const cells = ([first, ...rest]) => `<tr><th scope="row">${first}</th>${rest.map((text) => `<td>${text}</td>`).join("")}</tr>`;
  function fillTable(name, head, rows) {
    find(name).innerHTML = `<thead><tr>${head.map((text) => `<th scope="col">${text}</th>`).join("")}</tr></thead>` +
      `<tbody>${rows.map(cells).join("")}</tbody>`;
  }

  /* Share of the budget that a split may leave unspent without mention: rounding leaves less. */
  const UNSPENT = 1e-3;

  function splitTable({ task, best, general }) {
    const used = planner.tokensOf(task, best), unspent = task.tokens - used;
    const bar = (tokens) => `<span class="bar" style="width:${(5 * tokens / used).toFixed(2)}rem"></span>${percent(tokens / used)}`;
    const rows = [["general", task.trunks * best.pretrain], ...task.names.map((name, k) => [name, best.branch[k]])]
      .map(([name, tokens]) => [escape(name), short(tokens), bar(tokens)]);
    const head = ["Text", "Tokens", "Share"];
    if (task.replay) {
      head.push("Replay");
      rows.forEach((row, i) => row.push(i ? percent(best.shares[i - 1]) : ""));
    }
    if (general) {
      head.push("General loss", "Rise");
      rows.forEach((row, i) => row.push(...(i ? [loss(general.losses[i - 1]), percent(general.rises[i - 1])] : ["", ""])));
    }
    if (unspent > UNSPENT * task.tokens) rows.push(["left unspent", short(unspent), ...head.slice(2).map(() => "")]);
    fillTable("split", head, rows);
  }

  const times = (value) => (Number.isFinite(value) ? (value < 10 ? value.toFixed(2) : value.toFixed(0)) : "&gt;1000");
  function multiple(row, later) {
    if (!Number.isFinite(row.mean)) return "–";
    if (!later) return "computing…";
    const [value, low, high] = later.multipliers[row.strategy].map(times);
    return low === high ? `×${value}` : `×${value} (${low} to ${high})`;
  }
  function recipesTable({ task, best, expected, rows, general }, later) {
    const head = ["Recipe", "Mean loss (90%)", "Loss above the optimal split", "Share of draws in which it is worse"];
    if (general) head.push("Rise of general loss");
    if (!task.replay) head.push("FLOPs for the loss of the optimal split");
    const ours = [fit.strategyNames.optimal, bounds(best.mean, expected), "–", "–"];
    fillTable("recipes", head, [[...ours, ...(general ? [percent(Math.max(...general.rises))] : []), ...(task.replay ? [] : ["–"])],
      ...rows.map((row) => [
        fit.strategyNames[row.strategy], bounds(row.mean, row.band), loss(row.above),
        row.worse === null ? "–" : percent(row.worse, 0), ...(general ? [percent(row.rise)] : []),
        ...(task.replay ? [] : [multiple(row, later)])])]);
  }

  function curveTable({ curve }) {
    const shown = curve.filter(({ share }) => curve.length < 33 || Number.isInteger(16 * share));
    fillTable("curve-table", ["General tokens", "Mean loss (90%)"],
      shown.map(({ share, mean, band }) => [percent(share), bounds(mean, band)]));
  }
  function frontTable({ front }) {
    const replay = (shares) => {
      const [low, high] = [Math.min(...shares), Math.max(...shares)];
      return low === high ? percent(low, 0) : `${percent(low, 0)} to ${percent(high, 0)}`;
    };
    fillTable("front-table", ["Largest rise", "Mean general loss", "Mean domain loss (90%)", "General tokens", "Replay"],
      front.map((at) => [percent(at.rise), loss(at.general), bounds(at.mean, at.band), percent(at.fraction), replay(at.split.shares)]));
  }

  /* ---- figures ---- */
  /* Round numbers between two, at most `most` of them and at least 2, with their texts. */
  function round(low, high, most = 6) {
    const unit = 10 ** Math.floor(Math.log10((high - low) / most));
    const step = [1, 2, 5, 10].map((part) => part * unit).find((width) => (high - low) / width <= most);
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9)), first = Math.ceil(low / step);
    return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, i) => (first + i) * step)
      .map((value) => [value, value.toFixed(digits)]);
  }
  /* A figure of losses: scales of the two axes, and the parts that every figure has. */
  function frame(name, { across, up, ticks, names: [xName, yName] }) {
    const narrow = find(name).parentElement.clientWidth < 480, room = 0.12 * (up[1] - up[0]) + 1e-4;
    const [w, h, left, right, top, bottom] = [narrow ? 380 : 520, 300, 52, 22, 12, 42];
    const x = (value) => left + (value - across[0]) / Math.max(across[1] - across[0], 1e-9) * (w - left - right);
    const y = (value) => top + (up[1] + room - Math.min(Math.max(value, up[0] - room), up[1] + room)) /
      (up[1] - up[0] + 2 * room) * (h - top - bottom);
    const parts = round(up[0] - room, up[1] + room).map(([value, text]) =>
      `<path class="grid" d="M${left} ${y(value)}H${w - right}"/>` +
      `<text x="${left - 6}" y="${y(value) + 4}" text-anchor="end">${text}</text>`);
    for (const [value, text] of ticks)
      parts.push(`<text x="${x(value)}" y="${h - bottom + 18}" text-anchor="middle">${text}</text>`);
    parts.push(`<text x="${(left + w - right) / 2}" y="${h - 4}" text-anchor="middle">${xName}</text>`);
    parts.push(`<text transform="translate(12 ${(h - bottom + top) / 2}) rotate(-90)" text-anchor="middle">${yName}</text>`);
    /* Places of a label beside its dot, as side (right 1, centred 0, left -1) and shift down. */
    const PLACES = [[1, -6], [-1, -6], [0, -10], [1, 16], [-1, 16], [0, 20], [1, -20], [-1, -20], [1, 30], [-1, 30]], ANCHORS = { 1: "start", 0: "middle", "-1": "end" };
    const over = (one, other) => one[0] < other[1] && other[0] < one[1] && one[2] < other[3] && other[2] < one[3];
    /* Dots [across, value, text, class] with labels that are on no other dot or label, if possible. */
    function dots(list) {
      const marks = list.map(([a, b]) => [x(a) - 5, x(a) + 5, y(b) - 5, y(b) + 5]), taken = [...marks];
      list.forEach(([a, b, text, kind = "recipe"], n) => {
        const long = 6.6 * text.length, options = PLACES.map(([side, down]) => {
          const from = x(a) + 8 * side - long * (1 - side) / 2;
          return { side, down, box: [from, from + long, y(b) + down - 11, y(b) + down + 3] };
        }).filter(({ box }) => box[0] >= left && box[1] <= w);
        const best = options.find(({ box }) => !taken.some((one) => one !== marks[n] && over(one, box))) || options[0];
        if (best) taken.push(best.box);
        parts.push(`<circle class="${kind}" cx="${x(a)}" cy="${y(b)}" r="4"/>` + (best ?
          `<text x="${x(a) + 8 * best.side}" y="${y(b) + best.down}" text-anchor="${ANCHORS[best.side]}">${text}</text>` : ""));
      });
    }
    const line = (points) => points.map(([a, b], i) => `${i ? "L" : "M"}${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("");
    return {
      parts,
      vertical: (value) => `<path class="best" d="M${x(value)} ${top}V${h - bottom}"/>`,
      strip: ([low, high]) => `<rect class="ends" x="${x(low)}" width="${Math.max(x(high) - x(low), 0)}" y="${top}" height="${h - top - bottom}"/>`,
      /* A line of points [across, value, [low, high]] with its band. */
      band: (points) => `<path class="band" d="${line(points.map(([a, , [, high]]) => [a, high]))}` +
        `${line(points.map(([a, , [low]]) => [a, low]).reverse()).replace("M", "L")}Z"/>`,
      curve: (points) => `<path class="curve" d="${line(points)}"/>`,
      dots,
      show: (label) => {
        find(name).setAttribute("viewBox", `0 0 ${w} ${h}`);
        find(name).setAttribute("aria-label", label);
        find(name).innerHTML = parts.join("");
      },
    };
  }
  const extent = (values) => [Math.min(...values), Math.max(...values)];

  function drawCurve(found, ends, label) {
    const { task, curve, rows } = found, recipes = task.replay ? [] : rows.filter((row) => Number.isFinite(row.mean));
    const to = frame("curve", { across: [0, 1], up: extent([...curve, ...recipes].map((at) => at.mean)),
      ticks: [0, 0.25, 0.5, 0.75, 1].map((share) => [share, percent(share, 0)]),
      names: ["general tokens, share of all tokens", "mean loss (nats/token)"] });
    const points = curve.map(({ share, mean, band }) => [share, mean, band]);
    to.parts.push(to.band(points));
    if (ends) to.parts.push(to.strip(ends));
    to.parts.push(to.curve(points), to.vertical(found.share));
    to.dots(recipes.map((row) => [planner.fraction(task, row.split), row.mean, fit.strategyNames[row.strategy]]));
    to.show(label);
  }

  /* Domain loss against general loss of the best splits under a limit, of the plan and of its baselines. */
  function drawFront({ front, best, general, rows }, label) {
    const recipes = rows.filter((row) => Number.isFinite(row.general));
    const across = extent([...front, ...recipes, { general: general.mean }].map((at) => at.general));
    const to = frame("front", { across, up: extent([...front, ...recipes, best].map((at) => at.mean)),
      ticks: round(...across, 5),
      names: ["mean general loss (nats/token)", "mean domain loss (nats/token)"] });
    const points = front.map((at) => [at.general, at.mean, at.band]);
    to.parts.push(to.band(points), to.curve(points));
    to.dots([[general.mean, best.mean, "this plan", "plan"],
      ...recipes.map((row) => [row.general, row.mean, fit.strategyNames[row.strategy]])]);
    to.show(label);
  }

  return { UNSPENT, percent, loss, bounds, listing, splitTable, recipesTable, curveTable, frontTable, drawCurve, drawFront };
};
