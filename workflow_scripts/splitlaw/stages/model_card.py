"""The model card of a final model: what it read, what it costs, how good it is, how it was made."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from splitlaw.common.files import read_json
from splitlaw.experiment.lineage import GENERAL, Run

if TYPE_CHECKING:
    from splitlaw.stages.final import Recipe
    from splitlaw.stages.grid import Job

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

folder = "."  # this one
model = AutoModelForCausalLM.from_pretrained(folder)
tokenizer = AutoTokenizer.from_pretrained(folder)
pipeline("text-generation", model=folder)("The")
```

    lm-eval --model hf --model_args pretrained=. --tasks lambada_openai
"""


def model_card(
    job: Job,
    recipe: Recipe,
    run: Run,
    losses: Mapping[str, Mapping[str, float]],
    *,
    made_by: str,
    about: Mapping[str, Any],
) -> str:
    """`README.md` of an exported model; `made_by` is the file of the workflow that brings it."""
    shape, batch = job.shape, job.recipe.batch_tokens
    tokens = run.total * batch
    experiment = job.results.resolve().name
    dirty = " with uncommitted changes" if about.get("git_dirty") else ""
    lines = [
        _HEADER,
        f"# {run.domain}, strategy {recipe.strategy}, size {job.size}, seed {job.seed}",
        "",
        f"A Llama of {shape.params:,} parameters ({shape.non_embedding_params:,} without the "
        f"embedding), {shape.layers} layers of width {shape.width}, that reads {shape.context} "
        f"tokens. Trained from random weights by splitlaw on {tokens:,} tokens, "
        f"{tokens * shape.flops_per_token:.3g} FLOPs; the whole recipe, all its models, is "
        f"{recipe.steps * batch * shape.flops_per_token:.3g}.",
        "",
        "## What it was trained on",
        "",
        *_table(
            ["text, in this order", "tokens", "of what there is", "sources, by bytes"],
            _streams(job, run),
        ),
        "",
        "## Losses",
        "",
        f"On held-out documents, every token predicted once from at most {shape.context} before "
        "it. Errors are standard errors with documents as the sample. Predictions, with their 90% "
        f"interval, are of the scaling law ({recipe.law}) that was fitted to other runs, for the "
        "text that this model answers for.",
        "",
        *_table(
            ["held-out text", "nats per token", "standard error", "bits per byte", "predicted"],
            _losses(recipe, run, losses),
        ),
        "",
        "## How to make it again",
        "",
        f"In a checkout of splitlaw at commit {about.get('git_commit') or 'unknown'}{dirty}, with "
        f"the configuration of the experiment `{experiment}` (this model's part of it is in "
        "`run.json`):",
        "",
        f"    snakemake --cores 1 {made_by}",
        "",
        _USE,
    ]
    return "\n".join(lines)


def target(job: Job, file: Path) -> str:
    """The name of a result as the workflow asks for it; its path where that is elsewhere."""
    inside, results = file.resolve(), job.results.resolve()
    if not inside.is_relative_to(results):
        return str(file)
    return f"results/{results.name}/{inside.relative_to(results).as_posix()}"


def _streams(job: Job, run: Run) -> Iterator[list[str]]:
    """What it read, in order: tokens, the share of the domain's training text, its sources."""
    batch = job.recipe.batch_tokens
    steps = {GENERAL: run.pretrain_steps, run.domain: run.specialize_steps or run.pretrain_steps}
    for domain, read in steps.items():
        if read:
            available = read_json(job.sidecar(domain))["splits"]["train"]["tokens"]
            share = f"{read * batch / available:.0%}"
            yield [domain, f"{read * batch:,}", share, _sources(job, domain)]


def _sources(job: Job, domain: str) -> str:
    """Sources of a domain's training text, the largest first; empty where no corpus card is."""
    card = job.results / "corpus" / domain / "card.json"
    if not card.exists():
        return ""
    parts = read_json(card)["splits"]["train"]["by_source"]
    whole = sum(part["bytes"] for part in parts.values())
    ranked = sorted(parts.items(), key=lambda item: -item[1]["bytes"])
    return ", ".join(f"{name} {part['bytes'] / whole:.0%}" for name, part in ranked)


def _losses(
    recipe: Recipe, run: Run, losses: Mapping[str, Mapping[str, float]]
) -> Iterator[list[str]]:
    for domain, loss in losses.items():
        predicted = ""
        if recipe.runs.get(domain) == run and math.isfinite(recipe.predicted_loss[domain]):
            low, high = recipe.interval[domain]
            predicted = f"{recipe.predicted_loss[domain]:.4f} ({low:.4f} to {high:.4f})"
        numbers = [f"{loss[name]:.4f}" for name in ("loss", "loss_stderr", "bits_per_byte")]
        yield [domain, *numbers, predicted]


def _table(head: Sequence[str], rows: Iterator[list[str]]) -> list[str]:
    lines = ["| " + " | ".join(row) + " |" for row in (head, *rows)]
    return [lines[0], "|" + "---|" * len(head), *lines[1:]]
