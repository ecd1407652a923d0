"""Batches from a flat token file, as a function of the seed and the step alone."""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

import numpy as np
import numpy.typing as npt

from splitlaw.common.errors import UserError
from splitlaw.common.files import read_json
from splitlaw.tokens import open_tokens


class TokenStream:
    """An endless stream of windows of one domain, in an order drawn from the seed.

    The file is mapped, never read whole. Window `i` is the tokens `i * context` to
    `(i + 1) * context + 1`, so neighbouring windows share the token between them and every token
    but the first is a target once an epoch. Each epoch has its own permutation.
    """

    def __init__(
        self, sidecar: Path, *, vocabulary: int, context: int, batch: int, seed: int
    ) -> None:
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
        """Tokens that can be seen before one is seen again."""
        return self.windows * self.context

    def read(self, step: int, share: slice = slice(None)) -> npt.NDArray[np.int64]:
        """Rows of the batch of `step`, counted from 0: (rows, context + 1) token ids."""
        places = np.arange(step * self.batch, (step + 1) * self.batch)[share]
        rows = [self._window(*divmod(int(place), self.windows)) for place in places]
        return np.stack(rows).astype(np.int64)

    def _window(self, epoch: int, place: int) -> npt.NDArray[np.integer]:
        if epoch != self._epoch:
            generator = np.random.default_rng([*self._entropy, epoch])
            self._epoch, self._order = epoch, generator.permutation(self.windows)
        begin = int(self._order[place]) * self.context
        return self.tokens[begin : begin + self.context + 1]


def check_vocabulary(sidecar: Path, vocabulary: int) -> None:
    """Refuse tokens that a model of `vocabulary` entries does not know."""
    content = read_json(sidecar)
    held, largest = content["vocabulary"], np.iinfo(np.dtype(content["dtype"])).max
    if held > vocabulary:
        raise UserError(
            f"{sidecar}: tokens of a vocabulary of {held}, the model has {vocabulary}; set "
            "tokenizer.vocabulary to that, or tokenize again"
        )
    if held > largest + 1:
        raise UserError(
            f"{sidecar}: {content['dtype']} holds {largest + 1} different tokens, the vocabulary "
            f"has {held}; tokenize again"
        )


def fingerprint(sidecar: Path) -> str:
    """SHA-256 of the training tokens that `sidecar` describes."""
    return str(read_json(sidecar)["splits"]["train"]["sha256"])
