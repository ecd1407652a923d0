"use strict";
/* The controls of the explorer: their settings, the address that keeps them, and the command and the
   configuration that they stand for. */
const makeControls = (root, fit) => {
  const find = (name) => root.querySelector(`[data-is="${name}"]`);
  const rows = [...root.querySelectorAll("[data-domain]")];
  const cell = (row, name) => row.querySelector(`[data-is=${name}]`);
  const number = (input) => (input && input.value.trim() !== "" ? Number(input.value) : null);
  const unlimited = (value) => value ?? Infinity;
  const OF_DOMAIN = ["weight", "unique", "replay"];
  /* Percent of a branch; with more, nothing of its domain is left. */
  const MOST_REPLAY = 99;

  const short = (value) => {
    for (const [scale, letter] of [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "k"]])
      if (value >= 0.9995 * scale) return `${+(value / scale).toPrecision(3)}${letter}`;
    return String(Math.round(value));
  };

  /* Shares of replay are null where they are chosen; the rise is null without a limit. */
  function read() {
    const used = rows.filter((row) => cell(row, "use").checked), percent = find("limit") && number(find("limit"));
    return {
      names: used.map((row) => row.dataset.domain),
      weights: used.map((row) => number(cell(row, "weight"))),
      unique: used.map((row) => unlimited(number(cell(row, "unique")))),
      uniqueGeneral: unlimited(number(find("unique-general"))),
      shares: used.map((row) => {
        const share = number(cell(row, "replay"));
        return !cell(row, "replay") ? 0 : share === null ? null : share / 100;
      }),
      rise: percent === null ? null : percent / 100,
      flops: 10 ** Number(find("flops").value), params: 10 ** Number(find("params").value), trunk: find("trunk").value,
    };
  }
  /* Whether a plan chooses or has replay, and thus other baselines. */
  const replays = ({ shares, rise }) => Boolean(fit.base) || rise !== null || shares.some((share) => share !== 0);

  /* ---- budget and size: a slider each, and its value as a number ---- */
  const UNITS = { flops: "FLOPs", params: "parameters" }, POWERS = { k: 1e3, m: 1e6, b: 1e9, t: 1e12 };
  /* Largest budget and size that can be entered; above it, numbers of the arithmetic overflow. */
  const LARGEST = 1e40;
  const asText = { flops: (value) => value.toExponential(3).replace(/\.?0*e\+/, "e"), params: short };
  const spoken = {
    flops: (value) => value.toExponential(2).replace("e+", " times ten to the "),
    params: short,
  };
  function label(settings) {
    for (const name of Object.keys(UNITS)) {
      find(name).setAttribute("aria-valuetext", `${spoken[name](settings[name])} ${UNITS[name]}`);
      if (document.activeElement !== find(`${name}-number`)) writeNumber(name, settings[name]);
    }
  }
  function writeNumber(name, value = 10 ** Number(find(name).value)) {
    find(`${name}-number`).value = asText[name](value);
  }
  /* Move a slider to a value, beyond its ends too; false for what is no possible value. */
  function slide(name, value) {
    if (!(value >= 1 && value <= LARGEST) || find(name).disabled) return false;
    const slider = find(name), position = Math.log10(value);
    if (position < Number(slider.min)) slider.min = position;
    if (position > Number(slider.max)) slider.max = position;
    slider.value = position;
    return true;
  }
  /* Read a number that was entered, such as 3e20 or 1.3B; an impossible one is replaced by the last. */
  function enter(name) {
    const text = find(`${name}-number`).value.trim().replace(/[,_\s]/g, "");
    const [, digits, letter] = /^(.*?)([kmbt]?)$/i.exec(text);
    const known = digits !== "" && slide(name, Number(digits) * (POWERS[letter.toLowerCase()] || 1));
    writeNumber(name);
    return known;
  }

  /* ---- values that are not possible ---- */
  const RULES = {
    weight: [(value) => value > 0, "a number above 0"],
    unique: [(value) => value === null || value > 0, "a number above 0, or empty"],
    "unique-general": [(value) => value === null || value > 0, "a number above 0, or empty"],
    replay: [(value) => value === null || (value >= 0 && value <= MOST_REPLAY), `from 0 to ${MOST_REPLAY}%, or empty`],
    limit: [(value) => value === null || value > -100, "a number above −100%, or empty"],
  };
  /* A sentence about the first input with a value that is not possible; empty if there is none. */
  function problem() {
    const used = rows.filter((row) => cell(row, "use").checked);
    const inputs = [find("limit"), find("unique-general"), ...used.flatMap((row) => OF_DOMAIN.map((name) => cell(row, name)))];
    let first = "";
    for (const input of root.querySelectorAll("input[type=number]")) {
      const [allowed, wanted] = RULES[input.dataset.is], value = number(input);
      const wrong = inputs.includes(input) && (input.validity.badInput || Number.isNaN(value) || !allowed(value));
      if (wrong) input.setAttribute("aria-invalid", "true"); else input.removeAttribute("aria-invalid");
      const name = (input.getAttribute("aria-label") || "limit on the rise of general loss").replace(/, percent$/, "");
      if (wrong && !first) first = `The ${name} must be ${wanted}.`;
    }
    return first;
  }

  /* ---- the address ---- */
  function toAddress() {
    const { flops, params, trunk } = read(), found = new URLSearchParams({ flops: flops.toPrecision(6), params: params.toPrecision(6), trunk });
    for (const name of ["limit", "unique-general"]) if (find(name)) found.set(name, find(name).value);
    for (const row of rows) {
      const values = [Number(cell(row, "use").checked), ...OF_DOMAIN.map((name) => (cell(row, name) ? cell(row, name).value : ""))];
      found.set(`domain.${row.dataset.domain}`, values.join(" "));
    }
    history.replaceState(null, "", `#${found}`);
  }
  /* Set the controls that an address names; false for one that is not of the explorer. */
  function fromAddress() {
    const given = new URLSearchParams(location.hash.slice(1));
    if (!given.has("flops")) return false;
    for (const name of Object.keys(UNITS)) slide(name, Number(given.get(name)));
    if (["shared", "independent"].includes(given.get("trunk"))) find("trunk").value = given.get("trunk");
    for (const name of ["limit", "unique-general"]) if (find(name) && given.has(name)) find(name).value = given.get(name);
    for (const row of rows) {
      const values = given.get(`domain.${row.dataset.domain}`);
      if (values === null) continue;
      const [use, ...others] = values.split(" ");
      cell(row, "use").checked = use === "1";
      OF_DOMAIN.forEach((name, i) => { if (cell(row, name)) cell(row, name).value = others[i] ?? ""; });
    }
    return true;
  }

  /* ---- a command and a configuration ---- */
  /* A word of a shell command, and a list of names as `--domains` reads it. */
  const word = (text) => (/^[\w.,=:\/+-]+$/.test(text) ? text : `'${text.replace(/'/g, "'\\''")}'`);
  const list = (names) => names.map((n) => (/[",]|^\s/.test(n) ? `"${n.replace(/"/g, '""')}"` : n)).join(",");
  const pairs = (option, names, values) =>
    (names.length ? [`${option} ${names.map((name, i) => word(`${name}=${values[i]}`)).join(" ")}`] : []);

  function planOptions({ names, weights, flops, params, trunk }) {
    return [`--law ${word(fit.file)}`, `--flops ${flops.toPrecision(6)}`, `--params ${Math.round(params)}`,
      `--domains ${word(list(names))}`, `--trunk ${trunk}`,
      ...(new Set(weights).size > 1 ? pairs("--weights", names, weights) : [])];
  }
  const asCommand = (parts) => parts.join(" \\\n    ");

  function command(settings) {
    const limits = [["general", settings.uniqueGeneral], ...settings.names.map((name, k) => [name, settings.unique[k]])]
      .filter(([, tokens]) => Number.isFinite(tokens));
    const parts = [...planOptions(settings), ...pairs("--unique-tokens", limits.map(([n]) => n), limits.map(([, t]) => t))];
    if (settings.rise !== null)
      parts.push(`--max-general-loss-rise ${settings.rise}`, `--limit-confidence ${fit.confidence}`);
    if (fit.reference) parts.push(`--base-general-loss ${fit.reference}`);
    if (settings.shares.some((share) => share !== 0))
      parts.push(...pairs("--replay", settings.names, settings.shares.map((share) => share ?? "free")));
    return asCommand(["splitlaw choose_split", ...parts, "--out plan.json"]);
  }
  const nextRuns = (settings) => asCommand(["splitlaw next_runs", ...planOptions(settings), "--out next_runs.csv"]);

  /* A configuration file with which the workflow trains a split. */
  function config(settings, tokens) {
    const near = Object.entries(fit.sizes).find(([, n]) => Math.abs(n / settings.params - 1) < 0.005);
    const known = Object.entries(fit.sizes).map(([name, n]) => `${name} ${short(n)}`).join(", ");
    const size = near ? near[0] : `NAME  # add a size of about ${short(settings.params)} parameters to sizes${known ? ` (now: ${known})` : ""}`;
    const differs = [];
    if (settings.trunk !== "shared") differs.push("independent trunks");
    if (new Set(settings.weights).size > 1) differs.push("weights");
    if (settings.names.length < fit.domains.length) differs.push("a subset of the domains");
    if (settings.shares.some((share) => share)) differs.push("given shares of replay");
    const note = differs.length ? `# The workflow makes its own plan, without ${differs.join(" and ")}; its split will differ.\n` : "";
    const limit = settings.rise === null ? ""
      : `\n  max_general_loss_rise: ${settings.rise}\n  limit_confidence: ${fit.confidence}`;
    return `# split.yaml; then: splitlaw run train_final --configfile split.yaml\n${note}` +
      `final:\n  size: ${size}\n  budget_tokens: ${Math.round(tokens)}${limit}`;
  }

  return { find, short, read, problem, replays, label, enter, toAddress, fromAddress, command, nextRuns, config };
};
