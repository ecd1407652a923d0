"""The model, a Llama or an existing base from `transformers`, and its optimizer."""

from __future__ import annotations

import shutil
from typing import Any

import torch
from transformers import (
    AttentionInterface,
    AttentionMaskInterface,
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
)
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask
from transformers.utils import logging

from splitlaw.common.errors import UserError
from splitlaw.experiment.settings import TrainingConfig
from splitlaw.experiment.shape import BaseShape, Shape

CAUSAL_SDPA = "causal_sdpa"
"""Name of the attention of `use_causal_attention` among those of `transformers`."""
PLAIN_CAUSAL = ("llama", "mistral", "qwen2", "gpt2", "gpt_neox")
"""Types of models with a causal mask or a sliding window and nothing else; each is tested."""


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


def use_causal_attention(model: PreTrainedModel) -> None:
    """Let the attention of `model` use the kernels that compute only the causal half of the scores.

    While torch compiles a model, `transformers` gives a mask to scaled_dot_product_attention, since
    the ids could be those of several sequences in one row. With a mask, a GPU computes the scores
    of all pairs of positions, with a slower kernel. A batch of the training loop has neither
    padding nor such rows, so that no mask is required. Other models than `PLAIN_CAUSAL`, whose
    attention may rely on its mask, are left as they are.
    """
    config = model.config
    if config.model_type not in PLAIN_CAUSAL or config._attn_implementation != "sdpa":
        return
    AttentionInterface.register(CAUSAL_SDPA, sdpa_attention_forward)
    AttentionMaskInterface.register(CAUSAL_SDPA, causal_mask)
    model.set_attn_implementation(CAUSAL_SDPA)


def causal_mask(**arguments: Any) -> torch.Tensor | None:
    """The mask of a layer: None if every token attends to all tokens before it.

    The arguments are those of `sdpa_mask`.
    """
    length, window = arguments["kv_length"], arguments.get("local_size")
    padded = arguments.get("attention_mask") is not None
    whole = arguments["q_length"] == length and (window is None or length < window)
    return None if whole and not padded else sdpa_mask(**arguments)


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
