"""The sections of a starting configuration whose runs continue from a model that exists."""

from __future__ import annotations

import io
from collections.abc import Sequence

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from splitlaw.experiment.base_settings import BASE, FROM_BASE
from splitlaw.experiment.existing_model import read_model
from splitlaw.experiment.settings import TrainingConfig

SHARES = (0, 0.1, 0.25, 0.5)
"""Shares of replay: the first tenth gives back most of the general loss."""
PRETRAIN = (0, 393216, 1310720, 3440640)
"""D after the base, in tokens: four values, so that the tokens of an unknown base can be estimated,
the last one those of the default trunk."""
SPECIALIZE = (65536, 196608, 458752)
HOLDOUT = 983040
"""Tokens of the branches, and of the longest ones, which test the law."""
WARMUP = SPECIALIZE[0] // 4
"""Tokens over which the rate rises again. It raises the loss at first, from which the shortest run
must recover."""
NO_LIMIT = 2**31
"""In place of the longest context of a model that has none; longer than any batch."""
FACTORS = (0.125, 0.25, 0.5, 1, 2)
"""Rates of the sweep relative to that of a new model; the best rate of a base is often lower."""


def continue_from(base: str, content: CommentedMap) -> CommentedMap:
    """The default configuration with runs that continue from the model `base`, a path or a name.

    Raises `UserError` for a model that cannot be trained.
    """
    model = read_model(base)
    for key in FROM_BASE:
        del content[key]
    content.insert(1, BASE, CommentedMap(path=base, pretrain_tokens="unknown"))
    content[BASE].yaml_add_eol_comment("or the number of tokens", "pretrain_tokens")
    content.yaml_set_comment_before_after_key("corpus", before="\n")
    longest = min(content["model"]["context"], model["longest_context"] or NO_LIMIT)
    batch = content["training"]["batch_tokens"]
    # A batch has whole sequences.
    content["model"]["context"] = next(n for n in range(longest, 0, -1) if batch % n == 0)
    for section, key in (("final", "size"), ("compare", "sizes"), ("tune_learning_rate", "sizes")):
        content[section].pop(key, None)
    _set_grid(content["grid"])
    _set_rate(content, model["params"])
    return content


def _set_grid(grid: CommentedMap) -> None:
    removed = ("min_tokens_per_param", "fit", "holdout", "adaptive", "repeat", "unique_tokens")
    for key in removed:
        grid.pop(key, None)
        grid.ca.items.pop(key, None)  # its comment
    grid["trunk_tokens"] = PRETRAIN[-1]
    grid["min_tokens_per_param"] = 0
    grid["replay"] = _inline(SHARES)
    grid["holdout_replay"] = _inline(SHARES[2:3])
    for key, branches in (("fit", SPECIALIZE), ("holdout", (HOLDOUT,))):
        cells = {"pretrain_tokens": _inline(PRETRAIN), "specialize_tokens": _inline(branches)}
        grid[key] = CommentedMap(cells)


def _inline(values: Sequence[float]) -> CommentedSeq:
    """A list that is written in one line."""
    made = CommentedSeq(values)
    made.fa.set_flow_style()
    return made


def _set_rate(content: CommentedMap, params: int) -> None:
    """The rate of the default rule at the size of the base; a base has no exponent."""
    training = content["training"]
    rate = TrainingConfig(**training).peak_learning_rate(params)
    training["warmup_tokens"] = WARMUP
    training["learning_rate"] = float(f"{rate:.2g}")
    training["reference_params"] = params
    training["learning_rate_exponent"] = 0.0
    rates = [float(f"{rate * factor:.2g}") for factor in FACTORS]
    content["tune_learning_rate"]["rates"] = _inline(rates)


def yaml_handler() -> YAML:
    """Reads and writes YAML with its comments, in the layout of config.yaml."""
    handler = YAML(typ="rt")
    handler.preserve_quotes = True
    handler.width = 1000  # lines are not wrapped
    handler.brace_single_entry_mapping_in_flow_sequence = True  # as {files: x}, not files: x
    handler.indent(mapping=2, sequence=4, offset=2)
    return handler


def text_of(content: CommentedMap) -> str:
    """A configuration as YAML."""
    stream = io.StringIO()
    yaml_handler().dump(content, stream)
    return stream.getvalue()
