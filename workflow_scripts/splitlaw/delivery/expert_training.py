"""Continued training of a mixture of experts on the text of all domains."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from transformers import MixtralForCausalLM

from splitlaw.common.files import read_json
from splitlaw.delivery.final_folder import FinalFolder, context_of
from splitlaw.experiment.schedule import learning_rate_factor
from splitlaw.experiment.settings import TrainingConfig
from splitlaw.training.model import build_optimizer
from splitlaw.training.stream import MixedStream, TokenStream

SEED_OFFSET = 500_000
"""Added to the seed of the specialists: the text comes in another order than in their training.
Seeds of independent trunks are larger."""
PEAK = 0.5
"""Peak learning rate as a share of that of the specialists, whose cooldown has ended: a rate as
high as theirs would undo it. On validation text of the default and the mixture experiment, it is
the best of 0.25, 0.5 and 1 with 20% of the budget; with 5%, 0.25 gives 0.015 nats less
(`reference/*/delivery/moe_rates.csv`)."""
WARMUP = 0.05
"""Share of the tokens over which the learning rate rises."""


def read_training(final: FinalFolder) -> TrainingConfig:
    """The section `training` that the specialists were trained with."""
    file = final.specialists[0] / "run.json"
    config = read_json(file)["config"]["training"]
    return TrainingConfig.read(config, where=str(file), section="training")


def train_experts(
    model: MixtralForCausalLM,
    final: FinalFolder,
    tokens: int,
    *,
    peak: float = PEAK,
    on_step: Callable[[int], object] = lambda step: None,
) -> float:
    """Train all parameters on `tokens` tokens, the same number of each domain.

    The optimizer is that of the specialists, without their moments. The learning rate rises to its
    peak, and then falls linearly to zero. Returns the tokens trained per second.
    """
    config = read_training(final)
    steps = max(1, round(tokens / config.batch_tokens))
    stream = _stream(final, config, vocabulary=model.config.vocab_size)
    rate = peak * config.peak_learning_rate(int(final.losses()["params"].iloc[0]))
    optimizer = build_optimizer(model, config)
    warmup = max(1, round(WARMUP * steps))
    began = time.perf_counter()
    model.train()
    for step in range(steps):
        factor = learning_rate_factor(step, warmup=warmup, total=steps, fraction=1 - WARMUP)
        for group in optimizer.param_groups:
            group["lr"] = rate * factor
        batch = torch.from_numpy(stream.read(step)).to(model.device)
        logits = model(input_ids=batch[:, :-1], use_cache=False).logits
        F.cross_entropy(logits.flatten(0, 1).float(), batch[:, 1:].flatten()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        on_step(config.batch_tokens)
    model.eval()
    return steps * config.batch_tokens / (time.perf_counter() - began)


def _stream(final: FinalFolder, config: TrainingConfig, *, vocabulary: int) -> MixedStream:
    """The text of all domains, as many windows of each."""
    seed, context = final.recipe.seed + SEED_OFFSET, context_of(final.models)
    sources = {
        domain: TokenStream(
            final.sidecar(domain),
            vocabulary=vocabulary,
            context=context,
            batch=config.batch_tokens // context,
            seed=seed,
        )
        for domain in final.domains
    }
    return MixedStream(sources, dict.fromkeys(final.domains, 1), seed=seed)
