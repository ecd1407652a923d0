"""Texts that one model continues together, each with the bits that it would have alone.

The sums of a matrix product are rounded in an order that depends on the shapes of the matrices. So
every step of a model has the same shapes, whatever else is being continued: a block of `ROWS` rows,
some of which may be empty, and keys and values of a length that depends on the own length of a text
only. Prompts are read one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import Cache, DynamicLayer

from splitlaw.common.errors import UserError
from splitlaw.zero_shot.scoring import attention_mask

ROWS = 8
"""Texts that a model continues at a time. A step of 8 rows takes 1.3 times that of one row with the
smallest models of the default experiment, and twice with a width of 256, where arithmetic begins
to count, so that more rows would slow down a single client too much."""
_SHORTEST = 256
"""Least length of keys and values; longer texts have the next power of two of it."""
_TOLERANCE = 1e-3
"""Largest difference of logits, as a share of the largest one, that rounding explains. Differences
of up to 1e-5 were measured."""
_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts")
"""Keys of the configuration of a mixture of experts. An expert reads the tokens of all rows that
are routed to it as one matrix, whose shape depends on the other rows."""


class _FixedLayer(DynamicLayer):
    """Keys and values of a layer, `[rows, heads, length, width of a head]`."""

    def __init__(self, used: npt.NDArray[np.int64], length: int) -> None:
        """`used` is the number of tokens that each row has read, which the block changes."""
        super().__init__()
        # Not the block itself: a cycle of references would keep its memory until it is found.
        self._used, self._length = used, length

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Allocate both for a head as in `key_states` and `value_states`."""
        self.dtype, self.device = key_states.dtype, key_states.device
        self.keys, self.values = (
            states.new_zeros((len(self._used), states.shape[1], self._length, states.shape[3]))
            for states in (key_states, value_states)
        )
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Write one token of every row at the end of its text."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        row, place = torch.arange(len(self._used)), torch.from_numpy(self._used)
        keys, values = self.states
        keys[row, :, place] = key_states[:, :, 0]
        values[row, :, place] = value_states[:, :, 0]
        return keys, values

    @property
    def states(self) -> tuple[Tensor, Tensor]:
        """Keys and values."""
        assert self.keys is not None and self.values is not None
        return self.keys, self.values


class _Block:
    """Rows of one model with keys and values of one length."""

    def __init__(self, model: PreTrainedModel, *, rows: int, length: int) -> None:
        self.model, self.rows, self.length = model, rows, length
        self.used = np.zeros(rows, dtype=np.int64)
        """Number of tokens of each row that have been read; 0 for an empty row."""
        self.layers = [
            _FixedLayer(self.used, length) for _ in range(model.config.num_hidden_layers)
        ]
        self.cache = Cache(layers=[*self.layers])

    def write(self, row: int, states: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Set the keys and values of a row, `[heads, tokens, width]` for each layer."""
        for layer, new in zip(self.layers, states, strict=True):
            if not layer.is_initialized:
                layer.lazy_initialization(new[0][None], new[1][None])
            for own, part in zip(layer.states, new, strict=True):
                own[row, :, : part.shape[1]] = part
        self.used[row] = states[0][0].shape[1]

    def states(self, row: int) -> list[tuple[Tensor, Tensor]]:
        """The keys and values of a row, as `write` takes them."""
        used = int(self.used[row])
        both = [layer.states for layer in self.layers]
        return [(keys[row, :, :used], values[row, :, :used]) for keys, values in both]

    @torch.inference_mode()
    def step(self, tokens: Mapping[int, int]) -> Tensor:
        """Append one token to each of some rows; logits of the next token, `[rows, vocabulary]`.

        Other rows do not change: what is written at their end is written over later.
        """
        device = self.model.device
        ids = torch.zeros((self.rows, 1), dtype=torch.long)
        for row, token in tokens.items():
            ids[row] = token
        used = torch.from_numpy(self.used)[:, None]
        mask = torch.arange(self.length) <= used
        logits = self.model(
            input_ids=ids.to(device),
            attention_mask=attention_mask(self.model, mask[:, None, None]),
            position_ids=used.to(device),
            past_key_values=self.cache,
            use_cache=True,
        ).logits[:, -1]
        self.used[list(tokens)] += 1
        return logits.cpu()


@dataclass
class _Place:
    """Where a text is."""

    block: _Block
    row: int


@dataclass
class ModelRows:
    """The texts that one model continues."""

    model: PreTrainedModel
    context: int
    """Largest number of tokens of a text."""
    row_counts: dict[int, int] = field(default_factory=dict)
    """Number of rows of a block by its length, as far as it has been found out."""

    def __post_init__(self) -> None:
        self._places: dict[int, _Place] = {}
        self._free: dict[int, list[_Place]] = {}
        """Empty rows by the length of their block."""
        self._count = 0

    @torch.inference_mode()
    def begin(self, tokens: Sequence[int]) -> tuple[int, Tensor]:
        """Read a prompt; its number, and the logits of the next token, `[vocabulary]`."""
        states, logits = read_prompt(self.model, tokens)
        place = self._empty(len(tokens) + 1)
        place.block.write(place.row, states)
        self._count += 1
        self._places[self._count] = place
        return self._count, logits

    @torch.inference_mode()
    def step(self, tokens: Mapping[int, int]) -> dict[int, Tensor]:
        """Append a token to each of some texts; the logits of the next one by text."""
        blocks: dict[_Block, dict[int, int]] = {}
        for number in tokens:
            place = self._places[number]
            if place.block.used[place.row] == place.block.length:
                place = self._lengthen(number)
            blocks.setdefault(place.block, {})[place.row] = number
        found: dict[int, Tensor] = {}
        for block, numbers in blocks.items():
            logits = block.step({row: tokens[number] for row, number in numbers.items()})
            found |= {number: logits[row] for row, number in numbers.items()}
        return found

    def end(self, number: int) -> None:
        """Give up the rows of a text."""
        self._release(self._places.pop(number))

    def _lengthen(self, number: int) -> _Place:
        """Move a text that fills its row to a longer one."""
        old = self._places[number]
        new = self._places[number] = self._empty(old.block.length + 1)
        new.block.write(new.row, old.block.states(old.row))
        self._release(old)
        return new

    def _release(self, place: _Place) -> None:
        """Empty a row; a block without texts is dropped where others have empty rows."""
        place.block.used[place.row] = 0
        free = self._free[place.block.length]
        free.append(place)
        others = [one for one in free if one.block is not place.block]
        if others and not place.block.used.any():
            self._free[place.block.length] = others

    def _empty(self, tokens: int) -> _Place:
        """An empty row for a text of `tokens` tokens."""
        assert tokens <= self.context
        length = _SHORTEST
        while length < tokens:
            length *= 2
        length = min(length, self.context)
        free = self._free.setdefault(length, [])
        if not free:
            if length not in self.row_counts:
                self.row_counts[length] = count_rows(self.model, length)
            block = _Block(self.model, rows=self.row_counts[length], length=length)
            free += [_Place(block, row) for row in range(block.rows)]
        # The block with most texts, so that few blocks are computed.
        chosen = max(free, key=lambda place: np.count_nonzero(place.block.used))
        free.remove(chosen)
        return chosen


@torch.inference_mode()
def read_prompt(
    model: PreTrainedModel, tokens: Sequence[int]
) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
    """Keys and values of a text in each layer, and the logits of the next token."""
    cache = DynamicCache()
    logits = model(
        input_ids=torch.tensor([tokens], device=model.device),
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    ).logits[0, -1]
    layers: list[Any] = cache.layers
    return [(layer.keys[0], layer.values[0]) for layer in layers], logits.cpu()


def count_rows(model: PreTrainedModel, length: int) -> int:
    """Number of rows of a block: `ROWS` if a text has the same bits in each of them, otherwise 1.

    This is found out by a step of random texts, of which one is as long as the block. Raises
    `UserError` where the logits are not those of the whole text, which happens in architectures
    without an attention mask for each row, and beyond a window of their attention.
    """
    try:
        return _count_rows(model, length)
    except torch.OutOfMemoryError:
        raise
    except Exception as cause:  # an architecture without such arguments may fail in any way
        raise UserError(
            f"models of the architecture {model.config.model_type} cannot be continued in batches; "
            "use generate of transformers"
        ) from cause


def _count_rows(model: PreTrainedModel, length: int) -> int:
    generator = np.random.default_rng(0)
    end = int(model.config.vocab_size)
    texts = [
        [int(token) for token in generator.integers(end, size=size)]
        for size in (length, *(2 + number % (length - 1) for number in range(5, 2 + 3 * ROWS, 3)))
    ]
    states = [read_prompt(model, text[:-1])[0] for text in texts]
    if any((getattr(model.config, key, 1) or 1) > 1 for key in _EXPERTS):
        found = [_step_of(model, length, {0: 0}, texts, states, rows=1)]
    else:
        whole = {row: row for row in range(ROWS)}
        moved = {(row + 1) % ROWS: row for row in range(ROWS)}
        found = [_step_of(model, length, put, texts, states) for put in (whole, moved, {0: 0})]
    for text in found[0]:
        wanted = read_prompt(model, texts[text])[1]
        if not (found[0][text] - wanted).abs().max() <= _TOLERANCE * wanted.abs().max():
            raise ValueError("other logits than those of the whole text")
    same = all(torch.equal(row, found[0][text]) for part in found[1:] for text, row in part.items())
    return ROWS if len(found) > 1 and same else 1


def _step_of(
    model: PreTrainedModel,
    length: int,
    texts_in_rows: Mapping[int, int],
    texts: Sequence[Sequence[int]],
    states: Sequence[Sequence[tuple[Tensor, Tensor]]],
    *,
    rows: int = ROWS,
) -> dict[int, Tensor]:
    """Logits after the last token of texts that are in some rows of a block, by text."""
    block = _Block(model, rows=rows, length=length)
    for row, text in texts_in_rows.items():
        block.write(row, states[text])
    logits = block.step({row: texts[text][-1] for row, text in texts_in_rows.items()})
    return {text: logits[row] for row, text in texts_in_rows.items()}
