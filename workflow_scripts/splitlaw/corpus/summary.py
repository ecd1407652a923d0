"""Documents kept and dropped in each domain, in lines for the terminal."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from splitlaw.common.files import read_json
from splitlaw.corpus.sources.encodings import UTF_8
from splitlaw.corpus.sources.input_errors import EMPTY_TEXT
from splitlaw.corpus.sources.packages import REFERENCE_PYTHON, STDLIB

WARN_ABOVE = 0.05
"""Share of a domain's documents or bytes, dropped for one reason, above which users are warned."""
WARN_ABOVE_COPIES = 0.5
"""The same for copies, of which one stays, so that no text is lost. A third of the licences of the
default domain `law` are near-duplicates; with more than half, texts from one template may be taken
for copies."""
COPIES = ("exact_duplicate", "near_duplicate", "near_held_out", "passage_in_training")
REMEDIES = {
    "too_short": "corpus.cleaning.min_characters decides",
    "near_duplicate": "a higher corpus.cleaning.near_duplicates.threshold keeps more",
    "benchmark": "corpus.cleaning.benchmarks names the tasks",
    "bad_input: invalid UTF-8": "encoding: auto of a source reads other encodings",
}
"""The key that decides, where there is one."""
CHOSEN = ("over_weight",)
"""Reasons that the configuration asks for: the weights of the sources."""
_EMPTY = "bad_input: empty file"
"""A file without documents, such as an empty shard, is no loss of text."""


def describe_cards(cards: Iterable[Path]) -> list[str]:
    """Return lines on what was kept and dropped according to the cards, with warnings."""
    return [line for card in cards for line in describe_card(read_json(card))]


def describe_card(card: dict[str, Any]) -> list[str]:
    """Return the lines on the card of one domain."""
    name, splits, dropped = card["domain"], card["splits"].values(), card["dropped"]
    title = f"{name} ({card['label']})" if card.get("label") else name
    documents = sum(split["documents"] for split in splits)
    size = sum(split["bytes"] for split in splits)
    reasons = sorted(dropped.items(), key=lambda item: (-item[1]["bytes"], item[0]))
    parts = [f"{reason} {_amount(**part)}" for reason, part in reasons]
    lines = [
        f"domain {title}: kept {_amount(documents, size)}; dropped: {'; '.join(parts) or 'none'}"
    ]
    if others := {name: n for name, n in card.get("encodings", {}).items() if name != UTF_8}:
        found = ", ".join(f"{number:,} as {name}" for name, number in others.items())
        lines.append(f"domain {name}: files that are not UTF-8 were read: {found}")
    documents += sum(part["documents"] for reason, part in reasons if reason != _EMPTY)
    for remark, note in card.get("notes", {}).items():
        if remark == EMPTY_TEXT:
            counted = f"{note['number']:,} of {documents:,} documents have an empty text"
            lines.append(f"warning: domain {name}: {counted}, the first at {note['first']}")
            continue
        more = f" and {note['number'] - 1:,} more" if note["number"] > 1 else ""
        lines.append(f"warning: domain {name}: {note['first']}{more}: {remark}")
    if long := card.get("long_documents_cut"):
        lines.append(f"domain {name}: {long:,} documents cut because of max_characters")
    version = card.get("versions", {}).get(STDLIB, REFERENCE_PYTHON)
    if version != REFERENCE_PYTHON:
        lines.append(
            f"warning: domain {name}: {STDLIB} is the source of Python {version}; the results in "
            f"reference/ are of {REFERENCE_PYTHON}, so their losses are of other text"
        )
    size += sum(part["bytes"] for _, part in reasons)
    for reason, part in reasons:
        share = max(_share(part["documents"], documents), _share(part["bytes"], size))
        limit = WARN_ABOVE_COPIES if reason in COPIES else WARN_ABOVE
        if share > limit and reason not in (_EMPTY, *CHOSEN):
            remedy = f"; {REMEDIES[reason]}" if reason in REMEDIES else ""
            lines.append(f"warning: domain {name}: {share:.0%} dropped as {reason}{remedy}")
    return lines


def _amount(documents: int, bytes: int) -> str:
    return f"{documents:,} documents, {bytes / 1e6:,.2f} MB"


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
