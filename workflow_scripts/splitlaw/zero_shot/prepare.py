"""Make the items of the local tasks; items that occur in training text are removed and counted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

import numpy as np
from tokenizers import Tokenizer

from splitlaw.common.errors import UserError
from splitlaw.common.files import write_json
from splitlaw.experiment.section import Positive, Settings, Values
from splitlaw.tokens.encoding import load_tokenizer
from splitlaw.zero_shot.items import Item, package_items, write_items
from splitlaw.zero_shot.overlap import found_in_training


class ItemConfig(Settings):
    """Selection of the items."""

    tasks: Values[str]
    """Local tasks."""
    cap: Positive
    """Largest number of items per task; they are drawn with `seed`."""
    words: Positive
    """Number of consecutive words that an item may not share with training text."""
    context: Positive
    """Context length in tokens; items with a longer answer cannot be scored."""
    seed: int
    """Seed of the draw."""


def prepare_items(
    config: ItemConfig, *, corpus: Path, domains: Sequence[str], tokenizer: Path, out: Path
) -> None:
    """Write `{task}.jsonl` for every task, and `items.json` with counts of removed items."""
    encoder, _ = load_tokenizer(tokenizer)
    items = {task: package_items(task) for task in config.tasks}
    texts = [item.text for listed in items.values() for item in listed]
    near = found_in_training(texts, corpus, domains, words=config.words).tolist()
    counts: dict[str, dict[str, int]] = {}
    begin = 0
    for task, listed in items.items():
        flags = near[begin : begin + len(listed)]
        begin += len(listed)
        kept, counts[task] = _choose(task, listed, flags, encoder, config)
        write_items(out / f"{task}.jsonl", kept)
    write_json(out / "items.json", {"tasks": counts, **config.model_dump(exclude={"tasks"})})


def _choose(
    task: str, items: Sequence[Item], near: Sequence[bool], encoder: Tokenizer, config: ItemConfig
) -> tuple[list[Item], dict[str, int]]:
    """Draw up to `cap` items with the seed; also return the counts for `items.json`."""
    fitting = [
        item
        for item, flag in zip(items, near, strict=True)
        if not flag and _longest_answer(item, encoder) <= config.context
    ]
    if not fitting:
        raise UserError(
            f"{task}: all of its {len(items)} items are in training text or have answers longer "
            "than model.context; remove it from benchmarks.tasks"
        )
    generator = np.random.default_rng([config.seed, crc32(task.encode())])
    kept = [fitting[number] for number in generator.permutation(len(fitting))[: config.cap]]
    counts = {
        "in_package": len(items),
        "near_training_text": sum(near),
        "answer_longer_than_context": len(items) - sum(near) - len(fitting),
        "kept": len(kept),
        "question_cut_to_context": sum(_tokens(item, encoder) > config.context for item in kept),
    }
    return kept, counts


def _longest_answer(item: Item, encoder: Tokenizer) -> int:
    """Number of tokens of the longest text that is scored."""
    scored = [answer for _, answer in item.pairs]
    return max(len(code.ids) for code in encoder.encode_batch_fast(scored))


def _tokens(item: Item, encoder: Tokenizer) -> int:
    """Tokens read for the longest question with answer; the last token is only predicted."""
    whole = [before + answer for before, answer in item.pairs]
    return max(len(code.ids) for code in encoder.encode_batch_fast(whole)) - 1
