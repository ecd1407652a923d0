"""Batches from flat token files, as a function of the seed, the step and the sources' weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

import numpy as np
import numpy.typing as npt

from splitlaw.common.errors import UserError
from splitlaw.common.files import read_json
from splitlaw.experiment.lineage import GENERAL, Lineage, last_stream_start
from splitlaw.experiment.settings import TrainingConfig
from splitlaw.experiment.shape import BaseShape, Shape
from splitlaw.tokens import open_tokens
from splitlaw.training.text import TrainingText


class TokenStream:
    """An endless stream of windows of one domain, in an order drawn from the seed.

    The token file is memory-mapped. Window `i` consists of the tokens `i * context` to
    `(i + 1) * context`, inclusive, so neighbouring windows share one token, and in each epoch every
    token but the first is a target once. Each epoch has its own permutation.
    """

    def __init__(
        self,
        sidecar: Path,
        *,
        vocabulary: int,
        context: int,
        batch: int,
        seed: int,
        limit: int = 0,
    ) -> None:
        """`sidecar` is the `tokens.json` of the domain; `batch` is in windows.

        With a `limit`, only so many tokens at the beginning of the file are read.
        """
        self.sidecar, self.vocabulary = sidecar, vocabulary
        # A view without the Python code that a memmap runs whenever it is indexed.
        self.tokens = np.asarray(open_tokens(sidecar, "train"))
        check_vocabulary(sidecar, vocabulary)
        self.context = context
        self.batch = batch
        self.windows = (len(self.tokens) - 1) // context
        self._entropy = [seed, crc32(sidecar.parent.name.encode())]
        self._epoch = -1
        self._order: npt.NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._offsets = np.arange(context + 1)
        if self.windows < 1:
            raise UserError(
                f"{sidecar}: {len(self.tokens)} training tokens are fewer than one window of "
                f"{context}; add documents or shorten model.context"
            )
        if limit:
            self._limit(limit)

    def _limit(self, tokens: int) -> None:
        if tokens > len(self.tokens):
            raise UserError(
                f"{self.sidecar}: {len(self.tokens)} training tokens, fewer than the "
                f"{tokens} unique tokens of a run; lower unique_tokens or add documents"
            )
        if tokens < self.batch * self.context:
            raise UserError(
                f"{self.sidecar}: {tokens} unique tokens of a run are fewer than one batch of "
                f"{self.batch * self.context}; raise unique_tokens"
            )
        self.windows = min(self.windows, tokens // self.context)

    @property
    def unique_tokens(self) -> int:
        """Number of tokens in an epoch."""
        return self.windows * self.context

    def read(self, step: int, rows: slice = slice(None)) -> npt.NDArray[np.int64]:
        """Those rows of the batch of `step`, counted from 0: (rows, context + 1) token ids."""
        begins = self._begins(range(step * self.batch, (step + 1) * self.batch)[rows])
        batch = self.tokens[begins[:, None] + self._offsets].astype(np.int64)
        check_ids(batch, self.vocabulary, self.sidecar)
        return batch

    def window(self, number: int) -> npt.NDArray[np.integer]:
        """Window `number` of the stream, counted from 0: (context + 1,) token ids."""
        begin = int(self._begins(range(number, number + 1))[0])
        return self.tokens[begin : begin + self.context + 1]

    def _begins(self, numbers: range) -> npt.NDArray[np.int64]:
        """Positions in the file of the first tokens of consecutive windows of the stream."""
        parts = []
        while numbers:
            epoch, first = divmod(numbers.start, self.windows)
            if epoch != self._epoch:
                generator = np.random.default_rng([*self._entropy, epoch])
                self._epoch, self._order = epoch, generator.permutation(self.windows)
            parts.append(self._order[first : first + len(numbers)])
            numbers = numbers[len(parts[-1]) :]
        return np.concatenate(parts) * self.context


class MixedStream:
    """A stream that shuffles windows of several token streams, in proportion to their weights.

    Weights are whole numbers. Every period of as many windows as the sum of the weights has exactly
    `weights[source]` windows of each source, in an order drawn from the seed, so a run of whole
    periods reads exactly the planned amounts. The windows of a source come in the order in which
    its own stream has them.
    """

    def __init__(
        self,
        sources: Mapping[str, TokenStream],
        weights: Mapping[str, int],
        *,
        seed: int,
        begin: Mapping[str, int] | None = None,
    ) -> None:
        """`weights` has the same keys as `sources`.

        `begin` is the first window that is read of a source; by default 0.
        """
        self.names = sorted(weights)  # so that the order of the configuration changes nothing
        self.sources = [sources[name] for name in self.names]
        self.batch = self.sources[0].batch
        self._weights = np.array([weights[name] for name in self.names])
        self._begin = [(begin or {}).get(name, 0) for name in self.names]
        self._entropy = [seed, *(crc32(name.encode()) for name in self.names)]
        self._period = -1
        self._source: npt.NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._rank: npt.NDArray[np.int64] = np.empty(0, dtype=np.int64)

    def read(self, step: int, rows: slice = slice(None)) -> npt.NDArray[np.int64]:
        """Those rows of the batch of `step`, counted from 0: (rows, context + 1) token ids."""
        positions = range(step * self.batch, (step + 1) * self.batch)[rows]
        return np.stack([self._window(position) for position in positions]).astype(np.int64)

    def windows_read(self, steps: int) -> dict[str, int]:
        """Number of windows of each source in the first `steps` batches."""
        periods, rest = divmod(steps * self.batch, int(self._weights.sum()))
        self._draw(periods)
        partial = np.bincount(self._source[:rest], minlength=len(self.names))
        counts = periods * self._weights + partial
        return dict(zip(self.names, counts.tolist(), strict=True))

    def _window(self, number: int) -> npt.NDArray[np.integer]:
        period, place = divmod(number, int(self._weights.sum()))
        self._draw(period)
        source = self._source[place]
        before = self._begin[source] + period * int(self._weights[source])
        return self.sources[source].window(before + int(self._rank[place]))

    def _draw(self, period: int) -> None:
        """Draw the source of every place in a period, and its rank among those of its source."""
        if period == self._period:
            return
        ordered = np.repeat(np.arange(len(self.names)), self._weights)
        self._source = np.random.default_rng([*self._entropy, period]).permutation(ordered)
        self._rank = np.empty_like(self._source)
        for source, weight in enumerate(self._weights):
            self._rank[self._source == source] = np.arange(weight)
        self._period = period


@dataclass(kw_only=True)
class Streams:
    """The token streams of several domains and mixtures, each opened when it is first read."""

    text: TrainingText
    """Token files and mixtures."""
    vocabulary: int
    """Entries of the model's vocabulary."""
    context: int
    """Tokens of a window, without the one that is only a target."""
    batch: int
    """Windows of a batch."""
    seed: int
    """Determines the order of the windows."""
    repeat: bool
    """Allow more than one epoch."""
    _opened: dict[tuple[str, int], TokenStream] = field(default_factory=dict)

    def of(self, domain: str, limit: int = 0) -> TokenStream:
        """The stream of a domain; with a `limit`, of so many tokens of its text."""
        key = domain, limit
        if key not in self._opened:
            self._opened[key] = TokenStream(
                self.text.sidecars[domain],
                vocabulary=self.vocabulary,
                context=self.context,
                batch=self.batch,
                seed=self.seed,
                limit=limit,
            )
        return self._opened[key]

    def for_last_segment(self, lineage: Lineage) -> TokenStream | MixedStream:
        """The stream that the last segment of `lineage` reads.

        Raises `UserError` if the run requires more tokens than an epoch has and `repeat` is false.
        """
        last = lineage[-1]
        steps = last.stop - last_stream_start(lineage)
        if last.domain not in self.text.mixtures:
            self._check_length(last.domain, steps * self.batch, last.unique_tokens)
            return self.of(last.domain, last.unique_tokens)
        # General text continues where the trunk stopped, so that replayed text is new as long as
        # there is any.
        begin = {GENERAL: last_stream_start(lineage) * self.batch}
        names = self.text.mixtures[last.domain]
        limits = {name: last.unique_tokens or self.text.limits.get(name, 0) for name in names}
        limits[GENERAL] = 0
        mixed = self._mixed(last.domain, begin, limits)
        for domain, windows in mixed.windows_read(steps).items():
            self._check_length(domain, begin.get(domain, 0) + windows, limits[domain])
        return mixed

    def windows_read(self, mixture: str, steps: int) -> dict[str, int]:
        """Number of windows of each domain in the first `steps` batches of a mixture."""
        return self._mixed(mixture, {}, {}).windows_read(steps)

    def _mixed(self, name: str, begin: Mapping[str, int], limits: Mapping[str, int]) -> MixedStream:
        weights = self.text.mixtures[name]
        sources = {domain: self.of(domain, limits.get(domain, 0)) for domain in weights}
        return MixedStream(sources, weights, seed=self.seed, begin=begin)

    def _check_length(self, domain: str, windows: int, limit: int) -> None:
        """Refuse to read more windows of a domain than an epoch has, unless `repeat` is true.

        Text with a `limit` is repeated on purpose.
        """
        required, available = windows * self.context, self.of(domain, limit).unique_tokens
        if required > available and not (self.repeat or limit):
            raise UserError(
                f"{self.text.sidecars[domain]}: {available} training tokens of {domain}, but a run "
                f"requires {required}; add documents, train on fewer tokens, or set "
                "execution.repeat to true"
            )


def windows_of_batch(config: TrainingConfig, shape: Shape | BaseShape) -> int:
    """Number of windows in a batch; raises `UserError` if it is not whole."""
    windows, remainder = divmod(config.batch_tokens, shape.context)
    if remainder:
        raise UserError(
            f"training.batch_tokens is {config.batch_tokens}; give a multiple of model.context, "
            f"which is {shape.context}"
        )
    return windows


def check_ids(ids: npt.NDArray[np.int64], vocabulary: int, sidecar: Path) -> None:
    """Raise `UserError` for a token id outside of the vocabulary, on which a GPU would fail."""
    if ids.size and ids.max() >= vocabulary:
        raise UserError(
            f"{sidecar}: a token file beside it has the token {ids.max()}, but the model has "
            f"{vocabulary}; it is damaged: tokenize again"
        )


def check_vocabulary(sidecar: Path, vocabulary: int) -> None:
    """Raise `UserError` if tokens are outside of a model's vocabulary of `vocabulary` entries."""
    content = read_json(sidecar)
    written, largest = content["vocabulary"], np.iinfo(np.dtype(content["dtype"])).max
    if written > vocabulary:
        raise UserError(
            f"{sidecar}: the vocabulary has {written} tokens, but the model has {vocabulary}; set "
            f"tokenizer.vocabulary to {written}, or tokenize again"
        )
    if written > largest + 1:
        raise UserError(
            f"{sidecar}: {content['dtype']} can store {largest + 1} different tokens, but the "
            f"vocabulary has {written}; tokenize again"
        )
