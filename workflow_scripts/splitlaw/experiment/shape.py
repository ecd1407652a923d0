"""The shape of a model, its parameter counts and its training FLOPs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

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
        """Training FLOPs per token, forward and backward."""
        return flops_per_token(self)

    @property
    def identity(self) -> dict[str, Any]:
        """All that determines the initial weights of a seed."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class BaseShape:
    """The dimensions of a base, of any causal architecture, as `existing_model` reads them."""

    folder: str
    """Folder of the model."""
    digest: str
    """Identifies its weights."""
    architecture: str
    """Class of the model in `transformers`."""
    vocabulary: int
    """Rows of the embedding."""
    width: int
    """Hidden size."""
    layers: int
    """Transformer blocks."""
    context: int
    """Most tokens that a prediction depends on in training and evaluation."""
    params: int
    """Number of all parameters, N."""
    non_embedding_params: int
    """All but the embeddings of tokens and positions, and the head."""

    @property
    def flops_per_token(self) -> int:
        """Training FLOPs per token, forward and backward."""
        return flops_per_token(self)

    @property
    def identity(self) -> dict[str, Any]:
        """All that determines the initial weights; the same wherever the folder is."""
        return {"base": self.digest, "context": self.context}


def flops_per_token(shape: Shape | BaseShape) -> int:
    """Training FLOPs per token, forward and backward.

    6 for each weight of a matrix product (the blocks and the head; the embedding look-up is free),
    and 12 * layers * width * context for attention (Chowdhery et al. 2022, appendix B).
    """
    matrices = shape.non_embedding_params + shape.vocabulary * shape.width
    return 6 * matrices + 12 * shape.layers * shape.width * shape.context


def shape_from(content: Mapping[str, Any]) -> Shape | BaseShape:
    """The shape that `vars` of it gave."""
    return BaseShape(**content) if "digest" in content else Shape(**content)
