"""Trained recipes: the folders of the final models and the domains that each is used for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from splitlaw.common.errors import UserError
from splitlaw.common.files import read_json, sha256_file
from splitlaw.common.result_table import read_result_table
from splitlaw.experiment.strategies import model_domain

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

INDEX = "model.safetensors.index.json"
"""Names the file of every tensor of a model that is in several files."""
_KEY = ["strategy", "size", "budget", "seed"]


@dataclass(frozen=True, kw_only=True)
class TrainedRecipe:
    """One strategy trained at one size, budget and seed."""

    strategy: str
    """Name of the strategy."""
    size: str
    """Name of the size."""
    budget: str
    """Name of the budget."""
    seed: int
    """Seed of the training."""
    folders: Mapping[str, Path]
    """Folder of the model for each domain; domains may share a model."""

    @property
    def models(self) -> list[Path]:
        """Folders of the distinct models, in the order of the domains."""
        return list(dict.fromkeys(self.folders.values()))

    @property
    def group(self) -> tuple[str, str, int]:
        """Size, budget and seed: recipes with the same group are compared."""
        return self.size, self.budget, self.seed


def read_recipes(tables: Sequence[Path]) -> list[TrainedRecipe]:
    """Read recipes from their `losses.csv`, which are beside the folders of the models."""
    recipes = []
    for table in tables:
        try:
            rows = read_result_table(table)
            keys = rows[_KEY].drop_duplicates()
            trained = dict(zip(rows["domain"], rows["specialize_tokens"], strict=True))
        except (OSError, ValueError, KeyError) as cause:
            raise UserError(
                f"{table}: is not a table of final models ({cause}); run train_final"
            ) from None
        if len(keys) != 1:
            raise UserError(f"{table}: has {len(keys)} recipes; give one table per recipe")
        strategy, size, budget, seed = map(str, keys.iloc[0])
        folders = {
            str(domain): table.parent / model_domain(strategy, str(domain), tokens)
            for domain, tokens in trained.items()
        }
        recipes.append(
            TrainedRecipe(
                strategy=strategy, size=size, budget=budget, seed=int(seed), folders=folders
            )
        )
    return recipes


def missing_file(folder: Path) -> str | None:
    """Name of a file that a model's folder lacks.

    Weights are `model.safetensors`, or the files that `model.safetensors.index.json` names.
    """
    names = ["config.json", "tokenizer.json"]
    if (folder / INDEX).is_file():
        try:
            names += sorted(set(read_json(folder / INDEX)["weight_map"].values()))
        except (KeyError, AttributeError, TypeError):
            raise UserError(
                f"{folder / INDEX}: has no weight_map; save the model again with save_pretrained"
            ) from None
    else:
        names.append("model.safetensors")
    return next((name for name in names if not (folder / name).is_file()), None)


def check_folders(recipes: Sequence[TrainedRecipe], tokenizer: Path) -> None:
    """Refuse folders without a model or a tokenizer, or with another tokenizer."""
    wanted = sha256_file(tokenizer / "tokenizer.json")
    for folder in dict.fromkeys(folder for recipe in recipes for folder in recipe.models):
        missing = missing_file(folder)
        if missing:
            raise UserError(f"{folder}: has no {missing}; run train_final again")
        if sha256_file(folder / "tokenizer.json") != wanted:
            raise UserError(
                f"{folder}/tokenizer.json: differs from the tokenizer in {tokenizer}; run "
                "train_final again, or give the tokenizer that the model was trained with"
            )
        tokens = read_json(folder / "tokenizer.json")
        vocabulary = len(tokens["model"]["vocab"])
        rows = read_json(folder / "config.json").get("vocab_size", 0)
        if rows < vocabulary:
            raise UserError(
                f"{folder}: the tokenizer has {vocabulary} tokens, but the model has {rows}; "
                "replace the tokenizer by the one that the model was trained with"
            )


def open_model(folder: Path, device: torch.device | str = "cpu") -> PreTrainedModel:
    """Load the model of a folder to `device`, in float32 and evaluation mode.

    Raises `UserError` if its files cannot be opened as a causal language model. Code from the
    folder is not run.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM  # slow to import, so after the checks
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        model = AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as cause:
        reason = str(cause).strip().partition("\n")[0].rstrip(".")
        raise UserError(
            f"{folder}: cannot be opened as a language model ({reason}); give the folder of a "
            "model that save_pretrained of transformers wrote"
        ) from None
    return model.float().to(device).eval()
