"""Documents kept and dropped in each domain, in lines for the terminal."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from splitlaw.common.files import read_json

WARN_ABOVE = 0.05
"""Share of a domain's documents or bytes, dropped for one reason, above which users are warned."""
_EMPTY = "bad_input: empty file"
"""A file without documents, such as an empty shard, is no loss of text."""


def describe_cards(cards: Iterable[Path]) -> list[str]:
    """Return lines on what was kept and dropped according to the cards, with warnings."""
    return [line for card in cards for line in _describe_domain(read_json(card))]


def _describe_domain(card: dict[str, Any]) -> list[str]:
    name, splits, dropped = card["domain"], card["splits"].values(), card["dropped"]
    documents = sum(split["documents"] for split in splits)
    size = sum(split["bytes"] for split in splits)
    reasons = sorted(dropped.items(), key=lambda item: (-item[1]["bytes"], item[0]))
    parts = [f"{reason} {_amount(**part)}" for reason, part in reasons]
    lines = [
        f"domain {name}: kept {_amount(documents, size)}; dropped: {'; '.join(parts) or 'none'}"
    ]
    if long := card.get("long_documents_cut"):
        lines.append(f"domain {name}: {long:,} documents cut because of max_characters")
    documents += sum(part["documents"] for reason, part in reasons if reason != _EMPTY)
    size += sum(part["bytes"] for _, part in reasons)
    for reason, part in reasons:
        share = max(_share(part["documents"], documents), _share(part["bytes"], size))
        if share > WARN_ABOVE and reason != _EMPTY:
            lines.append(f"warning: domain {name}: {share:.0%} dropped as {reason}")
    return lines


def _amount(documents: int, bytes: int) -> str:
    return f"{documents:,} documents, {bytes / 1e6:,.2f} MB"


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
