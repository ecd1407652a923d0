"""The models: Llama from `transformers`, its parameter counts and its training FLOPs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from splitlaw.common.errors import UserError

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a model is, before any of its weights."""

    vocabulary: int
    """Rows of the embedding, which is also the head (tied)."""
    width: int
    """Hidden size."""
    layers: int
    """Transformer blocks."""
    heads: int
    """Attention heads; they divide the width into even parts."""
    intermediate: int
    """Width of the gated feed-forward layer."""
    context: int
    """Tokens a prediction can look back on."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise UserError(f"model: {name} is {value}; give a whole number of at least 1")
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise UserError(
                f"model: width {self.width} does not divide into {self.heads} heads of even width; "
                "choose another number of heads"
            )

    @property
    def embedding_params(self) -> int:
        """Parameters of the embedding matrix, counted once though it is also the head."""
        return self.vocabulary * self.width

    @property
    def non_embedding_params(self) -> int:
        """Parameters of the blocks and the norms: everything but the embedding."""
        attention = 4 * self.width**2
        feed_forward = 3 * self.width * self.intermediate
        norms = 2 * self.width
        return self.layers * (attention + feed_forward + norms) + self.width

    @property
    def params(self) -> int:
        """All parameters, N."""
        return self.embedding_params + self.non_embedding_params

    @property
    def flops_per_token(self) -> int:
        """Training FLOPs per token, forward and backward.

        6 for each weight that multiplies (the blocks and the head; the embedding look-up is free),
        and 12 * layers * width * context for attention (Chowdhery et al. 2022, appendix B).
        """
        matrices = self.non_embedding_params + self.embedding_params
        return 6 * matrices + 12 * self.layers * self.width * self.context


def build_model(shape: Shape, *, seed: int) -> LlamaForCausalLM:
    """A Llama of this shape with weights drawn from `seed`, in float32 on the CPU."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

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
