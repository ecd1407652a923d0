"""The model card of a final model: training text, compute, losses and how to reproduce it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splitlaw.common.files import read_json
from splitlaw.common.markdown import markdown_table
from splitlaw.experiment.columns import LOSS_COLUMNS
from splitlaw.experiment.lineage import GENERAL, Run
from splitlaw.experiment.shape import BaseShape

if TYPE_CHECKING:
    from splitlaw.stages.job import Job
    from splitlaw.stages.recipe_tokens import RecipeTokens

HEADER = """\
---
library_name: transformers
pipeline_tag: text-generation
tags: [splitlaw]
---"""

_USE = """\
## Use

```python
from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

folder = "."  # the folder of this file
model = AutoModelForCausalLM.from_pretrained(folder)
tokenizer = AutoTokenizer.from_pretrained(folder)
pipeline("text-generation", model=folder)("The")
```

    lm-eval --model hf --model_args pretrained=. --tasks lambada_openai
"""


def model_card(
    job: Job,
    recipe: RecipeTokens,
    run: Run,
    losses: Mapping[str, Mapping[str, float]],
    *,
    made_by: str,
    about: Mapping[str, Any],
) -> str:
    """`README.md` of an exported model, in Markdown.

    `losses` are by evaluated domain, `made_by` is the workflow's target that trains the model, and
    `about` has the entries of its `run.json`.
    """
    domain = GENERAL if recipe.mixture else run.domain
    sections = [
        f"{HEADER}\n# {domain}, strategy {recipe.strategy}, size {job.size}, seed {job.seed}",
        _summary(job, recipe, run),
        "## What it was trained on",
        _streams_table(job, recipe, run),
        "## Losses",
        f"On held-out documents; each token is predicted once, from at most {job.shape.context} "
        f"tokens before it. Standard errors take documents as the sample. {_predictions(recipe)}",
        _losses_table(recipe, run, losses),
        "## How to reproduce it",
        _reproduction(job, about),
        f"    splitlaw run {made_by}",
        _USE,
    ]
    return "\n\n".join(sections)


def _summary(job: Job, recipe: RecipeTokens, run: Run) -> str:
    shape, tokens = job.shape, job.tokens(run.total)
    existing = isinstance(shape, BaseShape)
    kind = f"{shape.architecture} " if isinstance(shape, BaseShape) else "Llama "
    start = "an existing model" if existing else "random weights"
    return (
        f"A {kind}of {shape.params:,} parameters ({shape.non_embedding_params:,} without the "
        f"embedding), {shape.layers} layers of width {shape.width} and a context of "
        f"{shape.context} tokens. Trained by splitlaw from {start} on {tokens:,} tokens "
        f"with {tokens * shape.flops_per_token:.3g} FLOPs; all models of the strategy take "
        f"{job.tokens(recipe.steps) * shape.flops_per_token:.3g} FLOPs."
    )


def _reproduction(job: Job, about: Mapping[str, Any]) -> str:
    experiment = job.results.resolve().name
    dirty = " with uncommitted changes" if about.get("git_dirty") else ""
    return (
        f"In a checkout of splitlaw at commit {about.get('git_commit') or 'unknown'}{dirty}, with "
        f"the configuration of the experiment `{experiment}` (`run.json` has the part of it that "
        "concerns this model):"
    )


def target(job: Job, file: Path) -> str:
    """The workflow's target for a file of the experiment; for other files, their path."""
    inside, results = file.resolve(), job.results.resolve()
    if not inside.is_relative_to(results):
        return str(file)
    return f"results/{results.name}/{inside.relative_to(results).as_posix()}"


def _predictions(recipe: RecipeTokens) -> str:
    """A sentence on the predictions in the table of losses."""
    if not recipe.law:
        return "No law covers this recipe, so there are no predictions."
    return (
        f"The predictions and their 90% intervals are those of the scaling law ({recipe.law}) that "
        "was fitted to other runs, for the text that this model is used for."
    )


def _streams_table(job: Job, recipe: RecipeTokens, run: Run) -> str:
    """The training text, in order unless mixed: domain, tokens, share of its text, sources."""
    order = "text, all mixed" if recipe.mixture else "text, in training order"
    head = [order, "tokens", "share of available text", "sources, by bytes"]
    general, branch = job.tokens(run.pretrain_steps), job.tokens(run.specialize_steps)
    replayed = round(run.replay * branch)
    amounts = [(GENERAL, general, ""), (run.domain, branch - replayed, "")]
    amounts += [(GENERAL, replayed, ", mixed with the text above")] if replayed else []
    if recipe.mixture:
        amounts = [(domain, job.tokens(steps), "") for domain, steps in recipe.mixture.items()]
    rows = []
    for domain, tokens, how in amounts:
        if tokens:
            available = recipe.unique_tokens.get(domain) or _training_tokens(job, domain)
            share = f"{tokens / available:.0%}"
            rows.append([domain + how, f"{tokens:,}", share, _sources(job, domain)])
    return "\n".join(markdown_table(head, rows))


def _training_tokens(job: Job, domain: str) -> int:
    return int(read_json(job.sidecar(domain))["splits"]["train"]["tokens"])


def _sources(job: Job, domain: str) -> str:
    """Sources of a domain's training text, the largest first; empty without a corpus card."""
    card = job.results / "corpus" / domain / "card.json"
    if not card.exists():
        return ""
    parts = read_json(card)["splits"]["train"]["by_source"]
    total = sum(part["bytes"] for part in parts.values())
    ranked = sorted(parts.items(), key=lambda item: -item[1]["bytes"])
    return ", ".join(f"{name} {part['bytes'] / total:.0%}" for name, part in ranked)


def _losses_table(recipe: RecipeTokens, run: Run, losses: Mapping[str, Mapping[str, float]]) -> str:
    head = ["held-out text", "nats per token", "standard error", "bits per byte", "predicted"]
    rows = []
    for domain, loss in losses.items():
        predicted = ""
        if recipe.runs.get(domain) == run and math.isfinite(recipe.predicted_loss[domain]):
            low, high = recipe.interval[domain]
            predicted = f"{recipe.predicted_loss[domain]:.4f} ({low:.4f} to {high:.4f})"
        rows.append([domain, *(f"{loss[name]:.4f}" for name in LOSS_COLUMNS), predicted])
    return "\n".join(markdown_table(head, rows))
