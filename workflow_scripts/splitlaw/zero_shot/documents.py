"""Held-out losses of a split model: each document goes to the specialist that the router picks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from splitlaw.common.errors import UserError
from splitlaw.common.files import read_json, sha256_file
from splitlaw.corpus.documents import read_documents
from splitlaw.training.evaluation import DocumentLosses, Windows, cut_windows
from splitlaw.zero_shot.scoring import Packed, pack, sums
from splitlaw.zero_shot.systems import ENSEMBLE, ORACLE, ROUTED, mixed

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Losses = Mapping[str, DocumentLosses]


@dataclass(frozen=True, kw_only=True)
class Unsure:
    """The documents of a domain for which the router leaves more than one specialist."""

    documents: Indices
    """Which they are."""
    packed: Packed
    """Their windows; flat results are token by token in the order of the documents."""
    owner: Indices
    """(tokens,) index into `documents`."""

    @property
    def bounds(self) -> Indices:
        """(documents + 1,) where a document's tokens stand in a flat result."""
        return np.searchsorted(self.owner, np.arange(len(self.documents) + 1))


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """The test documents of a domain that `splitlaw.evaluation` measures losses on."""

    domain: str
    """Its name."""
    tokens: Array
    """(documents,) tokens counted."""
    weights: Array
    """(documents, specialists) the router's weights."""
    unsure: Unsure
    """Where these leave more than one specialist, so that tokens must be mixed one by one."""


def read_held_out(
    results: Path,
    domain: str,
    *,
    weigh: Callable[[Sequence[str]], Array],
    context: int,
    limit: int,
    characters: int | None,
) -> HeldOut:
    """Find the documents, and route them by their text, as much of it as is evaluated.

    Raises `UserError` for a domain without test text, token files of another tokenizer, or a corpus
    that is not the one that was tokenized.
    """
    sidecar = results / "tokens" / domain / "tokens.json"
    tokenizer = results / "tokenizer" / "tokenizer.json"
    about = read_json(sidecar)
    if about.get("tokenizer_sha256") != sha256_file(tokenizer):
        raise UserError(f"{sidecar}: was made with another {tokenizer}; run tokenize again")
    if not about["splits"]["test"]["tokens"]:
        raise UserError(f"{sidecar}: the test split has no text; give {domain} more documents")
    windows = cut_windows(sidecar, context=context, limit=limit)
    texts = _first_texts(results / "corpus", domain, len(windows.tokens), characters)
    if [len(text.encode("utf-8")) for text in texts] != windows.bytes.astype(int).tolist():
        raise UserError(
            f"{sidecar}: holds other test documents than {results}/corpus; run tokenize again"
        )
    weights = weigh(texts)
    unsure = np.flatnonzero((weights > 0).sum(1) > 1)
    return HeldOut(
        domain=domain,
        tokens=windows.tokens,
        weights=weights,
        unsure=_unsure(windows, unsure, context),
    )


def _first_texts(corpus: Path, domain: str, number: int, characters: int | None) -> list[str]:
    texts: list[str] = []
    for _, batch in read_documents(corpus, domain, "test"):
        texts += [text[:characters] for text in batch]
        if len(texts) >= number:
            break
    return texts[:number]


def _unsure(windows: Windows, documents: Indices, context: int) -> Unsure:
    kept = np.isin(windows.document, documents)
    lengths = windows.tokens[documents].astype(np.int64)
    return Unsure(
        documents=documents,
        packed=pack(window_requests(windows.inputs[kept], windows.targets[kept]), context=context),
        owner=np.repeat(np.arange(len(documents)), lengths),
    )


def window_requests(inputs: Indices, targets: Indices) -> list[tuple[list[int], list[int]]]:
    """Windows, `(windows, context)` each, as tokens to read and tokens to predict after them."""
    requests = []
    for read, wanted in zip(inputs, targets, strict=True):
        counted = np.flatnonzero(wanted >= 0)
        requests.append((read[: counted[0] + 1].tolist(), wanted[counted].tolist()))
    return requests


def system_losses(
    held: HeldOut, specialists: Sequence[DocumentLosses], unsure: Array
) -> dict[str, DocumentLosses]:
    """Losses by document of the three systems of several specialists.

    `specialists` are their losses on the documents, `unsure` their log-likelihoods of the tokens of
    `held.unsure`, `[specialists, tokens]`.
    """
    nats = np.stack([losses.nats for losses in specialists])
    everyone = np.arange(nats.shape[1])
    routed = nats[held.weights.argmax(1), everyone]
    ensemble = routed.copy()
    some = held.unsure.documents
    tokens = mixed(unsure, held.weights[some], held.unsure.owner)
    ensemble[some] = -sums(tokens, held.unsure.bounds)
    by_system = {ROUTED: routed, ORACLE: nats.min(0), ENSEMBLE: ensemble}
    return {
        system: DocumentLosses(nats=value, tokens=held.tokens, bytes=specialists[0].bytes)
        for system, value in by_system.items()
    }


def check_documents(losses: Losses, held: HeldOut, folder: Path) -> DocumentLosses:
    """The losses of a final model on a domain, if they are of the same documents."""
    found = losses.get(held.domain)
    if found is None or not np.array_equal(found.tokens, held.tokens):
        raise UserError(
            f"{folder}/documents.npz: is not of the test documents of {held.domain}; "
            "run train_final again"
        )
    return found
