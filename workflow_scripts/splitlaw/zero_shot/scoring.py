"""Token log-likelihoods of short continuations; a question is read once for all its answers.

Requests with the same context are packed into one row: the context, then the answers one after
another. Each answer attends to the context and to itself only, with the positions that it would
have alone. Rows are prepared once and scored by every model. `lm-eval` reads the context again for
each answer; results agree up to float32 rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from transformers import PreTrainedModel

Tokens = Sequence[int]
Array = npt.NDArray[np.float64]

_BATCH_TOKENS = 4096
"""Tokens of a batch: enough for full throughput, with activations of a few hundred MB at most."""
_ROW_CONTEXTS = 2
"""Largest length of a row in contexts: attention over longer rows costs more than reading a short
question again."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Rows padded to one length; scored tokens are in flat arrays, `[scored]`."""

    inputs: Tensor
    """(rows, length) token ids."""
    positions: Tensor
    """(rows, length) positions; the answers of a row begin at the same position."""
    mask: Tensor
    """(rows, 1, length, length), true where a token attends."""
    place: Tensor
    """(scored,) flat index of the token from which it is predicted."""
    target: Tensor
    """(scored,) id of the token."""
    slot: npt.NDArray[np.int64]
    """(scored,) index of its log-likelihood in the flat result."""


@dataclass(frozen=True, kw_only=True)
class Packed:
    """All requests in batches, for scoring by one model after another."""

    batches: list[Batch]
    """Batches of rows of similar length."""
    bounds: npt.NDArray[np.int64]
    """(requests + 1,) positions of the requests' tokens in the flat result."""

    @property
    def tokens(self) -> int:
        """Number of tokens that are read, including padding."""
        return sum(batch.inputs.numel() for batch in self.batches)


@dataclass(frozen=True)
class _Row:
    """A context and the answers that follow it: (number of the request, its tokens)."""

    context: tuple[int, ...]
    answers: list[tuple[int, Tokens]]

    @property
    def length(self) -> int:
        return len(self.context) + sum(len(answer) - 1 for _, answer in self.answers)


def pack(requests: Sequence[tuple[Tokens, Tokens]], *, context: int) -> Packed:
    """Prepare (context, continuation) pairs of token ids for models that read `context` tokens.

    Pairs that are too long are truncated on the left, as in `lm-eval`: a model reads at most
    `context` tokens, and the last token of the continuation is only predicted. Continuations have 1
    to `context` tokens.
    """
    rows: list[_Row] = []
    open_rows: dict[tuple[int, ...], _Row] = {}
    for number, (before, answer) in enumerate(requests):
        assert 0 < len(answer) <= context, f"request {number}: {len(answer)} tokens to predict"
        room = context + 1 - len(answer)
        shown = tuple(before[-room:])
        assert shown, f"request {number}: there is no token before its first one"
        row = open_rows.get(shown)
        if row is None or row.length + len(answer) > _ROW_CONTEXTS * context:
            row = open_rows[shown] = _Row(shown, [])
            rows.append(row)
        row.answers.append((number, answer))
    bounds = np.cumsum([0, *(len(answer) for _, answer in requests)])
    ordered = sorted(rows, key=lambda row: row.length)
    return Packed(
        batches=[_batch(part, bounds) for part in _by_size(ordered)],
        bounds=bounds.astype(np.int64),
    )


def _by_size(rows: Sequence[_Row]) -> Iterator[list[_Row]]:
    part: list[_Row] = []
    for row in rows:
        if part and (len(part) + 1) * row.length > _BATCH_TOKENS:
            yield part
            part = []
        part.append(row)
    if part:
        yield part


def _batch(rows: Sequence[_Row], bounds: npt.NDArray[np.int64]) -> Batch:
    length = max(row.length for row in rows)
    inputs = np.zeros((len(rows), length), dtype=np.int64)
    positions = np.zeros((len(rows), length), dtype=np.int64)
    # Padding attends to itself, so that no softmax is empty; no other token attends to it.
    mask = np.repeat(np.eye(length, dtype=bool)[None], len(rows), axis=0)
    scored: list[tuple[npt.NDArray[np.int64], Tokens, npt.NDArray[np.int64]]] = []
    for number, row in enumerate(rows):
        shared = len(row.context)
        inputs[number, :shared] = row.context
        positions[number, :shared] = np.arange(shared)
        mask[number, :shared, :shared] = np.tri(shared, dtype=bool)
        begin = shared
        for request, answer in row.answers:
            fed = len(answer) - 1
            end = begin + fed
            inputs[number, begin:end] = answer[:-1]
            positions[number, begin:end] = np.arange(shared, shared + fed)
            mask[number, begin:end, :shared] = True
            mask[number, begin:end, begin:end] = np.tri(fed, dtype=bool)
            place = np.concatenate(([shared - 1], np.arange(begin, end))) + number * length
            scored.append((place, answer, bounds[request] + np.arange(len(answer))))
            begin = end
    return Batch(
        inputs=torch.from_numpy(inputs),
        positions=torch.from_numpy(positions),
        mask=torch.from_numpy(mask[:, None]),
        place=torch.from_numpy(np.concatenate([part[0] for part in scored])),
        target=torch.from_numpy(np.concatenate([np.asarray(part[1]) for part in scored])),
        slot=np.concatenate([part[2] for part in scored]),
    )


@torch.no_grad()
def log_likelihoods(model: PreTrainedModel, packed: Packed) -> Array:
    """Natural log-likelihood of every token to predict, `[tokens]`, in the order of the requests.

    The head is applied only at positions from which a token is predicted; logits are float32.
    """
    device = next(model.parameters()).device
    result = np.zeros(packed.bounds[-1])
    head: Any = model.get_output_embeddings()
    for batch in packed.batches:
        place = batch.place.to(device)
        # Given to the head as one row, so that architectures may change its result in any way.
        only = head.register_forward_pre_hook(
            lambda _, inputs, place=place: (inputs[0].flatten(0, 1)[place][None],)
        )
        try:
            logits = (
                model(
                    input_ids=batch.inputs.to(device),
                    attention_mask=batch.mask.to(device),
                    position_ids=batch.positions.to(device),
                    use_cache=False,
                )
                .logits[0]
                .float()
            )
        finally:
            only.remove()
        target = batch.target.to(device)
        found = logits.gather(1, target[:, None]).squeeze(1) - logits.logsumexp(1)
        result[batch.slot] = found.double().cpu().numpy()
    return result


def sums(values: Array, bounds: npt.NDArray[np.int64]) -> Array:
    """Sums of flat `values` between consecutive `bounds`, `[len(bounds) - 1]`."""
    total = np.concatenate(([0.0], np.cumsum(values)))
    return total[bounds[1:]] - total[bounds[:-1]]
