"""Vectors of texts from an embedding model in a local folder: the mean of its last hidden states.

Any model that `AutoModel` opens can be used, including those saved by `sentence-transformers`,
whose own pooling is ignored.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import normalize

from splitlaw.common.errors import UserError
from splitlaw.corpus.domains.word_counts import MAX_TEXT_BYTES

_BATCH_TEXTS = 32  # the default of `sentence-transformers`
_MAX_TOKENS = 512
"""Tokens of a text that the model reads, as most sentence encoders do; fewer if the model's own
limit is lower."""
_MAX_CAUSE_CHARACTERS = 200  # messages of `transformers` can be many lines long


def check_embedding(folder: str | None) -> None:
    """Refuse a model whose folder does not exist, before any text is read."""
    if folder is not None and not Path(folder).is_dir():
        raise UserError(
            f"corpus.domains.embedding: {folder} is not a folder; give the folder of a saved model"
        )


class Embedding:
    """The vector space of an embedding model."""

    def __init__(self, folder: str) -> None:
        """Open the model; raises `UserError` if the folder does not contain one."""
        import torch  # takes seconds to import; only needed here
        from transformers import AutoModel, AutoTokenizer

        check_embedding(folder)
        self._folder = folder
        key = f"corpus.domains.embedding: {folder}"
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            self._model = AutoModel.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, KeyError) as cause:
            reason = " ".join(str(cause).split())[:_MAX_CAUSE_CHARACTERS]
            raise UserError(
                f"{key}: {reason}; give a folder that AutoModel and AutoTokenizer can open"
            ) from None
        self._torch = torch
        self._model = self._model.eval().float()
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        positions = getattr(self._model.config, "max_position_embeddings", _MAX_TOKENS)
        self._max_tokens = min(_MAX_TOKENS, positions, self._tokenizer.model_max_length)

    def __reduce__(self) -> tuple[type["Embedding"], tuple[str]]:
        return Embedding, (self._folder,)  # each process opens the model

    def vectors(self, texts: Sequence[bytes]) -> NDArray[np.float32]:
        """Return unit vectors of the texts (UTF-8), `[texts, width of the model]`."""
        threads = self._torch.get_num_threads()
        self._torch.set_num_threads(1)  # sums in the same order on every machine
        try:
            return self._compute_vectors(texts)
        finally:
            self._torch.set_num_threads(threads)

    def _compute_vectors(self, texts: Sequence[bytes]) -> NDArray[np.float32]:
        decoded = [text[:MAX_TEXT_BYTES].decode("utf-8", "ignore") for text in texts]
        # Batches of texts of similar length have little padding.
        order = np.argsort([len(text) for text in decoded], kind="stable")
        means = [
            self._mean_states([decoded[i] for i in order[low : low + _BATCH_TEXTS]])
            for low in range(0, len(decoded), _BATCH_TEXTS)
        ]
        vectors = np.empty((len(decoded), self._model.config.hidden_size), np.float32)
        vectors[order] = np.concatenate([vectors[:0], *means])
        return np.asarray(normalize(vectors)) if decoded else vectors

    def _mean_states(self, texts: list[str]) -> NDArray[np.float32]:
        tokens = self._tokenizer(
            texts, padding=True, truncation=True, max_length=self._max_tokens, return_tensors="pt"
        )
        with self._torch.inference_mode():
            states = self._model(**tokens).last_hidden_state
        mask = tokens["attention_mask"].unsqueeze(-1)
        means = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
        return np.asarray(means.numpy(), dtype=np.float32)
