"""Held-out text of an experiment: test documents of the final models, and validation documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from splitlaw.corpus.documents import read_documents
from splitlaw.delivery.final_folder import FinalFolder, context_of
from splitlaw.delivery.text import Text
from splitlaw.training.evaluation import Windows, cut_windows, load_documents, windows_of
from splitlaw.zero_shot.routing import Weights

Array = npt.NDArray[np.float64]

VALIDATION_TOKENS = 8192
"""Validation tokens of each domain. Candidates are compared on the same tokens, so that differences
between them are far more exact than their losses."""
_CHARACTERS = 3000
"""Length to which validation documents are cut, so that a few do not take all tokens."""


@dataclass(frozen=True, kw_only=True)
class Validation:
    """Validation documents by domain, on which averages and experts are fitted and chosen."""

    windows: Mapping[str, Windows]
    """Documents of each domain."""
    weights: Mapping[str, Array]
    """The router's weights of the documents, `[documents, domains]`."""

    def part(self, remainder: int) -> Validation:
        """Every second document: those with an even or an odd number."""
        chosen = {name: _every_second(found, remainder) for name, found in self.windows.items()}
        return Validation(
            windows=chosen,
            weights={name: found[remainder::2] for name, found in self.weights.items()},
        )


def _every_second(windows: Windows, remainder: int) -> Windows:
    kept = windows.document % 2 == remainder
    return Windows(
        inputs=windows.inputs[kept],
        targets=windows.targets[kept],
        document=windows.document[kept] // 2,
        tokens=windows.tokens[remainder::2],
        bytes=windows.bytes[remainder::2],
    )


def windows_of_test(final: FinalFolder, domain: str) -> Windows:
    """The test documents on which the losses of the final models were measured."""
    losses = load_documents(final.specialists[0] / "documents.npz")[domain]
    limit = int(losses.tokens.sum())
    return cut_windows(final.sidecar(domain), context=context_of(final.models), limit=limit)


def read_validation(
    final: FinalFolder, weights: Weights, *, tokens: int = VALIDATION_TOKENS
) -> Validation:
    """The first validation documents of each domain that have `tokens` tokens together."""
    text, context = Text.open(final.general), context_of(final.models)
    windows, routed = {}, {}
    for domain in final.domains:
        documents: list[npt.NDArray[np.int64]] = []
        texts: list[str] = []
        counted = 0
        batches = read_documents(final.results / "corpus", domain, "validation")
        for document in chain.from_iterable(batch for _, batch in batches):
            if counted >= tokens:
                break
            ids = text.encode(document[:_CHARACTERS])
            if len(ids) > 1:
                documents.append(np.array(ids, dtype=np.int64))
                texts.append(document[:_CHARACTERS])
                counted += len(ids) - 1
        sizes = [len(one.encode("utf-8")) for one in texts]
        windows[domain] = windows_of(documents, sizes, context=context)
        routed[domain] = weights.of(texts)
    return Validation(windows=windows, weights=routed)
