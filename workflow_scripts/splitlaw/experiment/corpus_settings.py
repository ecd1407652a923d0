"""The `corpus` section of the configuration: everything that determines the text."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from splitlaw.experiment.lineage import GENERAL
from splitlaw.experiment.section import Count, Fraction, Natural, Number, Positive, Settings, Values
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


OF_NAMES_AND_CODE = ("idna", "punycode", "unicode-escape", "raw-unicode-escape")
"""Codecs of Python for host names and source code, which would change the text of a file."""


def _check_encoding(name: str) -> str:
    try:
        text = name == "auto" or not isinstance("".encode(name), str)
        text &= name == "auto" or codecs.lookup(name).name not in OF_NAMES_AND_CODE
    except (LookupError, ValueError):
        text = False
    if not text:
        raise ValueError(f"{name} is no encoding; give utf-8, auto, or a name such as cp1252")
    return name


class Source(Settings):
    """A source of documents: exactly one of `package`, `files`, `dataset` and `token_files`."""

    package: str | None = None
    """A built-in corpus, read from an installed Python package."""
    files: str | None = None
    """A glob pattern of files, relative to the working directory."""
    dataset: str | None = None
    """Name of a data set on the Hugging Face Hub, or a folder that `datasets` can open."""
    token_files: str | None = None
    """A glob pattern of tokenised files: Megatron's `.bin` with its `.idx`, `.npy`, or flat files
    of integers."""
    tokenizer: str | None = None
    """Folder or name on the Hub of the tokenizer that made the ids of `token_files`."""
    token_type: Literal["uint16", "uint32"] | None = None
    """Type of the ids in token files without a header; by default `uint16` if the ids of the
    tokenizer fit into it."""
    end_of_text: Natural | None = None
    """Id between two documents of token files; by default the end of text of the tokenizer."""
    text_field: str = "text"
    """Field or column that holds the text."""
    encoding: Annotated[str, AfterValidator(_check_encoding)] = "utf-8"
    """Encoding of text, JSON and CSV files: a name that Python knows, such as `cp1252`, or `auto`,
    which detects the encoding of each file."""
    config: str | None = None
    """Configuration of the data set, if it has several."""
    split: str = "train"
    """Split of the data set."""
    revision: str | None = None
    """Commit of the data set or of the tokenizer. Without it, the corpus changes when they do."""
    streaming: bool = False
    """Read a data set of the Hub without downloading all of it."""
    max_documents: Positive | None = None
    """Stop after this many documents."""
    max_bytes: Positive | None = None
    """Stop after this many bytes of UTF-8 text."""
    weight: Annotated[Number, Field(gt=0)] | None = None
    """Share of the source in `general`, relative to the weights of the other sources."""

    @model_validator(mode="after")
    def _has_one_origin(self) -> Self:
        kinds = ("package", "files", "dataset", "token_files")
        named = [kind for kind in kinds if getattr(self, kind)]
        if len(named) != 1:
            raise ValueError(
                "a source has exactly one of package, files, dataset and token_files, and this "
                f"one has {' and '.join(named) or 'none'}; give one"
            )
        return self

    @model_validator(mode="after")
    def _has_a_tokenizer_for_token_files(self) -> Self:
        if self.token_files and not self.tokenizer:
            raise ValueError(
                f"token_files {self.token_files} has no tokenizer; give the folder or the name of "
                "the one that made the ids"
            )
        for key in ("tokenizer", "token_type", "end_of_text"):
            if not self.token_files and getattr(self, key) is not None:
                raise ValueError(f"{key} describes token_files, which are not given; remove it")
        return self

    @property
    def pattern(self) -> str | None:
        """The glob pattern of the source's files; None if it has none."""
        return self.files or self.token_files

    @property
    def label(self) -> str:
        """Short name under which the source's documents are counted."""
        return self.package or self.pattern or str(self.dataset)

    @property
    def identity(self) -> tuple[str, ...]:
        """The text that is read, apart from limits, as values to compare with other sources."""
        return (self.label, str(self.config), self.split, str(self.revision), self.text_field)


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
