import numpy as np
import pytest

from splitlaw.corpus.deduplication import shingles
from splitlaw.corpus.deduplication.shingles import jaccard, shingle_hashes, shingle_set, word_hashes


def words(text: str) -> list[int]:
    return word_hashes([text.encode()])[0].tolist()


def test_equal_words_have_equal_hashes_at_any_position() -> None:
    hashes = words("The cat saw the CAT; a snake_case, naïve naïve")
    assert hashes[0] == hashes[3]
    assert hashes[1] == hashes[4]
    assert hashes[7] == hashes[8]
    assert len(set(hashes)) == 6


def test_words_of_the_same_letters_have_different_hashes() -> None:
    assert len(set(words("abc acb bac bca cab cba ab a b " + "x" * 300 + " " + "x" * 556))) == 11


def test_scripts_without_spaces_have_one_word_per_character() -> None:
    assert len(words("深層学習 deep")) == 5


def test_shingles_do_not_cross_texts() -> None:
    texts = ["one two three four", "", "five", "six seven", "eight nine ten"]
    together, offsets = shingle_hashes([text.encode() for text in texts], 3)
    apart = [shingle_hashes([text.encode()], 3)[0] for text in texts]
    assert np.diff(offsets).tolist() == [2, 0, 1, 1, 1]
    assert together.tolist() == np.concatenate(apart).tolist()


def test_pieces_do_not_change_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    text = " ".join(str(number**3) for number in range(500)) + " " + "y" * 200
    whole = words(text)
    monkeypatch.setattr(shingles, "_PIECE_BYTES", 64)
    assert words(text) == whole


def test_jaccard_equals_that_of_explicit_sets(writer) -> None:
    left = writer.document(300)
    right = writer.altered(left, 0.1)

    def by_hand(text: str) -> set[tuple[str, ...]]:
        listed = text.split()
        return set(zip(listed, listed[1:], listed[2:], strict=False))

    a, b = by_hand(left), by_hand(right)
    measured = jaccard(shingle_set(left.encode(), 3), shingle_set(right.encode(), 3))
    assert measured == pytest.approx(len(a & b) / len(a | b))
    assert jaccard(shingle_set(b"", 3), shingle_set(b"", 3)) == 0
