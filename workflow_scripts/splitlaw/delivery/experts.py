"""Mixture of experts: one model whose experts are the feed-forward layers of the specialists.

The class is Mixtral of `transformers`: its block is that of Llama with several feed-forward layers
and a linear gate (Jiang et al. 2024), so a Llama's weights are used as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
)

from splitlaw.common.errors import UserError

_COPIED = """vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads
num_key_value_heads head_dim hidden_act max_position_embeddings rms_norm_eps rope_parameters
tie_word_embeddings bos_token_id eos_token_id pad_token_id initializer_range""".split()
"""Keys of a Llama's configuration that Mixtral has too."""


def check_architecture(config: PreTrainedConfig) -> None:
    """Refuse a model that is no Llama, or has biases, which Mixtral has not."""
    found = str(config.model_type)
    biased = [key for key in ("attention_bias", "mlp_bias") if getattr(config, key, False)]
    if found == "llama" and biased:
        found = f"llama with {biased[0]}"
    if found != "llama":
        raise UserError(
            "--as moe: a mixture of experts is made of Llama models without biases, not of "
            f"{found}; export as routed or average"
        )


def experts_config(config: LlamaConfig, *, experts: int, active: int) -> MixtralConfig:
    """The configuration of a mixture of `experts`, of which a token uses `active`."""
    check_architecture(config)
    return MixtralConfig(
        **{key: getattr(config, key) for key in _COPIED},
        num_local_experts=experts,
        num_experts_per_tok=active,
        sliding_window=None,
        use_cache=True,
    )


def build_experts(
    shared: LlamaForCausalLM,
    specialists: Sequence[LlamaForCausalLM],
    gates: Sequence[Tensor],
    *,
    active: int,
    share: float,
) -> MixtralForCausalLM:
    """A mixture of experts with the attention, norms and embeddings of `shared`.

    `gates` are the weights of the gate of each layer, `[experts, width]`. An expert's weights are
    `(1 - share)` times those of `shared` plus `share` times those of its specialist, so that with a
    share of 0 all experts are equal and the model computes what `shared` computes.
    """
    config = experts_config(shared.config, experts=len(specialists), active=active)
    model = MixtralForCausalLM(config)
    with torch.no_grad():
        own = dict(model.named_parameters())
        for name, parameter in shared.named_parameters():
            if ".mlp." not in name:
                own[name].copy_(parameter)
        for number, layer in enumerate(model.model.layers):
            base = shared.model.layers[number].mlp
            others = [model.model.layers[number].mlp for model in specialists]
            layer.mlp.gate.weight.copy_(gates[number])
            first = [_joined(base).lerp(_joined(other), share) for other in others]
            last = [base.down_proj.weight.lerp(other.down_proj.weight, share) for other in others]
            layer.mlp.experts.gate_up_proj.copy_(torch.stack(first))
            layer.mlp.experts.down_proj.copy_(torch.stack(last))
    return model.to(shared.device).eval()  # type: ignore[arg-type]


def _joined(mlp: Any) -> Tensor:
    """The two matrices that read the hidden state, in the order of Mixtral."""
    return torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight])


def active_params(model: PreTrainedModel) -> int:
    """Number of parameters that a token uses: of the experts, only the active ones."""
    total = sum(parameter.numel() for parameter in model.parameters())
    config = model.config
    if config.model_type != "mixtral":
        return total
    experts = sum(p.numel() for name, p in model.named_parameters() if ".experts." in name)
    unused = 1 - config.num_experts_per_tok / config.num_local_experts
    return total - round(experts * unused)
