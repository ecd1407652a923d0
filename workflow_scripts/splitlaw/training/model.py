"""The model, a Llama or an existing base from `transformers`, and its optimizer."""

from __future__ import annotations

import shutil
from typing import Any

import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedModel
from transformers.utils import logging

from splitlaw.common.errors import UserError
from splitlaw.experiment.settings import TrainingConfig
from splitlaw.experiment.shape import BaseShape, Shape


def build_model(shape: Shape | BaseShape, *, seed: int) -> PreTrainedModel:
    """A model of this shape in float32 on the CPU.

    It is a Llama with weights drawn from `seed`, or the base with its own weights.
    """
    return open_base(shape) if isinstance(shape, BaseShape) else new_model(shape, seed=seed)


def open_base(base: BaseShape) -> PreTrainedModel:
    """The base of an experiment; raises `UserError` if its files are not those that were counted.

    The model is in evaluation mode, so that it has no dropout: a resumed run must see the same
    numbers, and a pass over the text needs no regularisation.
    """
    logging.disable_progress_bar()
    opened: Any = AutoModelForCausalLM.from_pretrained(
        base.folder,
        dtype=torch.float32,
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
        output_loading_info=True,
    )
    model: PreTrainedModel = opened[0]
    missing = sorted(opened[1]["missing_keys"])
    if missing:
        raise UserError(
            f"base.path {base.folder}: its files have no {missing[0]}; save the model again"
        )
    model.config.use_cache = False
    built = sum(parameter.numel() for parameter in model.parameters())
    assert built == base.params, f"counted {base.params} parameters, the model has {built}"
    return model


def new_model(shape: Shape, *, seed: int) -> LlamaForCausalLM:
    """A Llama model of this shape, with weights drawn from `seed`."""
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
