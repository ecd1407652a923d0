"""Batches from a flat token file, as a function of the seed and the step alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

import numpy as np
import numpy.typing as npt

from splitlaw.common.errors import UserError
from splitlaw.common.files import read_json
from splitlaw.experiment.lineage import Lineage, last_stream_start
from splitlaw.experiment.settings import TrainingConfig
from splitlaw.experiment.shape import Shape
from splitlaw.tokens import open_tokens


class TokenStream:
    """An endless stream of windows of one domain, in an order drawn from the seed.

    The token file is memory-mapped. Window `i` consists of the tokens `i * context` to
    `(i + 1) * context`, inclusive, so neighbouring windows share one token, and in each epoch every
    token but the first is a target once. Each epoch has its own permutation.
    """

    def __init__(
        self, sidecar: Path, *, vocabulary: int, context: int, batch: int, seed: int
    ) -> None:
        """`sidecar` is the `tokens.json` of the domain; `batch` is in windows."""
        self.tokens = open_tokens(sidecar, "train")
        check_vocabulary(sidecar, vocabulary)
        self.context = context
        self.batch = batch
        self.windows = (len(self.tokens) - 1) // context
        self._entropy = [seed, crc32(sidecar.parent.name.encode())]
        self._epoch = -1
        self._order: npt.NDArray[np.int64] = np.empty(0, dtype=np.int64)
        if self.windows < 1:
            raise UserError(
                f"{sidecar}: {len(self.tokens)} training tokens are fewer than one window of "
                f"{context}; add documents or shorten model.context"
            )

    @property
    def unique_tokens(self) -> int:
        """Number of tokens in an epoch."""
        return self.windows * self.context

    def read(self, step: int, rows: slice = slice(None)) -> npt.NDArray[np.int64]:
        """Those rows of the batch of `step`, counted from 0: (rows, context + 1) token ids."""
        positions = np.arange(step * self.batch, (step + 1) * self.batch)[rows]
        windows = [self._window(*divmod(int(position), self.windows)) for position in positions]
        return np.stack(windows).astype(np.int64)

    def _window(self, epoch: int, position: int) -> npt.NDArray[np.integer]:
        if epoch != self._epoch:
            generator = np.random.default_rng([*self._entropy, epoch])
            self._epoch, self._order = epoch, generator.permutation(self.windows)
        begin = int(self._order[position]) * self.context
        return self.tokens[begin : begin + self.context + 1]


@dataclass(kw_only=True)
class Streams:
    """The token streams of several domains, each opened when it is first read."""

    sidecars: Mapping[str, Path]
    """`tokens.json` by domain."""
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
    _opened: dict[str, TokenStream] = field(default_factory=dict)

    def __getitem__(self, domain: str) -> TokenStream:
        """The stream of a domain."""
        if domain not in self._opened:
            self._opened[domain] = TokenStream(
                self.sidecars[domain],
                vocabulary=self.vocabulary,
                context=self.context,
                batch=self.batch,
                seed=self.seed,
            )
        return self._opened[domain]

    def for_last_segment(self, lineage: Lineage) -> TokenStream:
        """The stream that the last segment of `lineage` reads.

        Raises `UserError` if the run requires more tokens than an epoch has and `repeat` is false.
        """
        last = lineage[-1]
        stream = self[last.domain]
        required = (last.stop - last_stream_start(lineage)) * self.batch * self.context
        if required > stream.unique_tokens and not self.repeat:
            raise UserError(
                f"{self.sidecars[last.domain]}: {stream.unique_tokens} training tokens of "
                f"{last.domain}, but a run requires {required}; add documents, train on fewer "
                "tokens, or set execution.repeat to true"
            )
        return stream


def windows_of_batch(config: TrainingConfig, shape: Shape) -> int:
    """Number of windows in a batch; raises `UserError` if it is not whole."""
    windows, remainder = divmod(config.batch_tokens, shape.context)
    if remainder:
        raise UserError(
            f"training.batch_tokens is {config.batch_tokens}; give a multiple of model.context, "
            f"which is {shape.context}"
        )
    return windows


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


def fingerprint(sidecar: Path) -> str:
    """SHA-256 of the training tokens that `sidecar` describes."""
    return str(read_json(sidecar)["splits"]["train"]["sha256"])
