"""Files in other encodings: detected and read whole, or refused; never read as other letters."""

import io
import os
from pathlib import Path

import pytest

from splitlaw.common.errors import UserError
from splitlaw.corpus.sources.encodings import AUTO, as_utf8, detect_encoding
from splitlaw.corpus.sources.files import read_files
from splitlaw.corpus.sources.input_errors import InputErrors
from splitlaw.experiment.source_settings import Source

ENGLISH = "The quick brown fox jumps over the lazy dog, and sleeps in the sun.\n" * 300
TEXTS = {
    # A changelog of Debian: English, with a name in Latin-1.
    "cp1252": f"{ENGLISH}  * New upstream release. Thanks to Jörg Müller.\n -- José García\n",
    "latin-1": "Le café est fermé à cause de l'été. Les élèves préfèrent l'école où ça va.",
    "cp1250": "Všichni lidé se rodí svobodní a sobě rovní, příliš žluťoučký kůň úpěl.",
    "iso8859-2": "Zażółć gęślą jaźń. Wszyscy ludzie rodzą się wolni i równi.",
    "cp1254": "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar.",
    "mac-roman": "Die Straße war naß, sagte Günther. Über die Brücke fährt täglich ein Zug.",
    "cp850": "El niño comió una manzana y después leyó el periódico. ¿Qué pasó mañana?",
    "cp1251": "Все люди рождаются свободными и равными в своем достоинстве и правах.",
    "koi8-r": "Они наделены разумом и совестью и должны поступать в отношении друг друга.",
    "cp1255": "כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם.",
    "iso8859-8": f"{ENGLISH} The word שלום means peace.",
    "shift_jis": "すべての人間は、生れながらにして自由であり、尊厳と権利とについて平等である。",
    "gb18030": "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系相对待。",
    "big5": "人人生而自由，在尊嚴和權利上一律平等。他們賦有理性和良心，並應以兄弟關係相對待。",
    "euc_kr": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
    "utf-16": "naïve café 深層",
    "utf-16-le": "All human beings are born free and equal in dignity and rights. " * 4,
    "utf-32": "naïve café 深層",
    "utf-8-sig": "naïve café 深層",
    "utf-8": "naïve café 深層",
    "ascii": ENGLISH,
}


def detected(data: bytes) -> str | None:
    return detect_encoding(io.BytesIO(data))


@pytest.mark.parametrize("encoding", TEXTS)
def test_the_letters_of_a_text_are_those_that_were_written(encoding: str) -> None:
    data = TEXTS[encoding].encode(encoding)
    found = detected(data)
    assert found is not None
    text = as_utf8(io.BytesIO(data), found).read().decode("utf-8-sig")
    assert text == TEXTS[encoding]


@pytest.mark.parametrize("order", ["le", "be"])
def test_utf_16_without_a_mark_may_be_longer_than_the_first_part(order: str) -> None:
    text = "Das ist ein schöner längerer Satz mit Umlauten.\n" * 12_000
    assert detected(text.encode(f"utf-16-{order}")) == f"utf-16-{order}"


def test_a_text_without_bytes_is_utf_8() -> None:
    assert detected(b"") == "utf-8"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("שלום עולם", "cp1255"),
        ("בְּרֵאשִׁית בָּרָא אֱלֹהִים אֵת הַשָּׁמַיִם", "cp1255"),
        ("Привет, мир! Все люди рождаются свободными.", "cp1251"),
        ("все люди рождаются свободными и равными", "cp1251"),
        ("шестнадцать щенков шли по шоссе", "cp1251"),
        ("всички хора се раждат свободни и равни по достойнство", "cp1251"),
        ("Il va à Paris, à pied, à midi.", "cp1252"),
        ("ÿ à é è", "cp1252"),
    ],
)
def test_short_hebrew_is_not_taken_for_russian_nor_russian_for_hebrew(text, encoding) -> None:
    found = detected(text.encode(encoding))
    assert (found == "cp1255") == (encoding == "cp1255")


def test_damaged_utf8_and_binary_data_have_no_other_encoding() -> None:
    assert detected("naïve café 深層 ".encode() * 5 + b"\xff") is None
    assert detected(os.urandom(5000)) is None
    assert detected("fermé".encode("latin-1")) == "cp1252"  # its last byte may begin a character


def test_text_is_recoded_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("splitlaw.corpus.sources.encodings._CHUNK_BYTES", 7)
    text = TEXTS["gb18030"] * 40
    stream = as_utf8(io.BytesIO(text.encode("gb18030")), "gb18030")
    assert b"".join(iter(lambda: stream.read(11), b"")).decode() == text


def texts_of(path: Path, encoding: str, on_bad_input: str = "stop") -> list[str]:
    errors = InputErrors(on_bad_input)
    return [text for _, text in read_files(str(path), "text", errors, encoding=encoding)]


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.jsonl", "a.json"])
@pytest.mark.parametrize("encoding", ["cp1252", AUTO])
def test_every_format_of_text_may_be_in_another_encoding(tmp_path, name, encoding) -> None:
    text = "Jörg Müller und José García"
    content = {"a.txt": text, "a.csv": f'id,text\n1,"{text}"\n'}
    content |= {"a.jsonl": f'{{"text": "{text}"}}\n', "a.json": f'[{{"text": "{text}"}}]'}
    (tmp_path / name).write_text(content[name], encoding="cp1252")
    assert texts_of(tmp_path / name, encoding) == [text]


def test_the_refusal_names_the_key_and_a_wrong_encoding_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Zażółć gęślą jaźń", encoding="utf-8")
    (tmp_path / "b.txt").write_text("Müller", encoding="cp1252")
    with pytest.raises(UserError, match=r"b\.txt: invalid UTF-8 .*set encoding: auto for its sour"):
        texts_of(tmp_path / "b.txt", "utf-8")
    with pytest.raises(UserError, match=r"a\.txt: invalid ascii \(byte 2\); fix it"):
        texts_of(tmp_path / "a.txt", "ascii")
    (tmp_path / "c.txt").write_bytes("naïve café ".encode() * 9 + b"\xe9")
    with pytest.raises(UserError, match=r"c\.txt: no encoding fits"):
        texts_of(tmp_path / "c.txt", AUTO)
    assert len(texts_of(tmp_path / "*.txt", AUTO, "skip")) == 2


@pytest.mark.parametrize("name", ["utf-9", "base64", "", "a\0b"])
def test_an_unknown_encoding_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no encoding; give utf-8, auto, or a name"):
        Source(files="x.txt", encoding=name)
