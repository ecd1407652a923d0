"""Held-out losses of a split model, in which the router selects a specialist for each document."""

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
class MixedDocuments:
    """Documents of a domain to which the router assigns more than one specialist."""

    documents: Indices
    """Indices of the documents."""
    packed: Packed
    """Their windows; flat results are by token, in the order of the documents."""
    owner: Indices
    """(tokens,) index into `documents`."""

    @property
    def bounds(self) -> Indices:
        """(documents + 1,) positions of the documents' tokens in a flat result."""
        return np.searchsorted(self.owner, np.arange(len(self.documents) + 1))


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """The test documents of a domain on which `splitlaw.training.evaluation` measures losses."""

    domain: str
    """Name of the domain."""
    texts: Sequence[str]
    """The part of each document that is evaluated."""
    tokens: Array
    """(documents,) tokens counted."""
    weights: Array
    """(documents, specialists) weights of the router."""
    mixed: MixedDocuments
    """Documents with more than one specialist, whose probabilities are averaged token by token."""


def read_held_out(
    results: Path,
    domain: str,
    *,
    weigh: Callable[[Sequence[str]], Array],
    context: int,
    limit: int,
    characters: int | None,
) -> HeldOut:
    """Read the test documents and route them by the part of their text that is evaluated.

    Raises `UserError` for a domain without test text, token files of another tokenizer, or a corpus
    other than the one that was tokenized.
    """
    sidecar = results / "tokens" / domain / "tokens.json"
    tokenizer = results / "tokenizer" / "tokenizer.json"
    about = read_json(sidecar)
    if about.get("tokenizer_sha256") != sha256_file(tokenizer):
        raise UserError(f"{sidecar}: was made with a different {tokenizer}; run tokenize again")
    if not about["splits"]["test"]["tokens"]:
        raise UserError(f"{sidecar}: the test split has no text; give {domain} more documents")
    windows = cut_windows(sidecar, context=context, limit=limit)
    texts = first_texts(results / "corpus", domain, len(windows.tokens), characters)
    if [len(text.encode("utf-8")) for text in texts] != windows.bytes.astype(int).tolist():
        raise UserError(
            f"{sidecar}: its test documents are not those of {results}/corpus; run tokenize again"
        )
    weights = weigh(texts)
    several = np.flatnonzero((weights > 0).sum(1) > 1)
    return HeldOut(
        domain=domain,
        texts=texts,
        tokens=windows.tokens,
        weights=weights,
        mixed=_mixed_documents(windows, several, context),
    )


def first_texts(corpus: Path, domain: str, number: int, characters: int | None) -> list[str]:
    """The evaluated part of the first `number` test documents of a domain."""
    texts: list[str] = []
    for _, batch in read_documents(corpus, domain, "test"):
        texts += [text[:characters] for text in batch]
        if len(texts) >= number:
            break
    return texts[:number]


def _mixed_documents(windows: Windows, documents: Indices, context: int) -> MixedDocuments:
    kept = np.isin(windows.document, documents)
    lengths = windows.tokens[documents].astype(np.int64)
    return MixedDocuments(
        documents=documents,
        packed=pack(window_requests(windows.inputs[kept], windows.targets[kept]), context=context),
        owner=np.repeat(np.arange(len(documents)), lengths),
    )


def window_requests(inputs: Indices, targets: Indices) -> list[tuple[list[int], list[int]]]:
    """Pairs of context tokens and tokens to predict, from windows, `(windows, context)` each."""
    requests = []
    for read, wanted in zip(inputs, targets, strict=True):
        counted = np.flatnonzero(wanted >= 0)
        requests.append((read[: counted[0] + 1].tolist(), wanted[counted].tolist()))
    return requests


def system_losses(
    held: HeldOut, specialists: Sequence[DocumentLosses], log_likelihoods: Array
) -> dict[str, DocumentLosses]:
    """Losses by document of the three systems of several specialists.

    `specialists` are their losses on all documents, `log_likelihoods` those of the tokens of
    `held.mixed`, `[specialists, tokens]`.
    """
    nats = np.stack([losses.nats for losses in specialists])
    routed = nats[held.weights.argmax(1), np.arange(nats.shape[1])]
    ensemble = routed.copy()
    documents = held.mixed.documents
    tokens = mixed(log_likelihoods, held.weights[documents], held.mixed.owner)
    ensemble[documents] = -sums(tokens, held.mixed.bounds)
    by_system = {ROUTED: routed, ORACLE: nats.min(0), ENSEMBLE: ensemble}
    return {
        system: DocumentLosses(nats=value, tokens=held.tokens, bytes=specialists[0].bytes)
        for system, value in by_system.items()
    }


def check_documents(losses: Losses, held: HeldOut, folder: Path) -> DocumentLosses:
    """Return the losses of a final model on a domain; refuse losses on other documents."""
    found = losses.get(held.domain)
    if found is None or not np.array_equal(found.tokens, held.tokens):
        raise UserError(
            f"{folder}/documents.npz: its losses are not on the test documents of {held.domain}; "
            "run train_final again"
        )
    return found
