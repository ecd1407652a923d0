"""`splitlaw export`: the final models of a strategy as one folder."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from splitlaw.common import provenance
from splitlaw.common.errors import UserError
from splitlaw.common.files import write_json, write_text
from splitlaw.delivery import cards
from splitlaw.delivery.final_folder import EXPORT, FinalFolder, context_of
from splitlaw.delivery.routing import CONFIDENCE, fit_routing
from splitlaw.experiment.lineage import GENERAL

_NOT_EXPORTED = ("documents.npz",)
"""Files of a final model that serve the comparison only."""


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """Context with a temporary folder, which becomes `out` if the block succeeds.

    Raises `UserError` if `out` has files that are not those of an export.
    """
    if out.is_dir() and any(out.iterdir()) and not (out / EXPORT).is_file():
        raise UserError(f"{out}: has files that are not of an export; give a new folder")
    temporary = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        temporary.mkdir(parents=True)
    except OSError as cause:
        raise UserError(
            f"{out}: cannot be written ({cause.strerror}); give a path in a writable folder"
        ) from None
    try:
        yield temporary
        if out.is_dir():
            shutil.rmtree(out)
        temporary.replace(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def describe(final: FinalFolder, kind: str, **more: Any) -> Mapping[str, Any]:
    """The content of `export.json`."""
    recipe = final.recipe
    return {
        "kind": kind,
        "strategy": recipe.strategy,
        "size": recipe.size,
        "budget": recipe.budget,
        "seed": recipe.seed,
        "domains": final.domains,
        "context": context_of(final.models),
        **more,
        **provenance.environment(),
    }


def export_routed(final: FinalFolder, out: Path, *, confidence: float = CONFIDENCE) -> None:
    """Write the specialists, the general model and the router as a folder of `RoutedModel`."""
    corpus = final.results / "corpus"
    routing = fit_routing(final.router, corpus, final.domains, confidence=confidence)
    with new_folder(out) as folder:
        for name, source in {**final.recipe.folders, GENERAL: final.general}.items():
            copy_files(source, folder / name)
        routing.save(folder)
        write_text(folder / "README.md", cards.routed_card(final, routing))
        write_json(folder / EXPORT, dict(describe(final, "routed")))


def copy_files(source: Path, target: Path) -> None:
    """Copy the files of a model's folder that belong to the model."""
    target.mkdir()
    for file in sorted(source.iterdir()):
        if file.is_file() and file.name not in _NOT_EXPORTED and not file.name.startswith("."):
            shutil.copyfile(file, target / file.name)
