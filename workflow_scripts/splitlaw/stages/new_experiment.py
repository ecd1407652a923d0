"""A starting configuration for one's own text: the default one with other domains."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from splitlaw.common.errors import UserError
from splitlaw.common.files import write_text
from splitlaw.experiment.config import Config, ExperimentConfig
from splitlaw.experiment.lineage import GENERAL

SUFFIXES = (".txt", ".jsonl", ".json", ".parquet", ".csv")
COMPRESSED = ("", ".gz", ".zst")
BYTES_PER_TOKEN = 2.4
"""Of English text in the default vocabulary of 1,024; the default domains have 2.3 to 2.6."""

SLICE = 0.15
FEW_FILES = 40
"""A domain of fewer text files gives none of them to general."""

RESERVED = ("discover", "general_share")


@dataclass(frozen=True, kw_only=True)
class Domain:
    """What was found of one domain."""

    name: str
    """As the configuration takes it."""
    patterns: tuple[str, ...]
    """Globs, one a kind of file."""
    files: int
    """How many files they match."""
    bytes: int
    """Size of all of them; compressed ones count as they are."""

    @property
    def tokens(self) -> float:
        """Tokens of all its text, roughly."""
        return self.bytes / BYTES_PER_TOKEN

    @property
    def slice(self) -> float:
        """Share of its training documents that goes to general."""
        few = self.files < FEW_FILES and all(p.endswith(".txt") for p in self.patterns)
        return 0.0 if few else SLICE


def write_new_experiment(text: Path, out: Path, *, defaults: Path, name: str | None = None) -> str:
    """Write a configuration for the text files in `text`, and give a summary.

    Each folder in `text` that holds text becomes a domain of its name, and one called `general`
    the general mixture; without such folders `text` is one domain. What is not about the corpus is
    copied from `defaults`. Raises `UserError` where there is no text, and where `out` is there.
    """
    if out.exists():
        raise UserError(f"{out}: is there already; move it away or name another file")
    domains = find_domains(text)
    name = name or plain(out.stem)
    written = starting_config(domains, defaults=defaults.read_text(encoding="utf-8"), name=name)
    ExperimentConfig.read(yaml.safe_load(written), where=str(out))
    write_text(out, written)
    found = [f"  {d.name}: {_amount(d)}" for d in domains]
    return "\n".join(
        [
            f"{out} describes the experiment {name}:",
            *found,
            f"Look through it, then:  snakemake --cores 2 --configfile {out}",
        ]
    )


def find_domains(text: Path) -> list[Domain]:
    """The domains in a folder; general, where it is among them, comes first."""
    if not text.is_dir():
        raise UserError(f"{text}: is no folder; name one that holds text files")
    folders = [folder for folder in sorted(text.iterdir()) if _plain_folder(folder)]
    found = [domain for folder in folders if (domain := _domain(folder, deep=True))]
    own = _domain(text, deep=False)
    if found and own:
        loose = next(_files(text, deep=False))
        raise UserError(
            f"{text}: holds both folders of text and loose files such as {loose.name}; put the "
            "files into folders, one a domain"
        )
    found = found or ([own] if own else [])
    if not [domain for domain in found if domain.name != GENERAL]:
        raise UserError(f"{text}: holds no text of a domain; add files ({', '.join(SUFFIXES)})")
    names = [domain.name for domain in found]
    twice = next((n for n in names if names.count(n) > 1), None)
    if twice:
        raise UserError(f"{text}: two folders would be called {twice}; rename one of them")
    return sorted(found, key=lambda domain: domain.name != GENERAL)


def _plain_folder(folder: Path) -> bool:
    return folder.is_dir() and not folder.name.startswith(".")


def _files(folder: Path, *, deep: bool) -> Iterator[Path]:
    for file in sorted(folder.rglob("*") if deep else folder.iterdir()):
        if file.is_file() and not file.name.startswith(".") and _kind(file) and file.stat().st_size:
            yield file


def _kind(file: Path) -> str | None:
    """The ending by which a file is read."""
    endings = (suffix + packed for suffix in SUFFIXES for packed in COMPRESSED)
    return next((ending for ending in endings if file.name.endswith(ending)), None)


def _domain(folder: Path, *, deep: bool) -> Domain | None:
    files = list(_files(folder, deep=deep))
    if not files:
        return None
    kinds = sorted({str(_kind(file)) for file in files})
    nested = any(file.parent != folder for file in files)
    within = "**/*" if nested else "*"
    return Domain(
        name=plain(folder.resolve().name),
        patterns=tuple(f"{folder.as_posix()}/{within}{kind}" for kind in kinds),
        files=len(files),
        bytes=sum(file.stat().st_size for file in files),
    )


def plain(name: str) -> str:
    """A name that a configuration takes: small letters, digits, underscores."""
    made = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    if not made or not made[0].isalpha() or made in RESERVED:
        made = f"text_{made}".rstrip("_")
    return made


def starting_config(domains: list[Domain], *, defaults: str, name: str) -> str:
    """The default configuration's text with another corpus, and `repeat` where text is short."""
    general = [domain for domain in domains if domain.name == GENERAL]
    own = [domain for domain in domains if domain.name != GENERAL]
    body = _replaced(defaults, r"(?s)\A.*?^experiment: .*?$", f"{_head(name)}experiment: {name}")
    sources = _general_sources(general, body)
    section = [*sources, *_slices(own), "  domains:", *(line for d in own for line in _entry(d))]
    body = _replaced(body, r"(?ms)^  general:\n.*?(?=^  splits:)", "\n".join(section) + "\n")
    return body + _execution(own, yaml.safe_load(body))


def _replaced(text: str, pattern: str, by: str) -> str:
    made, number = re.subn(pattern, lambda _: by, text, count=1, flags=re.MULTILINE)
    assert number == 1, f"the default configuration is not laid out as expected: {pattern}"
    return made


def _head(name: str) -> str:
    return (
        f"# The experiment {name}: a start. Models, grid and budget are the default's,\n"
        "# small enough for two cores without a GPU. docs/tutorial.md says what to change,\n"
        "# docs/configuration.md what every key means.\n"
    )


def _general_sources(general: list[Domain], body: str) -> list[str]:
    if general:
        return ["  general:", "    sources:", *(_source(p) for p in general[0].patterns)]
    default = re.search(r"(?ms)^  general:\n.*?(?=^    (?:#|slices))", body)
    assert default, "the default configuration has no general sources"
    return default.group().rstrip("\n").split("\n")


def _slices(own: list[Domain]) -> list[str]:
    given = ", ".join(f"{domain.name}: {domain.slice}" for domain in own if domain.slice)
    if not given:
        return []
    note = "    # Share of a domain's training documents that go to the general mixture instead."
    return [note, f"    slices: {{{given}}}"]


def _source(pattern: str) -> str:
    return f'      - files: "{pattern}"'


def _entry(domain: Domain) -> list[str]:
    listed = ", ".join(f'{{files: "{pattern}"}}' for pattern in domain.patterns)
    return [f"    # {_amount(domain)}", f"    {domain.name}: {{sources: [{listed}]}}"]


def _amount(domain: Domain) -> str:
    files = f"{domain.files} file{'' if domain.files == 1 else 's'}"
    return f"{files}, {domain.bytes / 1e6:.2f} MB, about {domain.tokens / 1e6:.2f}M tokens"


def _execution(own: list[Domain], config: Config) -> str:
    """Leave to read text again where a domain has less than the runs ask for."""
    longest = _longest(config, len(own))
    splits: Mapping[str, float] = config["corpus"].get("splits", {})
    kept = 1 - sum(splits.values())
    short = [d.name for d in own if kept * (1 - d.slice) * d.tokens < 1.1 * longest]
    if not short:
        return ""
    return (
        f"\n# Runs read up to {longest / 1e6:.2f}M tokens of a domain, and {', '.join(short)} "
        f"{'has' if len(short) == 1 else 'have'} less: text is\n"
        "# read again, and the law counts what differs.\n"
        "execution:\n  repeat: true\n"
    )


def _longest(config: Config, number: int) -> float:
    """The most domain tokens that a run of the grid, or a specialist from scratch, reads."""
    cells = [max(config["grid"][part]["specialize_tokens"]) for part in ("fit", "holdout")]
    return max(*cells, config["final"]["budget_tokens"] / number)
