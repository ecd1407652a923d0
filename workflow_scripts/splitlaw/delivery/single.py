"""Exports of one model: an average of the specialists, or a mixture of experts made of them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from transformers import GenerationConfig, MixtralForCausalLM, PreTrainedModel

from splitlaw.common.errors import UserError
from splitlaw.common.files import write_json, write_text
from splitlaw.common.progress import Progress
from splitlaw.delivery import cards
from splitlaw.delivery.averaging import average, fit_average, mean_loss
from splitlaw.delivery.expert_training import train_experts
from splitlaw.delivery.experts import build_experts, check_architecture
from splitlaw.delivery.export import describe, new_folder
from splitlaw.delivery.final_folder import EXPORT, FinalFolder
from splitlaw.delivery.gates import fit_gates, gate_accuracy
from splitlaw.delivery.held_out import Validation, read_validation, windows_of_test
from splitlaw.training.evaluation import DocumentLosses, evaluate
from splitlaw.zero_shot.models import open_model
from splitlaw.zero_shot.routing import open_weights

ACTIVE = 2
"""Experts that a token uses, as in Mixtral."""
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Candidates for the share of the specialists in the experts."""
_OF_TOKENIZER = ("tokenizer", "special_tokens", "added_tokens", "vocab", "merges")
"""Beginnings of the names of a tokenizer's files."""
UNIFORM, FITTED, GENERAL_MODEL = "uniform", "fitted", "general"


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The models of a strategy, and the text on which they are combined."""

    final: FinalFolder
    specialists: Mapping[str, PreTrainedModel]
    general: PreTrainedModel
    validation: Validation

    @classmethod
    def read(cls, final: FinalFolder) -> Parts:
        """Open all models and read the validation text."""
        weights = open_weights(final.router, final.results / "corpus", final.domains)
        return cls(
            final=final,
            specialists={name: open_model(path) for name, path in final.recipe.folders.items()},
            general=open_model(final.general),
            validation=read_validation(final, weights),
        )

    @property
    def in_order(self) -> list[PreTrainedModel]:
        """The specialists in the order of the domains."""
        return list(self.specialists.values())

    @cached_property
    def weights(self) -> dict[str, list[float]]:
        """Weights of the specialists in an average: `uniform`, and `fitted` on validation text."""
        count = len(self.specialists)
        return {
            UNIFORM: [1 / count] * count,
            FITTED: fit_average(self.in_order, self.validation),
        }


def export_average(parts: Parts, out: Path, *, kind: str = FITTED) -> None:
    """Write the average of the specialists as an ordinary model."""
    weights = parts.weights[kind]
    model = average(parts.in_order, weights)
    shown = ", ".join(
        f"{name} {weight:.3f}" for name, weight in zip(parts.final.domains, weights, strict=True)
    )
    how = f"The parameters are a weighted mean of those of the specialists ({kind}): {shown}."
    _write(parts.final, model, out, "average", how, {"weights": weights, "average": kind})


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """A mixture of experts, and how it was made."""

    model: MixtralForCausalLM
    shared: str
    """Where attention, norms and embeddings come from: `uniform` or `fitted` average, `general`."""
    share: float
    """Share of the specialists in the experts; the rest is the feed-forward layer of `shared`."""
    validation_loss: float
    gate_accuracy: float
    """Share of validation tokens whose most active expert is that of the router."""


def make_mixture(parts: Parts, *, active: int = ACTIVE) -> Mixture:
    """Assemble the mixture of experts that has the smallest loss on validation text.

    Gates are fitted on one half of the validation documents, and candidates are compared on the
    other. With a share of 0, the mixture is the shared model itself, so that its validation loss is
    at most that of both averages.
    """
    if not 1 <= active <= len(parts.specialists):
        raise UserError(
            f"--active {active}: there are {len(parts.specialists)} experts; give 1 to "
            f"{len(parts.specialists)}"
        )
    check_architecture(parts.general.config)
    to_fit, to_choose = parts.validation.part(0), parts.validation.part(1)
    sources: dict[str, Any] = {
        kind: average(parts.in_order, weights) for kind, weights in parts.weights.items()
    }
    sources[GENERAL_MODEL] = parts.general
    specialists: list[Any] = parts.in_order
    best: Mixture | None = None
    for name, shared in sources.items():
        gates = fit_gates(shared, to_fit)
        accuracy = gate_accuracy(gates, shared, to_choose)
        for share in SHARES:
            model = build_experts(shared, specialists, gates, active=active, share=share)
            loss = mean_loss(model, to_choose.windows)
            if best is None or loss < best.validation_loss:
                best = Mixture(
                    model=model,
                    shared=name,
                    share=share,
                    validation_loss=loss,
                    gate_accuracy=accuracy,
                )
    assert best is not None
    return best


def export_experts(parts: Parts, out: Path, *, active: int = ACTIVE, tokens: int = 0) -> None:
    """Write a mixture of experts, trained on `tokens` tokens after it was assembled."""
    mixture = make_mixture(parts, active=active)
    more: dict[str, Any] = {
        "shared": mixture.shared,
        "share": mixture.share,
        "active_experts": active,
        "validation_loss": mixture.validation_loss,
        "gate_accuracy": mixture.gate_accuracy,
        "trained_tokens": tokens,
    }
    origin = {
        GENERAL_MODEL: "of the general model",
        FITTED: "of the fitted average of the specialists",
        UNIFORM: "of the uniform average of the specialists",
    }[mixture.shared]
    how = (
        f"A mixture of {len(parts.specialists)} experts, one for each domain in the order of the "
        f"title, of which a token uses {active}. Attention, norms and embeddings are those "
        f"{origin}. An expert is {mixture.share:.0%} the feed-forward layer of its specialist and "
        f"{1 - mixture.share:.0%} that of the shared model. The gates predict the router's "
        "decision from hidden states. Both choices have the smallest loss on validation text."
    )
    if tokens:
        progress = Progress("experts")
        progress.expect(tokens)
        more["tokens_per_second"] = train_experts(
            mixture.model, parts.final, tokens, on_step=progress.add
        )
        progress.finish(more["tokens_per_second"])
        how += f" Then all parameters were trained on {tokens:,} tokens of all domains."
    _write(parts.final, mixture.model, out, "moe", how, more)


def measure(final: FinalFolder, model: PreTrainedModel) -> dict[str, DocumentLosses]:
    """Losses on the test documents of the final models, by domain."""
    return {domain: evaluate(model, windows_of_test(final, domain)) for domain in final.domains}


def _write(
    final: FinalFolder,
    model: PreTrainedModel,
    out: Path,
    kind: str,
    how: str,
    more: Mapping[str, Any],
) -> None:
    """Write model, tokenizer, card and description as a folder that `transformers` opens."""
    losses = measure(final, model)
    found = {name: one.loss for name, one in losses.items()}
    with new_folder(out) as folder:
        model.generation_config = GenerationConfig.from_pretrained(final.general)
        model.config.use_cache = True
        model.save_pretrained(folder)
        for file in sorted(final.general.iterdir()):
            if file.name.startswith(_OF_TOKENIZER):
                shutil.copyfile(file, folder / file.name)
        write_text(folder / "README.md", cards.single_card(final, kind, how, losses))
        write_json(folder / EXPORT, dict(describe(final, kind, losses=found, **more)))
