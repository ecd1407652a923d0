"""Encodings of text files: detection, and conversion to UTF-8 while a file is read."""

import codecs
import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO

from splitlaw.common.decompression import stream_of

UTF_8 = "utf-8"
AUTO = "auto"
"""Value of `encoding` with which the encoding of every file is detected."""
_BOMS = (
    (codecs.BOM_UTF8, UTF_8),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CHUNK_BYTES = 1 << 18
_SAMPLE_BYTES = 1 << 18
"""Bytes that an encoding is detected from: enough for a page of names, and a second of work."""
_LATIN = ("cp1252", "cp1250", "iso8859-2", "cp1254", "cp1257", "mac-roman", "cp850", "cp437")
"""Encodings of Latin letters, the most frequent first. They differ in a few letters only, which
`charset-normalizer` does not distinguish in short or mostly English text."""
_ALPHABETS = (
    "äöüß", "àâæçéèêëîïôœùûüÿ", "áéíñóúü", "áàâãçéêíóôõúü", "àèéìòù", "åäöæøéü", "áðéíóúýþæö",
    "éëïóöüèê", "ąćęłńóśźż", "áčďéěíňóřšťúůýžäĺľŕô", "áéíóöőúüű", "ăâîșțşţ", "čćđšž", "çğıöşüâîi̇",
    "ąčęėįšųūž", "āčēģīķļņšūž", "äõöüšž",
)  # fmt: skip
"""Letters beyond ASCII of German, French, Spanish, Portuguese, Italian, the Nordic languages,
Icelandic, Dutch, Polish, Czech and Slovak, Hungarian, Romanian, Croatian, Turkish, Lithuanian,
Latvian and Estonian."""
_DAMAGED = re.compile("[\udc80-\udcff]")
"""Bytes that are not UTF-8, as Python represents them."""
_QUOTES = frozenset("“”„‘’‚«»‹›–—…·©®™¿¡\u00a0\u00ad")
"""Signs beside a letter; other signs are beside none."""
_MOSTLY_ASCII = 0.75
"""Share of ASCII from which a text is in a language of Latin letters."""
_CERTAIN = 0.8
"""Share of letters and signs of one language that decides for an encoding of Latin letters."""

_ZEROS = 0.01
"""Share of zeros in the other bytes of UTF-16, those of letters such as U+0100."""

_HEBREW = "cp1255"
_HEBREW_RUN = re.compile(
    rb"(?:[\xe0-\xfa][\xc0-\xd3]*|[\x82\x84\x85\x91-\x97\xa0\xa4\xab\xb7\xbb\xce\xd4-\xd8])+"
)
"""Letters of Hebrew with vowel points, and signs, in cp1255."""
_IN_A_WORD = re.compile(rb"[A-Za-z][\xe0-\xfa]|[\xe0-\xfa][A-Za-z]")
"""A letter beside one of ASCII: of a Latin word, where it is not Hebrew."""
_HEBREW_SHARES = (
    63, 47, 13, 26, 109, 104, 13, 25, 12, 111, 8, 27, 74, 31,
    46, 11, 29, 15, 32, 2, 17, 1, 12, 21, 56, 44, 51,
)  # fmt: skip
_RUSSIAN_SHARES = (
    80, 16, 45, 17, 30, 85, 9, 16, 74, 12, 35, 44, 32, 67,
    110, 28, 47, 55, 63, 26, 3, 10, 5, 14, 7, 4, 1,
)  # fmt: skip
"""Frequencies per thousand of the letters of the bytes E0 to FA, from alef to tav in cp1255, and
from a to the hard sign in cp1251."""
_LIKELIER = 1.6
"""Logarithm of the ratio of likelihoods that decides, 5 to 1: a word of four letters suffices."""


def detect_encoding(stream: BinaryIO) -> str | None:
    """Return the name of the encoding of a text; None if no encoding fits.

    UTF-8 is recognised with certainty, and a few damaged bytes in UTF-8 are not taken for another
    encoding.
    """
    head = stream.read(_CHUNK_BYTES)
    for mark, name in _BOMS:
        if head.startswith(mark):
            return name
    if not head:
        return UTF_8
    decoder = codecs.getincrementaldecoder(UTF_8)("surrogateescape")
    valid = invalid = nul = size = 0
    sample = first = head
    while head:
        nul, size = nul + head.count(0), size + len(head)
        text = decoder.decode(head)
        damaged = len(_DAMAGED.findall(text))
        invalid += damaged
        valid += len(text) - len(text.encode("ascii", "ignore")) - damaged
        if size > _CHUNK_BYTES and damaged and len(sample) < 2 * _SAMPLE_BYTES:
            lines = head.splitlines(keepends=True)
            sample += b"".join(line for line in lines if not line.isascii())
        head = stream.read(_CHUNK_BYTES)
    invalid += len(decoder.getstate()[0])  # the beginning of a character that is not complete
    if not invalid and nul < size / 4:
        return UTF_8
    # Later parts of the sample are lines, of which the first byte of UTF-16 may be missing.
    if found := _utf_16_without_mark(first):
        return found
    return None if valid >= invalid > 0 else _detect(sample)


def _utf_16_without_mark(sample: bytes) -> str | None:
    """The encoding of a text of mostly ASCII in UTF-16, which has a zero in every second byte."""
    first, second = sample[::2].count(0), sample[1::2].count(0)
    if max(first, second) < len(sample) / 4 or min(first, second) > _ZEROS * len(sample):
        return None
    name = "utf-16-le" if second > first else "utf-16-be"
    try:
        codecs.getincrementaldecoder(name)().decode(sample)
    except UnicodeDecodeError:
        return None
    return name


def _detect(sample: bytes) -> str | None:
    from charset_normalizer import from_bytes

    beyond = sample.translate(None, bytes(range(128)))
    if _is_hebrew(sample):
        return _HEBREW
    name = max(_LATIN, key=lambda encoding: _score(sample, encoding))
    mostly_ascii = len(beyond) <= (1 - _MOSTLY_ASCII) * len(sample) and b"\0" not in sample
    if mostly_ascii and _score(sample, name) >= _CERTAIN:
        return name
    best = from_bytes(sample).best()
    if best is None:
        return None
    found = codecs.lookup(best.encoding).name
    latin = [letter for letter in str(best) if "\x7f" < letter < "\u0250" and letter.isalpha()]
    return name if latin and _score(sample, name) > _score(sample, found) else found


def _is_hebrew(sample: bytes) -> bool:
    """Whether the bytes beyond ASCII are Hebrew words, and by their frequencies not Russian ones.

    `charset-normalizer` takes short Hebrew texts for Russian, whose small letters have these bytes.
    """
    runs = re.findall(rb"[\x80-\xff]+", sample)
    if _IN_A_WORD.search(sample) or not all(_HEBREW_RUN.fullmatch(run) for run in runs):
        return False
    counts = Counter(b"".join(runs))
    pairs = zip(range(0xE0, 0xFB), _HEBREW_SHARES, _RUSSIAN_SHARES, strict=True)
    ratio = sum(counts[byte] * math.log(ours / theirs) for byte, ours, theirs in pairs)
    return ratio > _LIKELIER


def _score(sample: bytes, encoding: str) -> float:
    """Share of the characters beyond ASCII that occur in one language; 0 for invalid bytes."""
    try:
        text = sample.decode(encoding)
    except UnicodeDecodeError:
        return 0.0
    letters: Counter[str] = Counter()
    signs = total = 0
    for before, letter, after in zip(f" {text}", text, f"{text[1:]} ", strict=False):
        if letter <= "\x7f":
            continue
        total += 1
        if letter.isalpha():
            # A capital within a word is the sign of a wrong encoding.
            letters[letter.lower()] += not (letter.isupper() and before.islower())
        else:
            beside = (before + after).isalpha() if letter in _QUOTES else before.isalpha()
            signs += not beside or letter == "’"
    covered = (sum(letters[letter] for letter in alphabet) for alphabet in _ALPHABETS)
    return (signs + max(covered)) / max(total, 1)


def as_utf8(stream: BinaryIO, encoding: str) -> BinaryIO:
    """Return `stream`, which is in `encoding`, as a stream in UTF-8.

    Reading raises `UnicodeError` where the text is not in that encoding.
    """
    if codecs.lookup(encoding).name == UTF_8:
        return stream
    return stream_of(_encoded(stream, encoding))


def _encoded(stream: BinaryIO, encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    ended = False
    while not ended:
        data = stream.read(_CHUNK_BYTES)
        ended = not data
        if text := decoder.decode(data, final=ended):
            yield text.encode(UTF_8)
