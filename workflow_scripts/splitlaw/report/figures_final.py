"""Figures of the final models: losses on every domain, learning curves, benchmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from splitlaw.experiment.lineage import GENERAL
from splitlaw.experiment.strategies import JOINT, NAMES, NO_SPLIT, OPTIMAL
from splitlaw.report import style
from splitlaw.report.inputs import Inputs
from splitlaw.report.task_names import task_name
from splitlaw.stages.final_results import FinalModel
from splitlaw.zero_shot.systems import ROUTED, SINGLE

MOST_DOMAINS = 12
"""Largest number of rows and columns whose numbers are legible."""
CURVE_POINTS = 150
"""Approximate number of points of a learning curve: more are not visible, and enlarge the page."""
DARK = 0.55
"""Share of the colour scale above which a cell is dark, so that its text is white."""
NARROW = 7
"""Letters of a name that fit a column of the figure of losses on every domain."""
USED = (ROUTED, SINGLE)
"""Systems that can be used at the cost of one model: not the oracle, not the ensemble."""

EARLY = 0.1
"""Share of the tokens whose losses do not determine the limits of the specialists' curves: the high
losses of the first steps would compress the rest."""


def transfer_table(inputs: Inputs) -> pd.DataFrame | None:
    """Losses of the planned specialists, the joint model and the unsplit model on every domain."""
    models = [f for f in inputs.finals if f.strategy == OPTIMAL]
    models += [f for f in inputs.finals if f.strategy in (JOINT, NO_SPLIT)]
    if len(models) < 2:
        return None
    seed = min(final.seed for final in models)
    rows = {}
    for final in models:
        if final.seed == seed:
            name = final.domain if final.strategy == OPTIMAL else NAMES[final.strategy]
            rows[name] = {domain: losses["loss"] for domain, losses in final.run["losses"].items()}
    table = pd.DataFrame.from_dict(rows, orient="index")
    order = [name for name in inputs.domains if name in table.columns]
    columns = order + [name for name in table.columns if name not in order]
    first = [name for name in order if name in table.index]
    return table.loc[first + [name for name in table.index if name not in first], columns]


def transfer(inputs: Inputs) -> Figure | None:
    """Loss of every final model on every domain, coloured by the excess over the lowest loss."""
    table = transfer_table(inputs)
    if table is None:
        return None
    table = table.iloc[:MOST_DOMAINS, :MOST_DOMAINS]
    figure = Figure(figsize=(style.WIDTH, 0.45 * len(table) + 1.7))
    axis = figure.subplots()
    above = table / table.min() - 1
    shown = np.minimum(above, 0.5)
    sns.heatmap(
        100 * shown,
        ax=axis,
        cmap=sns.color_palette("Blues", as_cmap=True),
        annot=table.to_numpy(),
        fmt=".2f",
        linewidths=1,
        linecolor=style.PAPER,
        cbar_kws={"label": "above the lowest loss (%)", "shrink": 0.9},
        annot_kws={"fontsize": 8},
    )
    for text in axis.texts:
        column, row = (int(part) for part in text.get_position())
        dark = shown.iloc[row, column] > DARK * shown.to_numpy().max()
        text.set_color("#fefefe" if dark else "#111111")
    axis.set(xlabel="evaluated on", ylabel="model")
    columns, rows = ([style.label(name) for name in part] for part in (table.columns, table.index))
    if len(columns) < 7 and max(map(len, columns)) <= NARROW:
        axis.set_xticklabels(columns, rotation=0)
    else:
        axis.set_xticklabels(columns, rotation=40, ha="right", rotation_mode="anchor")
    axis.set_yticklabels(rows, rotation=0)
    return figure


def read_curve(results: Path, run: dict) -> pd.DataFrame | None:
    """Training loss of a final model from its first token, through the segments of its lineage."""
    state = results / str(run.get("state", ""))
    stop, folder, parts = int(state.stem) if state.stem.isdigit() else 0, state.parent, []
    while stop and (folder / "train_log.csv").exists():
        log = pd.read_csv(folder / "train_log.csv")
        parts.append(log[log["step"] < stop])
        # One level up is the state that this segment started from, and above it the folder of the
        # previous segment.
        before = folder.parent
        stop = int(before.name) if before.name.isdigit() else 0
        folder = before.parent
    return pd.concat(parts[::-1], ignore_index=True) if parts else None


def trunk_logs(results: Path) -> dict[str, pd.DataFrame]:
    """Training log of the longest general run of every size."""
    found: dict[str, pd.DataFrame] = {}
    for file in sorted(results.glob("checkpoints/*/seed*/*/*/train_log.csv")):
        stream, size = file.parts[-2], file.parts[-5]
        if stream.startswith(GENERAL) and "-to-" not in stream:
            log = pd.read_csv(file)
            if size not in found or len(log) > len(found[size]):
                found[size] = log
    return dict(sorted(found.items(), key=lambda item: -item[1]["loss"].tail(20).mean()))


def smooth(log: pd.DataFrame) -> pd.DataFrame:
    """Running mean of the loss, at about `CURVE_POINTS` steps."""
    log = log.sort_values("step")
    window = max(1, len(log) // 60)
    log = log.assign(loss=log["loss"].rolling(window, min_periods=1, center=True).mean())
    thin = log.iloc[:: max(1, len(log) // CURVE_POINTS)].copy()
    # Steps without a log are left as a gap.
    gaps = thin["step"].diff()
    thin.loc[gaps > 5 * gaps.median(), "loss"] = float("nan")
    return thin


def learning_curves(inputs: Inputs) -> Figure | None:
    """Training loss of every size's trunk, and of the planned specialists with their trunk."""
    trunks = trunk_logs(inputs.folder)
    specialists = planned_specialists(inputs)
    if not trunks and not specialists:
        return None
    panels = bool(trunks) + bool(specialists)
    figure = Figure(figsize=(style.WIDTH, 2.5 * panels + 0.4))
    axes = list(np.atleast_1d(figure.subplots(panels, 1)))
    if trunks:
        _trunk_curves(axes[0], trunks)
    if specialists:
        _specialist_curves(axes[-1], specialists, inputs.domains)
    if trunks:
        style.log_tokens_axis(axes[0])
    for axis in axes:
        axis.set(xlabel="training tokens", ylabel="training loss (nats/token)")
        axis.legend(ncols=3, loc="upper right")
    return figure


def _trunk_curves(axis: Axes, trunks: Mapping[str, pd.DataFrame]) -> None:
    inks = sns.color_palette("flare", len(trunks))
    for ink, (size, log) in zip(inks, trunks.items(), strict=True):
        curve = smooth(log)
        axis.plot(curve["tokens"], curve["loss"], color=ink, label=size)
    axis.set_title("general runs of the grid by size", loc="left")


def _specialist_curves(
    axis: Axes, specialists: Sequence[tuple[FinalModel, pd.DataFrame]], domains: Sequence[str]
) -> None:
    palette = {GENERAL: style.INK, **style.colours(domains)}
    for number, (final, log) in enumerate(specialists):
        for domain, part in log.groupby("domain", sort=False):
            if domain == GENERAL and number:
                continue
            curve = smooth(part)
            # A stream with replay has a name of its own.
            own = GENERAL if domain == GENERAL else final.domain
            label = "trunk" if own == GENERAL else style.label(own)
            axis.plot(curve["tokens"], curve["loss"], color=palette[own], label=label)
    axis.set_title("specialists of the plan", loc="left")
    style.tokens_axis(axis)
    late = pd.concat([log[log["tokens"] > EARLY * log["tokens"].max()] for _, log in specialists])
    # The first steps and single batches would flatten the curves.
    axis.set_ylim(0.97 * late["loss"].quantile(0.002), late["loss"].quantile(0.98))


def planned_specialists(inputs: Inputs) -> list[tuple[FinalModel, pd.DataFrame]]:
    """The models of the optimal split with their training logs."""
    ours = [f for f in inputs.finals if f.strategy == OPTIMAL]
    places = {domain: place for place, domain in enumerate(inputs.domains)}
    ours.sort(key=lambda final: places.get(final.domain, len(places)))
    seed = min((final.seed for final in ours), default=0)
    curves = [(f, read_curve(inputs.folder, dict(f.run))) for f in ours if f.seed == seed]
    return [(final, log) for final, log in curves if log is not None]


def _scores(table: pd.DataFrame | None) -> pd.DataFrame | None:
    """Scores with a chance level, in the first metric of each task; None without any."""
    if table is None or "chance" not in table:
        return None
    table = table[table["chance"].notna()]
    table = table[table["metric"] == table.groupby("task")["metric"].transform("first")]
    if table.empty:
        return None
    used = table["system"].isin(USED)
    table = table[used] if used.any() else table
    return table if "stderr" in table else table.assign(stderr=0.0)


def benchmarks(inputs: Inputs) -> Figure | None:
    """Score minus chance of each strategy, averaged over seeds."""
    table = _scores(inputs.benchmarks)
    if table is None:
        return None
    tasks = list(dict.fromkeys(table["task"]))
    series = list(dict.fromkeys(zip(table["strategy"], table["system"], strict=True)))
    inks = style.recipe_colours()
    marks = dict(zip(series, style.markers([str(s) for s in series]).values(), strict=True))
    figure = Figure(figsize=(style.WIDTH, max(0.34, 0.085 * len(series)) * len(tasks) + 1.9))
    axis = figure.subplots()
    for number, key in enumerate(series):
        part = table[(table["strategy"] == key[0]) & (table["system"] == key[1])]
        mean = part.groupby("task")[["value", "stderr", "chance"]].mean().reindex(tasks)
        aside = 0.7 * (number / max(len(series) - 1, 1) - 0.5)
        axis.errorbar(
            mean["value"] - mean["chance"],
            np.arange(len(tasks)) + aside,
            xerr=mean["stderr"],
            ls="",
            marker=marks[key],
            markersize=4.5,
            color=inks.get(key[0], style.GREY),
            label=f"{NAMES.get(key[0], key[0])}, {key[1]}",
        )
    axis.axvline(0, color=style.INK, lw=1)
    axis.set_yticks(range(len(tasks)), [task_name(task) for task in tasks])
    axis.set_ylim(len(tasks) - 0.5, -0.5)
    axis.set(xlabel="score minus chance (bars: one standard error)")
    figure.legend(loc="outside upper left", ncols=2)
    return figure
