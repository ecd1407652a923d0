import unicodedata

import pytest

from splitlaw.corpus.cleaning import clean_batch, document_key, normalise
from splitlaw.corpus.deduplication.decontamination import BenchmarkNgrams, benchmark_ngrams
from splitlaw.experiment.corpus_settings import Cleaning

NONE = BenchmarkNgrams()


def test_text_is_normalised() -> None:
    assert normalise("  a\r\nb\rc\t\x07d\x7f \n") == "a\nb\nc\td"
    assert normalise("\ufeffcafe\u0301\x85\ud800") == "café"
    assert unicodedata.is_normalized("NFC", normalise("A\u030a\u1e9b\u0323"))


def test_short_documents_are_dropped_and_counted() -> None:
    cleaning = Cleaning(min_characters=3, benchmarks=())
    batch = clean_batch(["", " \n", "ab", "abc", "dürüm"], cleaning, 0, NONE)
    assert batch.texts == [b"abc", "dürüm".encode()]
    assert batch.dropped == {"blank": (2, 2), "too_short": (1, 2)}
    assert batch.signatures.shape == (2, 128)


@pytest.mark.parametrize("separator", ["\n\n", "\n", ". ", " ", ""])
def test_long_documents_are_cut_into_passages(writer, separator: str) -> None:
    # https://github.com/huggingface/transformers/issues/452
    text = separator.join(writer.document(30) for _ in range(60))
    cleaning = Cleaning(max_characters=1000, benchmarks=())
    batch = clean_batch(["short but long enough to be kept, this is", text], cleaning, 0, NONE)
    passages = [passage.decode() for passage in batch.texts[1:]]
    assert "".join("".join(passages).split()) == "".join(text.split())
    assert all(300 < len(passage) <= 1000 for passage in passages)
    assert batch.long == 1
    assert batch.dropped == {}
    if "\n" in separator:
        assert {p.rpartition(separator)[2] for p in passages} <= set(text.split(separator))


def test_passages_share_the_split_and_slice_of_their_document(writer) -> None:
    cleaning = Cleaning(max_characters=1000, benchmarks=())
    keys = clean_batch([writer.document(2000)], cleaning, 0, NONE).keys
    assert len(keys) > 5
    shared = [len(set(column)) == 1 for column in keys.T.tolist()]
    assert shared == [False, True, True, False]  # the order and the mixture are their own


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
