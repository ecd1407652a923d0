"""Places where a text is cut: the ends of paragraphs, lines, sentences and words."""

import re

_BOUNDARIES = [
    re.compile(pattern)
    for pattern in (
        r"\n\s*\n",  # of paragraphs
        r"\n",  # of lines
        r"[.!?][\"')\]]*\s|[。！？]",  # of sentences
        r"\s",  # of words
    )
]


def nearest_boundary(text: str, target: int, *, low: int, high: int) -> int:
    """Return the end of a paragraph in `low` to `high` that is nearest to `target`.

    Without one, it is the nearest end of a line, else of a sentence, of a word, or `target` itself.
    """
    for boundary in _BOUNDARIES:
        ends = [low + match.end() for match in boundary.finditer(text[low:high])]
        if ends:
            return min(ends, key=lambda end: abs(end - target))
    return target


def cut_long_text(text: str, longest: int) -> list[str]:
    """Cut a text into passages of similar length, of at most `longest` characters."""
    passages, begin = [], 0
    while len(text) - begin > longest:
        rest = len(text) - begin
        length = rest // -(-rest // longest)
        shift = length // 4  # so that a passage has at least three quarters of the mean length
        end = nearest_boundary(
            text,
            begin + length,
            low=begin + length - shift,
            high=begin + min(length + shift, longest),
        )
        passages.append(text[begin:end].strip())
        begin = end
    return [passage for passage in (*passages, text[begin:].strip()) if passage]
