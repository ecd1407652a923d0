"""Tables of the corpora: sizes, dropped documents with the reasons, and samples."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from splitlaw.corpus.splitting import SPLITS
from splitlaw.experiment.lineage import GENERAL
from splitlaw.report.inputs import Inputs
from splitlaw.report.number_format import count
from splitlaw.report.table import Table

_REASONS = {
    "exact_duplicate": "exact copy",
    "near_duplicate": "near copy",
    "near_held_out": "near copy of a held-out document",
    "passage_in_training": "passage also in training text",
    "benchmark": "contains a benchmark item",
    "over_weight": "beyond the weight of its source",
    "blank": "blank",
    "too_short": "too short",
    "too_long": "too long",
}


@dataclass(frozen=True, kw_only=True)
class Samples:
    """The first characters of some training documents of a domain."""

    domain: str
    """Its name."""
    texts: list[str]
    """At most 300 characters of each document."""


def corpora_table(inputs: Inputs) -> Table | None:
    """Documents, bytes and tokens of every split of every domain."""
    if not inputs.cards:
        return None
    rows = []
    for domain in _order(inputs):
        for split in SPLITS:
            part = inputs.cards[domain]["splits"][split]
            encoded = inputs.tokens.get(domain, {}).get("splits", {}).get(split, {})
            tokens = encoded.get("tokens")
            rows.append(
                [
                    _title(inputs, domain) if split == SPLITS[0] else "",
                    split,
                    f"{part['documents']:,}",
                    f"{part['bytes'] / 1e6:.2f}",
                    "–" if tokens is None else count(tokens),
                    f"{encoded['bytes'] / tokens:.2f}" if tokens else "–",
                ]
            )
    head = ["Domain", "Split", "Documents", "MB", "Tokens", "Bytes per token"]
    note = (
        "Train tokens are unique: D′ can be as large without repeating text. Tokens of validation "
        "and test are counted after documents are truncated to the length that is evaluated."
    )
    return Table(title="Corpora", head=head, rows=rows, note=note)


def dropped_table(inputs: Inputs) -> Table | None:
    """Counts of documents that are in no split of their domain, by reason."""
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
    head = ["Domain", "Sources", "To general", "Unit held out", "Dropped documents"]
    note = "To general: train documents of the domain that were moved to the general mixture."
    if inputs.cards.get(GENERAL, {}).get("includes_domains"):
        note = "The general mixture also has the documents of every domain, each in the same split."
    return Table(title="Sources and dropped documents", head=head, rows=rows, note=note)


def samples(inputs: Inputs) -> list[Samples]:
    """Samples of every domain, from which users can check its content."""
    return [
        Samples(domain=_title(inputs, domain), texts=texts)
        for domain in _order(inputs)
        if (texts := inputs.cards[domain]["splits"]["train"].get("samples", []))
    ]


def _title(inputs: Inputs, domain: str) -> str:
    """The name of a domain, with the words of a discovered one."""
    words = inputs.cards[domain].get("label")
    return f"{domain} ({words})" if words else domain


def _order(inputs: Inputs) -> list[str]:
    places = {name: place for place, name in enumerate((GENERAL, *inputs.domains))}
    return sorted(inputs.cards, key=lambda name: (places.get(name, len(places)), name))


def _dropped(reasons: Mapping[str, Any]) -> str:
    counts = [
        f"{_REASONS.get(reason, reason.replace('_', ' '))}: {part['documents']:,}"
        + (f" ({part['bytes'] / 1e6:.2f} MB)" if part["bytes"] >= 5000 else "")
        for reason, part in sorted(reasons.items(), key=lambda item: -item[1]["documents"])
    ]
    return "; ".join(counts) or "none"
