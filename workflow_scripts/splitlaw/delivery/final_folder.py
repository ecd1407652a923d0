"""The final models of a strategy, checked: specialists that can be used together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from splitlaw.common.errors import UserError
from splitlaw.common.files import read_json, sha256_file
from splitlaw.common.result_table import read_result_table
from splitlaw.experiment.existing_model import CONTEXT, INTERMEDIATE, KEYS
from splitlaw.experiment.lineage import GENERAL
from splitlaw.experiment.strategies import MIXTURE, NO_SPLIT
from splitlaw.zero_shot.models import TrainedRecipe, missing_file, read_recipes

EXPORT = "export.json"
"""Says how a folder was exported; a folder that has it may be replaced by another export."""
PLACE = "results/EXPERIMENT/final/SIZE/BUDGET/seedSEED/STRATEGY"
_SHAPE = (
    "model_type",
    *(name for names in KEYS.values() for name in names),
    *INTERMEDIATE,
    *CONTEXT,
    "num_key_value_heads",
    "head_dim",
    "tie_word_embeddings",
)
"""Keys of `config.json` in which models that are used together agree, as far as they have them."""


@dataclass(frozen=True, kw_only=True)
class FinalFolder:
    """The specialists of one trained strategy, their general model and their experiment."""

    path: Path
    """Folder of the strategy."""
    recipe: TrainedRecipe
    """Strategy, size, budget, seed, and the folder of the model for each domain."""
    general: Path
    """Folder of the model for text of no domain."""
    results: Path
    """Folder of the experiment."""

    @property
    def domains(self) -> list[str]:
        """The domains in the order of the table of losses."""
        return list(self.recipe.folders)

    @property
    def specialists(self) -> list[Path]:
        """The folder of the model of each domain."""
        return list(self.recipe.folders.values())

    @property
    def models(self) -> list[Path]:
        """The folders of the specialists and of the general model."""
        return [*self.specialists, self.general]

    @property
    def router(self) -> Path:
        """The folder of the corpus's router."""
        return self.results / "corpus" / "router"

    def losses(self) -> pd.DataFrame:
        """The rows of the strategy in the comparison, by domain."""
        return read_result_table(self.path / "losses.csv").set_index("domain", drop=False)

    def sidecar(self, domain: str) -> Path:
        """`tokens.json` of a domain."""
        return self.results / "tokens" / domain / "tokens.json"


def read_final(
    path: Path, *, general: Path | None = None, results: Path | None = None
) -> FinalFolder:
    """Read the final models of a strategy.

    By default, `general` is the unsplit model of the same size, budget and seed, or with a base the
    one that continues it on all tokens; `results` is the experiment's folder that contains `path`.

    Raises `UserError` for a folder that is not a strategy's, a strategy with one model for all
    domains, models of different shapes or tokenizers, and a missing router.
    """
    if not (path / "losses.csv").is_file():
        raise UserError(
            f"{path}: is not a folder of final models (it has no losses.csv); give the folder of a "
            f"strategy, {PLACE}"
        )
    recipe = read_recipes([path / "losses.csv"])[0]
    if len(recipe.models) == 1:
        raise UserError(
            f"{path}: has one model for all domains, which needs no export; give the folder of a "
            "strategy with specialists"
        )
    beside = [path.resolve().parent / strategy / GENERAL for strategy in (NO_SPLIT, MIXTURE)]
    unsplit = next((folder for folder in beside if folder.is_dir()), beside[0])
    if general is None and not unsplit.is_dir():
        raise UserError(
            f"{unsplit}: no such folder; run train_final, or give another general model with "
            "--general"
        )
    final = FinalFolder(
        path=path,
        recipe=recipe,
        general=general or unsplit,
        results=results or _experiment(path),
    )
    check_models([*final.specialists, final.general])
    if not (final.router / "router.json").is_file():
        raise UserError(
            f"{final.router}: has no router; run prepare_corpus, or give the folder of the "
            "experiment with --results"
        )
    return final


def _experiment(path: Path) -> Path:
    """The folder five levels above a strategy's."""
    parents = path.resolve().parents
    if len(parents) < 5 or parents[3].name != "final":
        raise UserError(
            f"{path}: is not at {PLACE}; give the folder of the experiment with --results"
        )
    return parents[4]


def check_models(folders: Sequence[Path]) -> None:
    """Refuse folders without a model, and models of different shapes or tokenizers."""
    for folder in folders:
        missing = missing_file(folder)
        if missing:
            raise UserError(f"{folder}: is not a model (it has no {missing}); train it again")
    first = folders[0]
    shape, tokenizer = _shape(first), sha256_file(first / "tokenizer.json")
    for folder in folders[1:]:
        other = _shape(folder)
        for key in _SHAPE:
            if other[key] != shape[key]:
                raise UserError(
                    f"{folder}/config.json: {key} is {other[key]}, but {shape[key]} in {first}; "
                    "give models of one size"
                )
        if sha256_file(folder / "tokenizer.json") != tokenizer:
            raise UserError(
                f"{folder}/tokenizer.json: differs from that of {first}; give models that were "
                "trained with one tokenizer"
            )


def _shape(folder: Path) -> Mapping[str, object]:
    config = read_json(folder / "config.json")
    return {key: config.get(key) for key in _SHAPE}


def context_of(folders: Sequence[Path]) -> int:
    """Largest number of tokens that predictions of all models of some folders are made from.

    It is that of the training, which may be shorter than that of a base, where `run.json` or
    `export.json` says it, and otherwise that of the architecture. It is at most the window of
    their attention.
    """
    return min(map(_context, folders))


def _context(folder: Path) -> int:
    config = read_json(folder / "config.json")
    window = config.get("sliding_window") if config.get("use_sliding_window", True) else None
    windows = [int(one) for one in (window, config.get("window_size")) if one]
    if (folder / EXPORT).is_file() and "context" in (about := read_json(folder / EXPORT)):
        return min([int(about["context"]), *windows])
    if (folder / "run.json").is_file():
        shape = read_json(folder / "run.json").get("config", {}).get("shape", {})
        if "context" in shape:
            return min([int(shape["context"]), *windows])
    found = next((config[key] for key in CONTEXT if config.get(key)), None)
    if found is None:
        raise UserError(
            f"{folder}/config.json: has no {CONTEXT[0]}; give a model whose context is known"
        )
    return min([int(found), *windows])
