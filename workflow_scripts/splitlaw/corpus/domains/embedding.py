"""Vectors of texts from an embedding model in a local folder: the mean of its last hidden states.

Any model that `AutoModel` opens serves, those that `sentence-transformers` saves among them (their
pooling, where it is another than the mean, is not looked at).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import normalize

from splitlaw.common.errors import UserError
from splitlaw.corpus.domains.word_counts import SEEN

_BATCH = 32
_LONGEST = 512
"""Tokens of a text that the model sees at most; fewer where the model takes fewer."""


class Embedding:
    """The space of an embedding model."""

    def __init__(self, folder: str) -> None:
        """Open the model; raises `UserError` where the folder holds none."""
        import torch  # seconds to import, and needed here alone
        from transformers import AutoModel, AutoTokenizer

        where = f"corpus.domains.embedding: {folder}"
        if not Path(folder).is_dir():
            raise UserError(f"{where} is no folder; give the path of a saved model")
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            self._model = AutoModel.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, KeyError) as cause:
            reason = " ".join(str(cause).split())[:200]
            raise UserError(
                f"{where}: {reason}; give a folder that AutoModel and AutoTokenizer open"
            ) from None
        self._torch = torch
        self._model = self._model.eval().float()
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        positions = getattr(self._model.config, "max_position_embeddings", _LONGEST)
        self._longest = min(_LONGEST, positions, self._tokenizer.model_max_length)

    def vectors(self, texts: Sequence[bytes]) -> NDArray[np.float32]:
        """Unit vectors of the texts (UTF-8), `[texts, width of the model]`."""
        threads = self._torch.get_num_threads()
        self._torch.set_num_threads(1)  # as everywhere here: the same sums on every machine
        try:
            return self._vectors(texts)
        finally:
            self._torch.set_num_threads(threads)

    def _vectors(self, texts: Sequence[bytes]) -> NDArray[np.float32]:
        listed = [text[:SEEN].decode("utf-8", "ignore") for text in texts]
        order = np.argsort([len(text) for text in listed], kind="stable")  # little padding
        found = [
            self._means([listed[i] for i in order[low : low + _BATCH]])
            for low in range(0, len(listed), _BATCH)
        ]
        vectors = np.empty((len(listed), self._model.config.hidden_size), np.float32)
        vectors[order] = np.concatenate([vectors[:0], *found])
        return np.asarray(normalize(vectors)) if listed else vectors

    def _means(self, texts: list[str]) -> NDArray[np.float32]:
        tokens = self._tokenizer(
            texts, padding=True, truncation=True, max_length=self._longest, return_tensors="pt"
        )
        with self._torch.inference_mode():
            states = self._model(**tokens).last_hidden_state
        mask = tokens["attention_mask"].unsqueeze(-1)
        means = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
        return np.asarray(means.numpy(), dtype=np.float32)
