"""A small embedding model with random weights; its vectors are random projections of the words."""

from collections.abc import Iterable
from pathlib import Path

import pytest


def save_embedding(folder: Path, texts: Iterable[str]) -> str:
    """Save a BERT of one layer that knows the words of `texts`; returns its folder."""
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    words = {word for text in texts for word in text.split()}
    folder.mkdir(parents=True)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted(words)]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    tokenizer = transformers.BertTokenizer(str(folder / "vocab.txt"), model_max_length=64)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    transformers.BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
