"""The model, a Llama from `transformers`, and its optimizer."""

from __future__ import annotations

import shutil
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from splitlaw.experiment.settings import TrainingConfig
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


def build_optimizer(model: torch.nn.Module, config: TrainingConfig) -> torch.optim.AdamW:
    """AdamW with a learning rate of 0, which the training loop sets; norms have no weight decay."""
    parameters = list(model.parameters())
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.ndim >= 2]},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        groups, lr=0.0, betas=config.betas, weight_decay=config.weight_decay, fused=True
    )


def can_compile(device: torch.device) -> bool:
    """Whether `torch.compile` has the compiler that it requires for this device."""
    return device.type == "cuda" or bool(shutil.which("g++") or shutil.which("clang++"))
