"""Held-out losses of routed documents, by the number of characters that the router reads.

A document is routed by its beginning, as a prompt would be, and all of it is evaluated. The losses
by document of every final model on every domain are stored with the models, and are read here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from splitlaw.common.statistics import ratio_stderr
from splitlaw.corpus.documents import split_files
from splitlaw.corpus.domains.router import Router
from splitlaw.experiment.lineage import GENERAL
from splitlaw.experiment.strategies import JOINT, NO_SPLIT
from splitlaw.training.evaluation import DocumentLosses, load_documents
from splitlaw.zero_shot.documents import HeldOut, first_texts
from splitlaw.zero_shot.models import TrainedRecipe
from splitlaw.zero_shot.tables import ALL_DOMAINS

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Losses = Mapping[str, DocumentLosses]

CHARACTERS = (50, 200, 1000)
"""Characters that the router reads: about a line, a short question, and a long prompt."""


@dataclass(frozen=True, kw_only=True)
class _Text:
    """Held-out documents that are routed."""

    name: str
    texts: Sequence[str]
    own: Indices
    """Number of each document's own domain; -1 for a document of `general` alone."""


def route_rows(
    recipes: Sequence[TrainedRecipe],
    router: Router | None,
    held: Sequence[HeldOut],
    *,
    corpus: Path,
    cut: int | None,
) -> list[dict[str, Any]]:
    """Rows with the columns `ROUTES`, for every recipe with several models.

    The texts are the held-out documents of every domain, the mean of these (`all_domains`), and,
    where the models were evaluated on it, the held-out text of the mixture (`general`), whose
    documents were cut to `cut` characters. There are no rows without a router.
    """
    if router is None:
        return []
    domains = [part.domain for part in held]
    losses = [[load_documents(folder / "documents.npz") for folder in r.models] for r in recipes]
    texts = [
        _Text(name=part.domain, texts=part.texts, own=np.full(len(part.texts), number))
        for number, part in enumerate(held)
    ]
    if all(GENERAL in each for models in losses for each in models):
        texts.append(_mixture(corpus, domains, len(losses[0][0][GENERAL].tokens), cut))
    routed = {characters: _routes(router, domains, texts, characters) for characters in CHARACTERS}
    rows: list[dict[str, Any]] = []
    for recipe, models in zip(recipes, losses, strict=True):
        if len(models) == 1:
            continue
        folders = dict(zip(recipe.models, models, strict=True))
        specialists = [folders[recipe.folders[domain]] for domain in domains]
        singles = {
            r.strategy: found[0]
            for r, found in zip(recipes, losses, strict=True)
            if r.group == recipe.group and r.strategy in (NO_SPLIT, JOINT)
        }
        rows += _recipe_rows(recipe, texts, routed, specialists, singles)
    return rows


def _recipe_rows(
    recipe: TrainedRecipe,
    texts: Sequence[_Text],
    routed: Mapping[int, Sequence[Indices]],
    specialists: Sequence[Losses],
    singles: Mapping[str, Losses],
) -> Iterator[dict[str, Any]]:
    """Rows of one recipe, for every number of characters that the router reads.

    `routed` are the numbers of the specialists by text and document; there is one for each domain,
    and the texts of the domains are the first of `texts`.
    """
    size, budget, seed = recipe.group
    about = {"strategy": recipe.strategy, "size": size, "budget": budget, "seed": seed}
    for characters, chosen in routed.items():
        found = [
            _row(text, choice, specialists, singles)
            for text, choice in zip(texts, chosen, strict=True)
        ]
        for row in [_mean(found[: len(specialists)]), *found]:
            yield {**about, "characters": characters, **row}


def _mixture(corpus: Path, domains: Sequence[str], count: int, cut: int | None) -> _Text:
    """The held-out text of the mixture; the domain of a document is found by its id."""
    owner = {name: n for n, domain in enumerate(domains) for name in _ids(corpus, domain)}
    own = [owner.get(name, -1) for name in _ids(corpus, GENERAL)[:count]]
    texts = first_texts(corpus, GENERAL, count, cut)
    return _Text(name=GENERAL, texts=texts, own=np.array(own))


def _ids(corpus: Path, domain: str) -> list[str]:
    tables = [pq.read_table(f, columns=["id"]) for f in split_files(corpus, domain, "test")]
    return [str(name) for table in tables for name in table.column("id").to_pylist()]


def _routes(
    router: Router, domains: Sequence[str], texts: Sequence[_Text], characters: int
) -> list[Indices]:
    """Number of the domain that each document is routed to by its first characters."""
    found = [router.route([text[:characters] for text in part.texts]) for part in texts]
    return [np.array([domains.index(name) for name in names]) for names in found]


def _row(
    text: _Text, choice: Indices, specialists: Sequence[Losses], singles: Mapping[str, Losses]
) -> dict[str, Any]:
    """Accuracy of the routes of a text, and its losses."""
    nats = np.stack([losses[text.name].nats for losses in specialists])
    tokens = specialists[0][text.name].tokens
    documents = np.arange(len(tokens))
    routed = nats[choice, documents]
    row: dict[str, Any] = {"text": text.name, "n": len(tokens)}
    row |= {"loss": routed.sum() / tokens.sum(), "loss_stderr": ratio_stderr(routed, tokens)}
    if (text.own >= 0).all():
        own = nats[text.own, documents]
        row["accuracy"] = float((choice == text.own).mean())
        row["own_loss"] = own.sum() / tokens.sum()
        row["excess"] = row["loss"] - row["own_loss"]
        row["excess_stderr"] = ratio_stderr(routed - own, tokens)
    for strategy, losses in singles.items():
        difference = losses[text.name].nats - routed
        row[f"over_{strategy}"] = difference.sum() / tokens.sum()
        row[f"over_{strategy}_stderr"] = ratio_stderr(difference, tokens)
    return row


def _mean(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The mean over the domains, each with the same weight; their documents are independent."""
    mean: dict[str, Any] = {"text": ALL_DOMAINS, "n": sum(row["n"] for row in rows)}
    for name in rows[0].keys() - {"text", "n"}:
        values = np.array([row[name] for row in rows])
        is_error = name.endswith("_stderr")
        mean[name] = np.sqrt((values**2).sum()) / len(rows) if is_error else values.mean()
    return mean
