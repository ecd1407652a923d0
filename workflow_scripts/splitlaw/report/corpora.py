"""The corpora's cards: what each domain holds, what was dropped for what reason, and samples."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from splitlaw.laws.table import GENERAL
from splitlaw.report.inputs import Inputs
from splitlaw.report.number_format import count
from splitlaw.report.tables import Table

_SPLITS = ("train", "validation", "test")
_REASONS = {
    "exact_duplicate": "exact copy",
    "near_duplicate": "near copy",
    "near_held_out": "near a held-out document",
    "passage_in_training": "passage that stands in training text",
    "benchmark": "benchmark’s item",
    "over_weight": "beyond its source’s weight",
    "blank": "blank",
    "too_short": "too short",
    "too_long": "too long",
}


@dataclass(frozen=True, kw_only=True)
class Samples:
    """The beginnings of some training documents of a domain."""

    domain: str
    """Its name."""
    texts: list[str]
    """Of at most 300 characters."""


def corpora_table(inputs: Inputs) -> Table | None:
    """Documents, bytes and tokens of every split of every domain."""
    if not inputs.cards:
        return None
    rows = []
    for domain in _order(inputs):
        for split in _SPLITS:
            part = inputs.cards[domain]["splits"][split]
            encoded = inputs.tokens.get(domain, {}).get("splits", {}).get(split, {})
            tokens = encoded.get("tokens")
            rows.append(
                [
                    domain if split == _SPLITS[0] else "",
                    split,
                    f"{part['documents']:,}",
                    f"{part['bytes'] / 1e6:.2f}",
                    "–" if tokens is None else count(tokens),
                    f"{encoded['bytes'] / tokens:.2f}" if tokens else "–",
                ]
            )
    head = ["Domain", "Split", "Documents", "MB", "Tokens", "Bytes per token"]
    note = (
        "A domain’s train tokens are all different: as many as it has, D′ can be without reading "
        "text again. Tokens of validation and test are of documents cut to the length that is "
        "evaluated."
    )
    return Table(title="The corpora", head=head, rows=rows, note=note)


def dropped_table(inputs: Inputs) -> Table | None:
    """What became of the documents that are in no split of their domain."""
    if not inputs.cards:
        return None
    rows = []
    for domain in _order(inputs):
        card = inputs.cards[domain]
        rows.append(
            [
                domain,
                ", ".join(card.get("sources", [])),
                f"{card.get('documents_to_general', 0):,}",
                "passage" if card.get("documents_cut") else "document",
                _dropped(card.get("dropped", {})),
            ]
        )
    head = ["Domain", "Sources", "To general", "Held out by", "Dropped"]
    note = "To general: the domain’s train documents that the mixture took as its slice."
    return Table(title="What was read, and what was dropped", head=head, rows=rows, note=note)


def samples(inputs: Inputs) -> list[Samples]:
    """What a person looks at to see whether a domain is what its name says."""
    return [
        Samples(domain=domain, texts=texts)
        for domain in _order(inputs)
        if (texts := inputs.cards[domain]["splits"]["train"].get("samples", []))
    ]


def _order(inputs: Inputs) -> list[str]:
    return sorted(inputs.cards, key=lambda name: (name != GENERAL, name))


def _dropped(reasons: Mapping[str, Any]) -> str:
    told = [
        f"{_REASONS.get(reason, reason.replace('_', ' '))} {part['documents']:,}"
        + (f" ({part['bytes'] / 1e6:.2f} MB)" if part["bytes"] >= 5000 else "")
        for reason, part in sorted(reasons.items(), key=lambda item: -item[1]["documents"])
    ]
    return "; ".join(told) or "none"
