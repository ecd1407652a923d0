"""The comparison of all ways to use the final models: tables of losses, sizes and speeds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from splitlaw.common.errors import UserError
from splitlaw.common.progress import Progress
from splitlaw.common.result_table import write_result_table
from splitlaw.delivery.averaging import lines
from splitlaw.delivery.experts import check_architecture
from splitlaw.delivery.export import export_routed
from splitlaw.delivery.final_folder import FinalFolder, context_of
from splitlaw.delivery.measure import HeldOutTexts, system_rows
from splitlaw.delivery.routed import RoutedModel
from splitlaw.delivery.rows import count_rows
from splitlaw.delivery.single import UNIFORM, Parts, export_average, export_experts
from splitlaw.delivery.task_bits import Tasks
from splitlaw.experiment.columns import DELIVERY
from splitlaw.experiment.lineage import GENERAL
from splitlaw.experiment.strategies import JOINT, MIXTURE, NO_SPLIT
from splitlaw.zero_shot.measuring import BenchmarkConfig
from splitlaw.zero_shot.systems import ENSEMBLE, ROUTED
from splitlaw.zero_shot.tables import ALL_TASKS

AVERAGE, AVERAGE_UNIFORM, MOE = "average", "average_uniform", "moe"
ONE_MODEL = (JOINT, NO_SPLIT, MIXTURE)
"""Strategies with one model for all domains, which are measured beside the specialists."""
_ALWAYS = math.inf
"""Confidence that no prompt reaches, so that the specialists are always an ensemble."""


def compare(
    config: BenchmarkConfig,
    final: FinalFolder,
    *,
    items: Path,
    tasks: Path,
    also: Mapping[str, Path],
    out: Path,
) -> pd.DataFrame:
    """Export the final models in every way and measure each as a system, with joint and no split.

    Beside `out`, the table, are written the folders `routed`, `average`, `average_uniform` and, for
    Llama models, `moe`, and `lines.csv`, the losses between pairs of specialists. `also` are
    further folders to measure, by the name of their system.
    """
    folders = dict(_folders(final, out.parent, also))
    parts = Parts.read(final)
    count_rows(parts.general, context_of(final.models))  # before anything is exported
    try:
        check_architecture(parts.general.config)
    except UserError:  # the other systems are compared without it
        del folders[MOE]
    export_routed(final, folders[ROUTED])
    export_average(parts, folders[AVERAGE])
    export_average(parts, folders[AVERAGE_UNIFORM], kind=UNIFORM)
    if MOE in folders:
        export_experts(parts, folders[MOE])
    between = pd.DataFrame(lines(parts.specialists, parts.validation.windows))
    held = HeldOutTexts.read(final, characters=config.characters)
    loaded = Tasks.load(config.tasks, final, folder=tasks, items=items)
    rows: list[dict[str, Any]] = []
    with Progress("delivery", total=len(folders), unit="systems") as progress:
        for system, folder in folders.items():
            model = RoutedModel.from_pretrained(
                folder, confidence=_ALWAYS if system == ENSEMBLE else None
            )
            rows += _rows(final, system, model, held, loaded)
            progress.add()
    table = pd.DataFrame(rows, columns=DELIVERY)
    write_result_table(out.with_name("lines.csv"), between)
    write_result_table(out, table)
    return table


def _folders(final: FinalFolder, out: Path, also: Mapping[str, Path]) -> Iterator[tuple[str, Path]]:
    """Systems and their folders, in the order of the table."""
    yield ROUTED, out / ROUTED
    yield ENSEMBLE, out / ROUTED
    for name in (AVERAGE, AVERAGE_UNIFORM, MOE):
        yield name, out / name
    for name, folder in also.items():
        if name in (ROUTED, ENSEMBLE, AVERAGE, AVERAGE_UNIFORM, MOE, *ONE_MODEL):
            raise UserError(f"--also {name}={folder}: the table has {name} already; rename it")
        yield name, folder
    beside = final.path.resolve().parent
    for strategy in ONE_MODEL:
        if (beside / strategy / GENERAL).is_dir():
            yield strategy, beside / strategy / GENERAL


def _rows(
    final: FinalFolder, system: str, model: RoutedModel, held: HeldOutTexts, tasks: Tasks
) -> list[dict[str, Any]]:
    recipe = final.recipe
    who = {
        "system": system,
        "strategy": system if system in ONE_MODEL else recipe.strategy,
        "size": recipe.size,
        "budget": recipe.budget,
        "seed": recipe.seed,
    }
    rows = system_rows(model, held)
    about = {name: value for name, value in rows[0].items() if name not in _OF_TEXT}
    bits = {"domain": ALL_TASKS, "bits_per_byte": tasks.bits_per_byte(model)}
    return [{**who, **row} for row in [*rows, {**about, **bits}]]


_OF_TEXT: Sequence[str] = ("domain", "loss", "loss_stderr", "bits_per_byte")
"""Columns that belong to a kind of text and not to the system."""
