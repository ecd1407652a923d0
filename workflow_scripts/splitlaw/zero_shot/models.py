"""Final models as the stage finds them: which folder answers for which domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from splitlaw.common.errors import UserError
from splitlaw.common.files import read_json, sha256_file
from splitlaw.experiment.lineage import GENERAL

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM

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
    """The model that answers for each domain; domains may share one."""

    @property
    def models(self) -> list[Path]:
        """The different models, in the order of the domains."""
        return list(dict.fromkeys(self.folders.values()))

    @property
    def against(self) -> tuple[str, str, int]:
        """What is compared with one another: size, budget and seed."""
        return self.size, self.budget, self.seed


def read_recipes(tables: Sequence[Path]) -> list[TrainedRecipe]:
    """Recipes from the tables that training them wrote, each beside its models' folders."""
    recipes = []
    for table in tables:
        try:
            rows = pd.read_csv(table, dtype={"budget": str, "size": str})
            keys = rows[_KEY].drop_duplicates()
            trained = dict(zip(rows["domain"], rows["specialize_tokens"], strict=True))
        except (OSError, ValueError, KeyError) as cause:
            raise UserError(f"{table}: no table of final models ({cause}); train them") from None
        if len(keys) != 1:
            raise UserError(f"{table}: has {len(keys)} recipes; give one table a recipe")
        strategy, size, budget, seed = keys.iloc[0]
        folders = {
            str(domain): table.parent / (str(domain) if tokens else GENERAL)
            for domain, tokens in trained.items()
        }
        recipes.append(
            TrainedRecipe(
                strategy=strategy, size=size, budget=budget, seed=int(seed), folders=folders
            )
        )
    return recipes


def check_folders(recipes: Sequence[TrainedRecipe], tokenizer: Path) -> None:
    """Refuse a folder without a model or tokenizer, and one whose tokenizer is another."""
    wanted = sha256_file(tokenizer / "tokenizer.json")
    for folder in dict.fromkeys(folder for recipe in recipes for folder in recipe.models):
        for name in ("config.json", "model.safetensors", "tokenizer.json"):
            if not (folder / name).is_file():
                raise UserError(f"{folder}: has no {name}; export the model again")
        if sha256_file(folder / "tokenizer.json") != wanted:
            raise UserError(
                f"{folder}/tokenizer.json: is not the tokenizer in {tokenizer}; "
                "export the model again, or name the tokenizer it was trained with"
            )
        tokens = read_json(folder / "tokenizer.json")
        vocabulary = len(tokens["model"]["vocab"])
        rows = read_json(folder / "config.json").get("vocab_size", 0)
        if rows < vocabulary:
            raise UserError(
                f"{folder}: the tokenizer has {vocabulary} tokens and the model knows {rows}; "
                "put the tokenizer there that it was trained with"
            )


def open_model(folder: Path, device: torch.device | str = "cpu") -> LlamaForCausalLM:
    """The model of a folder on `device`, in float32, ready to be asked."""
    from transformers import AutoModelForCausalLM  # slow, and after the cheap refusals
    from transformers.utils import logging

    logging.disable_progress_bar()
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    return model.float().to(device).eval()
