"""Small models of several architectures in the files of a base, each made in milliseconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SIZE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
CONTEXT = {"max_position_embeddings": 32, "intermediate_size": 24, "tie_word_embeddings": False}
ARCHITECTURES = {
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32},
    "llama": {**SIZE, **CONTEXT, "tie_word_embeddings": True},
    "qwen2": {**SIZE, **CONTEXT, "num_key_value_heads": 1},
    "gpt_neox": {**SIZE, **CONTEXT, "rotary_pct": 0.5},
}
"""Architectures with learned positions, with tied and with separate heads, and with biases."""
_HEADS = {"num_key_value_heads": 1, "head_dim": 8}
OTHERS = {
    "bloom": {"hidden_size": 16, "n_layer": 2, "n_head": 2},
    "codegen": {"n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 32, "rotary_dim": 4},
    "gemma2": {**SIZE, **CONTEXT, **_HEADS, "sliding_window": 12},
    "gpt_neo": {
        "hidden_size": 16,
        "num_layers": 2,
        "num_heads": 2,
        "attention_types": [[["global", "local"], 1]],
        "window_size": 12,
        **CONTEXT,
    },
    "gptj": {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32, "rotary_dim": 4},
    "mamba": {"hidden_size": 16, "num_hidden_layers": 2, "state_size": 4},
    "mistral": {**SIZE, **CONTEXT, **_HEADS, "sliding_window": 12},
    "mpt": {"d_model": 16, "n_heads": 2, "n_layers": 2, "max_seq_len": 32},
}
"""Architectures with other masks: added ones, windows shorter than the context, positions that the
architecture computes itself, and no attention at all."""

FILES = {"n_embd": 16, "n_layer": 1, "n_head": 2, "vocab_size": 300, "n_positions": 256}
"""Dimensions in the files of `write_files`."""


def write_files(folder: Path) -> Path:
    """Write the files of a GPT-2 that are read with the configuration; no model is built."""
    folder.mkdir()
    content = {"architectures": ["GPT2LMHeadModel"], **FILES}
    (folder / "config.json").write_text(json.dumps(content))
    rows, width, places = FILES["vocab_size"], FILES["n_embd"], FILES["n_positions"]
    shapes = {"wte": (rows, width), "wpe": (places, width), "h.0.mlp.c_fc": (width, 64)}
    weights = {f"transformer.{name}.weight": np.zeros(shape) for name, shape in shapes.items()}
    masks = {"transformer.h.0.attn.bias": np.zeros((1, 1, places, places))}
    save_file({**weights, **masks}, folder / "model.safetensors")
    tokenizer = {"model": {"vocab": {"a": 0, "b": rows - 1}}}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    return folder


def build(kind: str, *, vocabulary: int = 32, **changes: object) -> PreTrainedModel:
    """An untrained model of an architecture, with weights so large that all masks matter."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    dimensions = {**ARCHITECTURES, **OTHERS}[kind] | changes
    config = AutoConfig.for_model(kind, vocab_size=vocabulary, **dimensions)
    config.update(dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), 0))
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    for parameter in model.parameters():
        parameter.data *= 6 if parameter.ndim > 1 else 1
    return model


def write_base(folder: Path, kind: str, *, vocabulary: int = 32) -> Path:
    """Save a model of the architecture `kind` and its tokenizer to `folder`."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(kind, vocab_size=vocabulary, **{**ARCHITECTURES, **OTHERS}[kind])
    config.update(dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), 0))
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    write_tokenizer(folder, tokens=vocabulary)
    return folder


def write_tokenizer(folder: Path, *, tokens: int) -> None:
    """Write a byte-level tokenizer of so many tokens, which encodes only a part of all text."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())[: tokens - 1]
    vocabulary = {token: number for number, token in enumerate(["<|endoftext|>", *letters])}
    Tokenizer(models.BPE(vocab=vocabulary, merges=[])).save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|endoftext|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
