"""Losses on held-out documents: every token predicted exactly once, errors by document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from transformers import PreTrainedModel

from splitlaw.common.errors import UserError
from splitlaw.common.files import atomic_path, read_json
from splitlaw.common.statistics import ratio_stderr
from splitlaw.tokens import open_documents
from splitlaw.training.stream import check_ids

Array = npt.NDArray[np.float64]

NOT_COUNTED = -100
"""Target of a position whose loss is not counted: `ignore_index` of torch's cross entropy."""


@dataclass(frozen=True, kw_only=True)
class DocumentLosses:
    """Losses of a model on a set of documents; each array has one entry per document."""

    nats: Array
    """Negative log-likelihood of the document's tokens, summed, in nats."""
    tokens: Array
    """Number of predicted tokens: all but the end-of-text token at the beginning."""
    bytes: Array
    """Length of the document's text in bytes of UTF-8."""

    @property
    def loss(self) -> float:
        """Nats per token over all documents."""
        return float(self.nats.sum() / self.tokens.sum())

    @property
    def stderr(self) -> float:
        """Standard error of `loss` with documents as the sample (a ratio estimator)."""
        return ratio_stderr(self.nats, self.tokens)

    @property
    def bits_per_byte(self) -> float:
        """Bits per byte of text, which is comparable between tokenizers."""
        return float(self.nats.sum() / self.bytes.sum() / np.log(2))


def save_documents(file: Path, losses: Mapping[str, DocumentLosses]) -> None:
    """Write nats, tokens and bytes of every document to `file`, by evaluated domain."""
    arrays = {
        f"{domain}/{name}": values
        for domain, loss in losses.items()
        for name, values in asdict(loss).items()
    }
    with atomic_path(file) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **arrays)


def load_documents(file: Path) -> dict[str, DocumentLosses]:
    """Read the losses that `save_documents` wrote, by evaluated domain."""
    with np.load(file) as arrays:
        domains = sorted({name.split("/")[0] for name in arrays.files})
        return {
            domain: DocumentLosses(
                nats=arrays[f"{domain}/nats"],
                tokens=arrays[f"{domain}/tokens"],
                bytes=arrays[f"{domain}/bytes"],
            )
            for domain in domains
        }


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Held-out documents cut into windows of equal length."""

    inputs: npt.NDArray[np.int64]
    """(windows, context) token ids; positions after the end of a window's text are padding."""
    targets: npt.NDArray[np.int64]
    """(windows, context) ids to predict, or `NOT_COUNTED`."""
    document: npt.NDArray[np.int64]
    """(windows,) index of the document of each window."""
    tokens: Array
    """(documents,) number of counted tokens."""
    bytes: Array
    """(documents,) length of the text in bytes."""


def cut_windows(sidecar: Path, *, context: int, limit: int, split: str = "test") -> Windows:
    """Windows of the first documents of a split that have `limit` tokens together.

    A document is predicted in windows of `context` tokens, and each token from at most `context`
    tokens before it. The last window is moved back so that it is full, and only its new tokens are
    counted. These are the windows of lm-eval's rolling log-likelihood with a context length of 1.
    Raises `UserError` if the split has no text.
    """
    tokens, offsets, sizes = open_documents(sidecar, split)
    documents, counted = [], 0
    for number in range(len(offsets) - 1):
        if counted >= limit:
            break
        documents.append(np.asarray(tokens[offsets[number] : offsets[number + 1]], dtype=np.int64))
        counted += len(documents[-1]) - 1
    if not counted:
        raise UserError(f"{sidecar}: the {split} split has no text; give the domain more documents")
    windows = windows_of(documents, sizes[: len(documents)], context=context)
    check_ids(windows.inputs, read_json(sidecar)["vocabulary"], sidecar)
    return windows


def windows_of(
    documents: Sequence[npt.NDArray[np.int64]], sizes: npt.ArrayLike, *, context: int
) -> Windows:
    """Windows of documents of token ids, each after an end-of-text token; `sizes` are in bytes."""
    rows = [
        (*row, number)
        for number, document in enumerate(documents)
        for row in _document_windows(document, context)
    ]
    return Windows(
        inputs=np.stack([row[0] for row in rows]),
        targets=np.stack([row[1] for row in rows]),
        document=np.array([row[2] for row in rows]),
        tokens=np.array([len(document) - 1 for document in documents], dtype=float),
        bytes=np.asarray(sizes, dtype=float),
    )


def _document_windows(
    document: npt.NDArray[np.int64], context: int
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    length = len(document) - 1
    for done in range(0, length, context):
        end = min(done + context, length)
        begin = max(0, end - context)
        inputs = np.zeros(context, dtype=np.int64)
        targets = np.full(context, NOT_COUNTED, dtype=np.int64)
        inputs[: end - begin] = document[begin:end]
        targets[done - begin : end - begin] = document[done + 1 : end + 1]
        yield inputs, targets


@torch.no_grad()
def evaluate(model: PreTrainedModel, windows: Windows, *, batch: int = 64) -> DocumentLosses:
    """Losses of `model` on every document.

    The cross entropy is computed in float32 and summed in float64. `batch` is in windows.
    """
    device = next(model.parameters()).device
    nats = np.zeros(len(windows.tokens))
    for begin in range(0, len(windows.inputs), batch):
        part = slice(begin, begin + batch)
        inputs = torch.from_numpy(windows.inputs[part]).to(device)
        targets = torch.from_numpy(windows.targets[part]).to(device)
        logits = model(input_ids=inputs).logits.float()
        losses = F.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), reduction="none", ignore_index=NOT_COUNTED
        )
        sums = losses.view(targets.shape).double().sum(1).cpu().numpy()
        np.add.at(nats, windows.document[part], sums)
    return DocumentLosses(nats=nats, tokens=windows.tokens, bytes=windows.bytes)
