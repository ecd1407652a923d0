import unicodedata

from splitlaw.corpus.cleaning import clean_batch, document_key, normalise
from splitlaw.corpus.deduplication.decontamination import BenchmarkNgrams, benchmark_ngrams
from splitlaw.experiment.corpus_settings import Cleaning

NONE = BenchmarkNgrams()


def test_text_is_normalised() -> None:
    assert normalise("  a\r\nb\rc\t\x07d\x7f \n") == "a\nb\nc\td"
    assert normalise("\ufeffcafe\u0301\x85\ud800") == "café"
    assert unicodedata.is_normalized("NFC", normalise("A\u030a\u1e9b\u0323"))


def test_short_and_long_documents_are_dropped_and_counted() -> None:
    cleaning = Cleaning(min_characters=3, max_characters=5, benchmarks=())
    batch = clean_batch(["", " \n", "ab", "abc", "abcdef", "dürüm"], cleaning, 0, NONE)
    assert batch.texts == [b"abc", "dürüm".encode()]
    assert batch.dropped == {"blank": (2, 2), "too_short": (1, 2), "too_long": (1, 6)}
    assert batch.signatures.shape == (2, 128)


def test_result_does_not_depend_on_the_batch(writer) -> None:
    cleaning, texts = Cleaning(), writer.documents(20)
    together = clean_batch(texts, cleaning, 3, NONE)
    alone = clean_batch([texts[7]], cleaning, 3, NONE)
    assert (together.keys[7] == alone.keys[0]).all()
    assert (together.signatures[7] == alone.signatures[0]).all()


def test_key_depends_on_text_and_seed() -> None:
    assert document_key(b"text", 0) == document_key(b"text", 0)
    assert len({document_key(b"text", 0), document_key(b"text", 1), document_key(b"next", 0)}) == 3


def test_benchmark_items_are_found() -> None:
    question = "Which of these nine planets has the longest day of all the known planets"
    short = "What colour is the sky on a clear day"
    items = benchmark_ngrams([question, short, "Too short to tell"], 13)
    assert set(items.by_width) == {9, 13}
    texts = [
        f"Homework. {question.upper()}? Venus.",
        f"He asked: {short}?",
        "Which of these nine planets is known? Too short to tell.",
        question[:60],
        "its last words: has the longest day of",
    ]
    batch = clean_batch(texts, Cleaning(min_characters=1), 0, items)
    assert batch.benchmark.tolist() == [True, True, False, False, False]
    halves = clean_batch([question[:40], question[40:]], Cleaning(min_characters=1), 0, items)
    assert not halves.benchmark.any()
