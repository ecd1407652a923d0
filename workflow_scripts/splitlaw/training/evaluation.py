"""Losses on held-out documents: every token predicted exactly once, errors by document."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from transformers import LlamaForCausalLM

from splitlaw.common.errors import UserError
from splitlaw.common.statistics import ratio_stderr
from splitlaw.tokens import open_documents

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class DocumentLosses:
    """What a model made of a set of documents; arrays of one entry a document."""

    nats: Array
    """Summed negative log-likelihood of the document's tokens, in nats."""
    tokens: Array
    """Tokens predicted: all of them but the end-of-text token in front."""
    bytes: Array
    """Length of the document's text in UTF-8."""

    @property
    def loss(self) -> float:
        """Nats per token over all documents."""
        return float(self.nats.sum() / self.tokens.sum())

    @property
    def stderr(self) -> float:
        """Standard error of `loss`, the documents taken as the sample (a ratio estimator)."""
        return ratio_stderr(self.nats, self.tokens)

    @property
    def bits_per_byte(self) -> float:
        """Bits per byte of text, which compares models with different tokenizers."""
        return float(self.nats.sum() / self.bytes.sum() / np.log(2))


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Held-out documents cut into windows of one length, ready for batches."""

    inputs: npt.NDArray[np.int64]
    """(windows, context) token ids; what lies behind a window's end is padding."""
    targets: npt.NDArray[np.int64]
    """(windows, context) ids to predict, -100 where nothing is counted."""
    document: npt.NDArray[np.int64]
    """(windows,) which document a window is of."""
    tokens: Array
    """(documents,) tokens counted."""
    bytes: Array
    """(documents,) bytes of text."""


def cut_windows(sidecar: Path, *, context: int, limit: int, split: str = "test") -> Windows:
    """Windows over the first documents of a split that reach `limit` tokens together.

    A document of n tokens behind its end-of-text token is predicted in stretches of `context`
    tokens, each from at most `context` tokens before it; the last stretch is moved back so that
    its window is full, and counts only what is new (the windows of lm-eval's rolling
    log-likelihood with a context length of 1).
    """
    tokens, offsets, sizes = open_documents(sidecar, split)
    rows: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], int]] = []
    counted: list[int] = []
    for number in range(len(offsets) - 1):
        if sum(counted) >= limit:
            break
        document = np.asarray(tokens[offsets[number] : offsets[number + 1]], dtype=np.int64)
        rows += [(*row, number) for row in _document_windows(document, context)]
        counted.append(len(document) - 1)
    if not rows:
        raise UserError(f"{sidecar}: the {split} split has no text; give the domain more documents")
    return Windows(
        inputs=np.stack([row[0] for row in rows]),
        targets=np.stack([row[1] for row in rows]),
        document=np.array([row[2] for row in rows]),
        tokens=np.array(counted, dtype=float),
        bytes=np.asarray(sizes[: len(counted)], dtype=float),
    )


def _document_windows(
    document: npt.NDArray[np.int64], context: int
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    length = len(document) - 1
    for done in range(0, length, context):
        end = min(done + context, length)
        begin = max(0, end - context)
        inputs = np.zeros(context, dtype=np.int64)
        targets = np.full(context, -100, dtype=np.int64)
        inputs[: end - begin] = document[begin:end]
        targets[done - begin : end - begin] = document[done + 1 : end + 1]
        yield inputs, targets


@torch.no_grad()
def evaluate(model: LlamaForCausalLM, windows: Windows, *, batch: int = 64) -> DocumentLosses:
    """Sum the nats of every document under `model`, in float32."""
    device = next(model.parameters()).device
    nats = np.zeros(len(windows.tokens))
    for begin in range(0, len(windows.inputs), batch):
        part = slice(begin, begin + batch)
        inputs = torch.from_numpy(windows.inputs[part]).to(device)
        targets = torch.from_numpy(windows.targets[part]).to(device)
        logits = model(input_ids=inputs).logits.float()
        losses = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        sums = losses.view(targets.shape).double().sum(1).cpu().numpy()
        np.add.at(nats, windows.document[part], sums)
    return DocumentLosses(nats=nats, tokens=windows.tokens, bytes=windows.bytes)
