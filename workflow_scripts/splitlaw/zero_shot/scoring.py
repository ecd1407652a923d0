"""Token log-likelihoods of short continuations; a question is read once for all its answers.

Requests with the same context are packed into one row: the context, then the answers one after
another. Each answer attends to the context and to itself only, with the positions that it would
have alone. Rows are prepared once and scored by every model. `lm-eval` reads the context again for
each answer; results agree up to float32 rounding. So does a model whose architecture has no such
masks or positions, or whose attention has a window.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from weakref import WeakKeyDictionary

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
_TOLERANCE = 1e-4
"""Largest difference of log-likelihoods, as a share of the largest one, that rounding explains.
Differences of up to 1e-6 were measured in small models; deeper ones round more often."""
_packed_models: WeakKeyDictionary[PreTrainedModel, dict[int, bool]] = WeakKeyDictionary()
"""Whether a model reads packed rows as it reads each text alone, by the context of the rows."""


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
    context: int
    """Largest number of tokens that a model reads for a request."""

    @property
    def tokens(self) -> int:
        """Number of tokens that are read, including padding."""
        return sum(batch.inputs.numel() for batch in self.batches)

    def separate(self) -> Iterator[Batch]:
        """The same requests, each in a row of its own."""
        for batch in self.batches:
            length = batch.inputs.shape[1]
            begins = np.flatnonzero(np.isin(batch.slot, self.bounds[:-1]))
            rows = []
            for begin, end in pairwise([*begins.tolist(), len(batch.slot)]):
                row, last = divmod(int(batch.place[begin]), length)
                number = int(np.searchsorted(self.bounds, batch.slot[begin]))
                context = tuple(batch.inputs[row, : last + 1].tolist())
                rows.append(_Row(context, [(number, batch.target[begin:end].tolist())]))
            rows.sort(key=lambda row: row.length)
            yield from (_batch(part, self.bounds) for part in _by_size(rows))


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
        context=context,
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


def log_likelihoods(model: PreTrainedModel, packed: Packed) -> Array:
    """Natural log-likelihood of every token to predict, `[tokens]`, in the order of the requests.

    Logits are float32. May be called by several threads with one model.
    """
    known = _packed_models.setdefault(model, {})
    if packed.context not in known:
        known[packed.context] = _reads_packed_rows(model, packed.context)
    return _score(model, packed, packed_rows=known[packed.context])


@torch.no_grad()
def _score(model: PreTrainedModel, packed: Packed, *, packed_rows: bool) -> Array:
    result = np.zeros(packed.bounds[-1])
    for batch in packed.batches if packed_rows else packed.separate():
        logits = (_read_packed(model, batch) if packed_rows else _read_plain(model, batch)).float()
        target = batch.target.to(logits.device)
        found = logits.gather(1, target[:, None]).squeeze(1) - logits.logsumexp(1)
        result[batch.slot] = found.double().cpu().numpy()
    return result


def _read_packed(model: PreTrainedModel, batch: Batch) -> Tensor:
    """Logits of the tokens to predict, `[scored, vocabulary]`; the head reads no other position."""
    device = model.device
    inner: Any = model.base_model
    head: Any = model.get_output_embeddings()
    hidden = inner(
        input_ids=batch.inputs.to(device),
        attention_mask=attention_mask(model, batch.mask),
        position_ids=batch.positions.to(device),
        use_cache=False,
    ).last_hidden_state
    logits: Tensor = head(hidden.flatten(0, 1)[batch.place.to(device)][None])[0]
    return logits


def _read_plain(model: PreTrainedModel, batch: Batch) -> Tensor:
    """Logits as `_read_packed`, of rows with one request each, which every architecture reads."""
    inputs = batch.inputs.to(model.device)
    # Nothing is masked: padding is at the end, and no token attends to those after it.
    logits: Tensor = model(
        input_ids=inputs, attention_mask=torch.ones_like(inputs), use_cache=False
    ).logits
    return logits.flatten(0, 1)[batch.place.to(model.device)]


def attention_mask(model: PreTrainedModel, mask: Tensor) -> Tensor:
    """A boolean mask `[rows, 1, tokens, keys]` in the form in which the model's attention adds it.

    Only attention by `scaled_dot_product_attention` takes a boolean mask; others add a mask to the
    products of queries and keys, as it is.
    """
    mask = mask.to(model.device)
    if model.config._attn_implementation == "sdpa":
        return mask
    added = torch.zeros(mask.shape, dtype=model.dtype, device=mask.device)
    return added.masked_fill_(~mask, torch.finfo(model.dtype).min)


def _reads_packed_rows(model: PreTrainedModel, context: int) -> bool:
    """Whether a model gives packed texts of `context` tokens the log-likelihoods of plain ones.

    Not so with positions or masks that the architecture computes itself, with windows of attention
    shorter than the context, and where logits are not those of the head alone.
    """
    generator = np.random.default_rng(0)
    embeddings: Any = model.get_input_embeddings()

    def tokens(count: int) -> list[int]:
        return [int(token) for token in generator.integers(len(embeddings.weight), size=count)]

    half = (context + 1) // 2
    shared, short = tokens(half), tokens(1)
    answers = [tokens(context + 1 - half) for _ in range(2)]
    packed = pack([*((shared, answer) for answer in answers), (short, short)], context=context)
    wanted = _score(model, packed, packed_rows=False)
    try:
        found = _score(model, packed, packed_rows=True)
    except torch.OutOfMemoryError:
        raise
    except Exception:  # an architecture without such arguments may fail in any way
        return False
    return bool(np.abs(found - wanted).max() <= _TOLERANCE * np.abs(wanted).max())


def sums(values: Array, bounds: npt.NDArray[np.int64]) -> Array:
    """Sums of flat `values` between consecutive `bounds`, `[len(bounds) - 1]`."""
    total = np.concatenate(([0.0], np.cumsum(values)))
    return total[bounds[1:]] - total[bounds[:-1]]
