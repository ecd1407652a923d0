"""Building a Llama model from `transformers`."""

from __future__ import annotations

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from splitlaw.experiment.shape import Shape


def build_model(shape: Shape, *, seed: int) -> LlamaForCausalLM:
    """A Llama model of this shape, in float32 on the CPU, with weights drawn from `seed`."""
    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        max_position_embeddings=shape.context,
        tie_word_embeddings=True,
        use_cache=False,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    built = sum(parameter.numel() for parameter in model.parameters())
    assert built == shape.params, f"counted {shape.params} parameters, the model has {built}"
    return model
