"""The model card of a final model: training text, compute, losses and how to reproduce it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splitlaw.common.files import read_json
from splitlaw.experiment.columns import LOSS_COLUMNS
from splitlaw.experiment.lineage import GENERAL, Run

if TYPE_CHECKING:
    from splitlaw.stages.grid import Job
    from splitlaw.stages.recipe_tokens import RecipeTokens

_HEADER = """\
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
    """`README.md` of an exported model; `made_by` is the workflow's target that trains it."""
    shape, tokens = job.shape, job.tokens(run.total)
    experiment = job.results.resolve().name
    dirty = " with uncommitted changes" if about.get("git_dirty") else ""
    lines = [
        _HEADER,
        f"# {run.domain}, strategy {recipe.strategy}, size {job.size}, seed {job.seed}",
        "",
        f"A Llama of {shape.params:,} parameters ({shape.non_embedding_params:,} without the "
        f"embedding), {shape.layers} layers of width {shape.width} and a context of "
        f"{shape.context} tokens. Trained by splitlaw from random weights on {tokens:,} tokens "
        f"with {tokens * shape.flops_per_token:.3g} FLOPs; all models of the strategy take "
        f"{job.tokens(recipe.steps) * shape.flops_per_token:.3g} FLOPs.",
        "",
        "## What it was trained on",
        "",
        *_table(
            ["text, in training order", "tokens", "share of available text", "sources, by bytes"],
            _streams(job, run),
        ),
        "",
        "## Losses",
        "",
        f"On held-out documents; each token is predicted once, from at most {shape.context} tokens "
        "before it. Standard errors take documents as the sample. The predictions and their 90% "
        f"intervals are those of the scaling law ({recipe.law}) that was fitted to other runs, for "
        "the text that this model is used for.",
        "",
        *_table(
            ["held-out text", "nats per token", "standard error", "bits per byte", "predicted"],
            _losses(recipe, run, losses),
        ),
        "",
        "## How to reproduce it",
        "",
        f"In a checkout of splitlaw at commit {about.get('git_commit') or 'unknown'}{dirty}, with "
        f"the configuration of the experiment `{experiment}` (`run.json` has the part of it that "
        "concerns this model):",
        "",
        f"    snakemake --cores 1 {made_by}",
        "",
        _USE,
    ]
    return "\n".join(lines)


def target(job: Job, file: Path) -> str:
    """The workflow's target for a file of the experiment; for other files, their path."""
    inside, results = file.resolve(), job.results.resolve()
    if not inside.is_relative_to(results):
        return str(file)
    return f"results/{results.name}/{inside.relative_to(results).as_posix()}"


def _streams(job: Job, run: Run) -> Iterator[list[str]]:
    """Rows of training text, in order: domain, tokens, share of its text, sources."""
    steps = {GENERAL: run.pretrain_steps, run.domain: run.specialize_steps or run.pretrain_steps}
    for domain, count in steps.items():
        if count:
            tokens = job.tokens(count)
            available = read_json(job.sidecar(domain))["splits"]["train"]["tokens"]
            yield [domain, f"{tokens:,}", f"{tokens / available:.0%}", _sources(job, domain)]


def _sources(job: Job, domain: str) -> str:
    """Sources of a domain's training text, the largest first; empty without a corpus card."""
    card = job.results / "corpus" / domain / "card.json"
    if not card.exists():
        return ""
    parts = read_json(card)["splits"]["train"]["by_source"]
    total = sum(part["bytes"] for part in parts.values())
    ranked = sorted(parts.items(), key=lambda item: -item[1]["bytes"])
    return ", ".join(f"{name} {part['bytes'] / total:.0%}" for name, part in ranked)


def _losses(
    recipe: RecipeTokens, run: Run, losses: Mapping[str, Mapping[str, float]]
) -> Iterator[list[str]]:
    for domain, loss in losses.items():
        predicted = ""
        if recipe.runs.get(domain) == run and math.isfinite(recipe.predicted_loss[domain]):
            low, high = recipe.interval[domain]
            predicted = f"{recipe.predicted_loss[domain]:.4f} ({low:.4f} to {high:.4f})"
        numbers = [f"{loss[name]:.4f}" for name in LOSS_COLUMNS]
        yield [domain, *numbers, predicted]


def _table(head: Sequence[str], rows: Iterator[list[str]]) -> list[str]:
    lines = ["| " + " | ".join(row) + " |" for row in (head, *rows)]
    return [lines[0], "|" + "---|" * len(head), *lines[1:]]
