"""The shape of a model, its parameter counts and its training FLOPs."""

from __future__ import annotations

from dataclasses import dataclass

from splitlaw.common.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The dimensions of a Llama model."""

    vocabulary: int
    """Rows of the embedding, whose matrix is also the head (tied)."""
    width: int
    """Hidden size."""
    layers: int
    """Transformer blocks."""
    heads: int
    """Attention heads; `width / heads` is an even whole number."""
    intermediate: int
    """Width of the gated feed-forward layer."""
    context: int
    """Most tokens that a prediction can depend on."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise UserError(f"model: {name} is {value}; give a whole number of at least 1")
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise UserError(
                f"model: width {self.width} cannot be divided into {self.heads} heads of even "
                "width; choose another number of heads"
            )

    @property
    def embedding_params(self) -> int:
        """Parameters of the embedding matrix, counted once although it is also the head."""
        return self.vocabulary * self.width

    @property
    def non_embedding_params(self) -> int:
        """Parameters of the blocks and the norms: all but the embedding."""
        attention = 4 * self.width**2
        feed_forward = 3 * self.width * self.intermediate
        norms = 2 * self.width
        return self.layers * (attention + feed_forward + norms) + self.width

    @property
    def params(self) -> int:
        """Number of all parameters, N."""
        return self.embedding_params + self.non_embedding_params

    @property
    def flops_per_token(self) -> int:
        """Training FLOPs per token, forward and backward.

        6 for each weight of a matrix product (the blocks and the head; the embedding look-up is
        free), and 12 * layers * width * context for attention (Chowdhery et al. 2022, appendix B).
        """
        matrices = self.non_embedding_params + self.embedding_params
        return 6 * matrices + 12 * self.layers * self.width * self.context
