"""The `corpus` section of the configuration: everything that determines the text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from splitlaw.experiment.lineage import GENERAL
from splitlaw.experiment.section import Count, Fraction, Natural, Number, Positive, Settings, Values
from splitlaw.experiment.source_settings import Source
from splitlaw.experiment.validation_messages import DISCOVERED, GIVEN

BENCHMARKS = (
    "arc_easy", "arc_challenge", "hellaswag", "piqa", "winogrande", "openbookqa",
    "csqa", "socialiqa", "sciq", "boolq", "medmcqa", "medqa_en",
)  # fmt: skip

MOST_WORDS = 1000
"""Longer sequences of words than most documents have; the time of a comparison grows with them."""
MOST_PERMUTATIONS = 4096
"""A signature then takes 16 KB for each document, and similarities are known to 1%."""
MOST_CLUSTERS = 1000
"""More clusters are no domains: each has a model of its own."""
LARGEST_HELD_OUT = 0.4
"""Largest share of the documents in one held-out split, so that both leave some to train on."""


class NearDuplicates(Settings):
    """Criterion for near-duplicates; one of two such documents is dropped."""

    threshold: Annotated[Number, Field(gt=0, le=1)] = 0.6
    """Jaccard similarity of the sets of word shingles at which one of two documents is dropped."""
    shingle: Annotated[Count, Field(ge=1, le=MOST_WORDS)] = 3
    """Number of words in a shingle."""
    permutations: Annotated[Count, Field(ge=4, le=MOST_PERMUTATIONS, multiple_of=4)] = 128
    """Number of MinHash permutations, in bands of four."""


class Cleaning(Settings):
    """Which documents are kept."""

    min_characters: Positive = 40
    """Documents with fewer characters are dropped."""
    max_characters: Positive = 1_000_000
    """Longer documents are cut into passages of at most this many characters."""
    near_duplicates: NearDuplicates | None = NearDuplicates()
    """Criterion for near-duplicates; null keeps them. Exact duplicates are always dropped."""
    benchmarks: Values[str] = BENCHMARKS
    """Tasks whose items must not occur in training text; an empty list disables the check."""
    benchmark_words: Annotated[Count, Field(ge=5, le=MOST_WORDS)] = 13
    """Number of consecutive words that a training document must not share with an item of a
    benchmark."""
    on_bad_input: Literal["stop", "skip"] = "stop"
    """`stop` at the first unreadable document, or `skip` it and count it in the data card."""

    @property
    def skipped_steps(self) -> list[str]:
        """The steps that are turned off, as named in the data card."""
        wanted = {"near_duplicates": self.near_duplicates, "benchmarks": self.benchmarks}
        return [step for step, setting in wanted.items() if not setting]

    @model_validator(mode="after")
    def _keeps_something(self) -> Self:
        if self.min_characters > self.max_characters:
            raise ValueError(
                f"min_characters is {self.min_characters}, above max_characters, which is "
                f"{self.max_characters}; lower the first or raise the second"
            )
        return self


class Splits(Settings):
    """Shares of the documents that are held out from training."""

    validation: Annotated[Number, Field(gt=0, le=LARGEST_HELD_OUT)] = 0.05
    """Share of the documents for validation."""
    test: Annotated[Number, Field(gt=0, le=LARGEST_HELD_OUT)] = 0.05
    """Share of the documents for test, on which every loss is measured."""
    passages_below: Natural = 100
    """A domain with fewer distinct documents is held out by passage instead of by document; 0
    disables this. With 100 documents, a split of 5% is empty once in 170 draws."""


Sources = Annotated[Values[Source], Field(min_length=1)]


def _weighted_alike(sources: tuple[Source, ...]) -> tuple[Source, ...]:
    if len({source.weight is None for source in sources}) > 1:
        raise ValueError("some sources have a weight and some do not; give every one a weight")
    return sources


class GeneralConfig(Settings):
    """The mixture that a trunk is trained on."""

    sources: Annotated[Values[Source], AfterValidator(_weighted_alike)] = ()
    """Sources of the documents; with `includes_domains` and given domains, there may be none."""
    includes_domains: bool = False
    """Whether `general` also has all documents of every domain, each in the same split. General
    text and domains then share training documents, and a held-out document is in neither."""
    slices: Mapping[str, Annotated[Number, Field(ge=0, lt=1)]] = {}
    """For each domain, the share of its training documents that go to `general` instead."""


class DomainConfig(Settings):
    """One domain."""

    sources: Sources
    """Sources of the documents, with the same keys as `general.sources`."""


class DiscoveryConfig(Settings):
    """Domains that are discovered as clusters of `general`."""

    discover: Annotated[Count, Field(ge=2, le=MOST_CLUSTERS)]
    """Number of clusters of `general` that become domains."""
    embedding: str | None = None
    """Folder of an embedding model to cluster with; by default, documents are compared by their
    words (TF-IDF)."""
    assign: Literal["model", "words"] = "model"
    """How the documents that the clusters are not fitted on are assigned to them: by the embedding
    model, or by their words like the router does, which is about two thousand times faster. Without
    `embedding`, all documents are compared by their words."""
    general_share: Fraction = 0.5
    """Share of each cluster's documents that remains in `general`."""


def _form(domains: Any) -> str:
    discovered = isinstance(domains, DiscoveryConfig)
    discovered |= isinstance(domains, Mapping) and "discover" in domains
    return DISCOVERED if discovered else GIVEN


DomainName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Domains = Annotated[
    Annotated[Mapping[DomainName, DomainConfig], Field(min_length=1), Tag(GIVEN)]
    | Annotated[DiscoveryConfig, Tag(DISCOVERED)],
    Discriminator(_form),
]


class CorpusConfig(Settings):
    """The text, general and of each domain."""

    seed: Natural = 0
    """Seed of splits, slices and the order of documents."""
    general: GeneralConfig
    """The mixture that a trunk is trained on."""
    domains: Domains
    """The sources of each domain, by its name; or how many domains to discover in `general`."""
    splits: Splits = Splits()
    """Shares of the documents that are held out from training."""
    cleaning: Cleaning = Cleaning()
    """Which documents are kept."""
    shards: Positive = 1
    """Number of jobs that read and clean the sources, and that write and encode the text. The text
    is the same for any number; choose it before the corpus is prepared."""
    max_file_bytes: Positive = 1 << 30
    """Text in one Parquet file; a split with more text has several."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if GENERAL in self.domain_names:
            raise ValueError(
                f"domains has {GENERAL}; that is the name of the mixture, so rename the domain"
            )
        if self.discovery and self.general.slices:
            raise ValueError(
                "general.slices is for given domains; remove it and set domains.general_share"
            )
        _check_general(self.general, self.domains)
        for name in self.general.slices:
            if name not in self.domain_names:
                raise ValueError(
                    f"general.slices names {name}, which is no domain; "
                    f"the domains are {', '.join(self.domain_names)}"
                )
        _check_overlap(self.sources)
        return self

    @property
    def discovery(self) -> DiscoveryConfig | None:
        """How domains are discovered; None where they are given."""
        return self.domains if isinstance(self.domains, DiscoveryConfig) else None

    @property
    def domain_names(self) -> tuple[str, ...]:
        """The domains in the order of the configuration, given or to be discovered."""
        if isinstance(self.domains, DiscoveryConfig):
            return tuple(f"cluster_{number}" for number in range(1, self.domains.discover + 1))
        return tuple(self.domains)

    @property
    def names(self) -> tuple[str, ...]:
        """`general`, then the domains."""
        return (GENERAL, *self.domain_names)

    @property
    def sources(self) -> dict[str, tuple[Source, ...]]:
        """The sources of `general`, then those of each given domain."""
        given = {} if isinstance(self.domains, DiscoveryConfig) else self.domains
        return {GENERAL: self.general.sources, **{n: d.sources for n, d in given.items()}}


def _check_general(general: GeneralConfig, domains: Domains) -> None:
    """Refuse a mixture without text, one that equals a domain, and keys that contradict it."""
    if not general.sources and not general.includes_domains:
        raise ValueError("general has no sources; add one, or set general.includes_domains to true")
    if not general.includes_domains:
        return
    if general.slices:
        raise ValueError(
            "general.slices takes documents from domains, and general.includes_domains shares all "
            "of them; remove one of the two keys"
        )
    if isinstance(domains, DiscoveryConfig):
        if not general.sources:
            raise ValueError("general has no sources to discover domains in; add one")
        if "general_share" in domains.model_fields_set:
            raise ValueError(
                "domains.general_share divides documents, and general.includes_domains shares all "
                "of them; remove one of the two keys"
            )
    elif len(domains) == 1 and not general.sources:
        raise ValueError(
            f"domain {next(iter(domains))} is all of general; add a domain, or sources of general"
        )


def _check_overlap(sources: Mapping[str, Iterable[Source]]) -> None:
    """Refuse a source that two domains name; files are compared again once globs are resolved."""
    owners: dict[tuple[str, ...], str] = {}
    for domain, listed in sources.items():
        for source in listed:
            owner = owners.setdefault(source.identity, domain)
            if owner != domain:
                raise ValueError(
                    f"{source.label} is a source of {owner} and of {domain}; "
                    "remove it from one of them"
                )
