"""A conversation at the terminal: every line is continued by the models that it is routed to."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TextIO

import numpy as np

from splitlaw.delivery.decoding import Sampling
from splitlaw.delivery.routed import RoutedModel


def chat(
    model: RoutedModel,
    *,
    max_tokens: int | None,
    temperature: float,
    seed: int,
    source: TextIO = sys.stdin,
    target: TextIO = sys.stdout,
) -> None:
    """Continue each line of `source`, token by token, until it ends.

    The models continue text and have not been trained to converse, so a line is continued by
    itself. Line i is continued with the seed `seed + i`. Nothing but the answers is written to
    `target`; where `source` is a terminal, the models that answer are named before each.
    """
    longest = model.longest(max_tokens)
    first = Sampling(max_tokens=longest, temperature=temperature, seed=seed)
    by_hand = source.isatty()
    if by_hand:
        print("Type the beginning of a text; Ctrl-D ends.", file=target, flush=True)
    for number, line in enumerate(source):
        prompt = line.rstrip("\n")
        if by_hand:
            print(f"[{_named(model, prompt)}]", file=target)
        sampling = replace(first, seed=seed + number)
        shown = 0
        for continuation in model.stream(prompt, sampling):
            print(continuation.text[shown:], end="", file=target, flush=True)
            shown = len(continuation.text)
        print(file=target, flush=True)


def _named(model: RoutedModel, prompt: str) -> str:
    """The models that answer a prompt, with their weights where there are several."""
    weights = dict(zip(model.models, model.route([prompt])[0], strict=True))
    used = sorted((name for name in weights if weights[name]), key=lambda name: -weights[name])
    if len(used) == 1:
        return used[0]
    return ", ".join(f"{name} {np.round(weights[name], 2):g}" for name in used)
