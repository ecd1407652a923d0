"""Wrong values of every key, and files that YAML reads otherwise than they look: one line each."""

import copy
import datetime
import math
import random
from pathlib import Path

import pytest

from splitlaw.common.errors import UserError
from splitlaw.experiment.config import ExperimentConfig
from splitlaw.experiment.section import load_config

SOURCES = [
    {"files": "a/*.txt", "encoding": "utf-8", "text_field": "text", "max_bytes": 9, "weight": 1.0},
    {"dataset": "a/b", "config": "c", "split": "train", "revision": "r", "weight": 2},
    {"token_files": "a/*.bin", "tokenizer": "t", "token_type": "uint16", "weight": 1},
]
WRONG = [
    None, True, 0, -1, 3, 10**18, 10**400, 0.5, -0.0, 1e308, math.nan, -math.inf,
    "", "no", "1e3", "a\nb", "x" * 10_000, "a\0b", "\ud800",
    [], {}, [None], [[]], [1, 1], ["x"], [10**400], list(range(300)),
    {"x": 1}, {1: 2}, {None: 1}, {"law": None}, {("a", "b"): 1}, {"discover": 10**9},
    datetime.date(2024, 1, 1), b"bytes", {1, 2},
]  # fmt: skip
"""Values of every kind that YAML or JSON can give, and some that they cannot."""
LONGEST = 600
"""Characters of a line that is still read."""


def variants(config):
    """Configurations that together have most keys."""
    general, cleaning = {"sources": SOURCES, "slices": {"law": 0.1}}, {"near_duplicates": {}}
    of_corpus = {**config["corpus"], "general": general, "cleaning": cleaning, "shards": 2}
    of_execution = {"microbatch": 3, "trackers": ["wandb"], "by_size": {"w16": {"processes": 2}}}
    start = {"start": 6, "rounds": 2, "stop_regret": 2e-4}
    yield {**config, "corpus": of_corpus, "execution": of_execution}
    yield {**config, "grid": {**config["grid"], "adaptive": start}, "compare": {"seeds": [1]}}
    yield {**config, "corpus": {"general": general | {"slices": {}}, "domains": {"discover": 4}}}


def paths(node, path=()):
    """The place of every value."""
    if path:
        yield path
    items = node.items() if isinstance(node, dict) else enumerate(node[:3])
    for key, value in items if isinstance(node, dict | list) else ():
        if isinstance(value, dict | list):
            yield from paths(value, (*path, key))
        else:
            yield (*path, key)


def changed(config, path, value):
    config = copy.deepcopy(config)
    *stem, last = path
    node = config
    for key in stem:
        node = node[key]
    node[last] = value
    return config


def test_a_wrong_value_of_any_key_is_accepted_or_one_line(config):
    rng = random.Random(0)
    tried = refused = 0
    for variant in variants(config):
        ExperimentConfig.read(variant)
        for path in paths(variant):
            for value in rng.sample(WRONG, 4):  # 1,500 of 12,000, in two seconds
                tried += 1
                try:
                    ExperimentConfig.read(changed(variant, path, value))
                except UserError as error:
                    refused += 1
                    line = str(error)
                    assert line.startswith("config.yaml: ") and "\n" not in line, (path, value)
                    assert len(line) < LONGEST, (path, value)
    assert refused > 0.8 * tried > 800


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        # Our own cases: accepted, and an error after hours or never.
        ("corpus.seed", -1, "corpus.seed is -1; give a number of at least 0"),
        ("law.seed", -1, "law.seed is -1; give a number of at least 0"),
        ("grid.trunk_tokens", 10**400, "grid.trunk_tokens: the number is too large; give at most"),
        ("training.clip", 10**400, "training.clip: the number is too large"),
        ("grid.fit.specialize_tokens", [3, 327680], "has 3, less than half of training.batch_to"),
        ("grid.fit.unsplit_tokens", [81920, 81921], "81920 and 81921, which are the same number"),
        ("final.budget_tokens", 100, "final.budget_tokens: 100 tokens are fewer than one batch"),
        (
            "corpus.cleaning",
            {"near_duplicates": {"shingle": 10**6}},
            "shingle is 1000000; give a n",
        ),
        (
            "corpus.cleaning",
            {"near_duplicates": {"permutations": 10**9}},
            "permutations is 10000000",
        ),
        ("law.draws", 10**9, "law.draws is 1000000000; give a number of at most 1"),
        ("experiment", "\ud800", "experiment is '\\ud800'; "),
        ("final.size", "\ud800", "half a character"),
        ("corpus.domains", {"discover": 10**9}, "discover is 1000000000; give a number of at most"),
    ],
)
def test_values_that_only_fail_later_are_refused(config, path, value, words):
    config["corpus"]["cleaning"] = {}
    if path == "corpus.domains":
        config["corpus"]["general"] = {"sources": SOURCES[:1]}
    with pytest.raises(UserError) as raised:
        ExperimentConfig.read(changed(config, path.split("."), value))
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        # pyyaml issue 107, BiblioPixel issue 753: 010 is 8, and 1:30 is 90.
        ("a: 010", "YAML reads 010 as another number: write it in decimal, or quote it"),
        ("a: [1:30]", "YAML reads 1:30 as another number"),
        ("a: -1:30.5", "YAML reads -1:30.5 as another number"),
        ("? [a, b]\n: 1", "a key is a list or has keys itself"),
        ("a: !!int [1]", "expected a scalar node, but found sequence"),
        ("a: !!float {b: 1}", "expected a scalar node, but found mapping"),
        ("a: !!bool maybe", "cannot be read as YAML"),
        ("a: !!timestamp soon", "cannot be read as YAML"),
        ("a: 2024-13-45", "month must be in 1..12"),
        ("[" * 3000, "too many levels"),
        ("a: 1\n---\na: 2", "expected a single document"),
        ("a: 1\na: 2", "the key a occurs twice"),
        ("", "has no keys"),
    ],
)
def test_what_yaml_reads_otherwise_than_it_looks_is_refused(
    content: str, words: str, tmp_path: Path
) -> None:
    (tmp_path / "c.yaml").write_text(content)
    with pytest.raises(UserError) as raised:
        load_config(str(tmp_path / "c.yaml"))
    assert words in str(raised.value)


def test_decimal_numbers_and_files_of_windows_are_read(tmp_path: Path) -> None:
    content = "a: 0\r\nb: 1_000\r\nc: -0.5\r\nd: 2.0e+6\r\ne: '010'\r\nf: 12\r\ng: 0.0\r\n"
    (tmp_path / "c.yaml").write_text(content, encoding="utf-8-sig")
    found = load_config(str(tmp_path / "c.yaml"))
    assert found == {"a": 0, "b": 1000, "c": -0.5, "d": 2e6, "e": "010", "f": 12, "g": 0.0}
    (tmp_path / "c.json").write_text('{"a": 1}', encoding="utf-8-sig")
    assert load_config(str(tmp_path / "c.json")) == {"a": 1}
