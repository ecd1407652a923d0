"""Tokenised files: their documents are decoded to text."""

import json
import shutil
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from token_writers import END, TEXTS, flat, read, write_megatron
from tokenizers import Tokenizer

from splitlaw.cli import main
from splitlaw.common.errors import UserError
from splitlaw.corpus.documents import read_documents
from splitlaw.corpus.shards import Shard
from splitlaw.corpus.sources import token_arrays
from splitlaw.corpus.sources.availability import check_sources_exist, files_digest
from splitlaw.corpus.sources.input_errors import InputErrors
from splitlaw.corpus.sources.reading import read_source
from splitlaw.experiment.corpus_settings import CorpusConfig
from splitlaw.experiment.source_settings import Source
from splitlaw.tokens import open_tokens

MEGATRON = Path(__file__).parent / "megatron"
"""Files that `IndexedDatasetBuilder` of megatron-core 0.16.1 wrote of `TEXTS`, encoded by the
tokenizer beside them: each text is a document of one sequence, or of two in `sequences`."""


LAYOUTS: dict[str, Callable[[Path, list[list[int]]], object]] = {
    "megatron.bin": lambda path, ids: write_megatron(path, [[*i, END] for i in ids]),
    "short.bin": lambda path, ids: write_megatron(path, ids, 3),
    "long.bin": lambda path, ids: write_megatron(path, ids, 4),
    "longest.bin": lambda path, ids: write_megatron(path, ids, 5),
    "empty.bin": lambda path, ids: write_megatron(path, [[], *ids[:2], [END], [], *ids[2:], []]),
    "big.npy": lambda path, ids: np.save(path, flat(ids, ">u2")),
    "longest.npy": lambda path, ids: np.save(path, flat(ids, "<u8")),
    "saved.npy": lambda path, ids: np.save(path, flat(ids, "<i4")),
    "flat.npy": lambda path, ids: flat(ids).tofile(path),
    "before.BIN": lambda path, ids: flat(ids, before=True).tofile(path),
    "wide.bin": lambda path, ids: flat(ids, "<u4").tofile(path),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_documents_of_every_layout_are_read(tmp_path, bpe, ids, name, monkeypatch, capsys):
    monkeypatch.setattr(token_arrays, "_BLOCK", 100)  # so that documents continue in another block
    LAYOUTS[name](tmp_path / name, ids)
    kind = {"token_type": "uint32"} if name == "wide.bin" else {}
    assert read(tmp_path / f"*{Path(name).suffix.lower()}", bpe, **kind) == TEXTS
    assert read(tmp_path / name, bpe, max_documents=3, **kind) == TEXTS[:3]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["documents", "sequences"])
def test_files_written_by_megatron_are_read(name):
    assert read(MEGATRON / f"{name}.bin", MEGATRON) == TEXTS


def test_another_end_of_text_is_configured(tmp_path, bpe, ids):
    flat(ids).tofile(tmp_path / "a.bin")
    comma = Tokenizer.from_file(str(bpe / "tokenizer.json")).token_to_id(",")
    parts = read(tmp_path / "a.bin", bpe, end_of_text=comma)
    assert "".join(parts).count("<|endoftext|>") == len(TEXTS) + 1, "TEXTS has one of its own"
    assert not any("," in part for part in parts)


def test_text_that_is_encoded_otherwise_is_reported(tmp_path, bpe, ids, capsys):
    tokenizer = Tokenizer.from_file(str(bpe / "tokenizer.json"))
    letters = [[tokenizer.token_to_id(letter) for letter in word] for word in ("the", "brown")]
    flat([*letters, *ids]).tofile(tmp_path / "a.bin")
    assert read(tmp_path / "a.bin", bpe) == ["the", "brown", *TEXTS]
    wanted = f"2 of the first {len(TEXTS) + 2} documents have other ids when their text is encoded"
    assert wanted in capsys.readouterr().err


def test_ids_of_a_vocabulary_with_gaps_are_read(tmp_path, bpe, ids):
    """Our own case: the number of tokens is below the largest id."""
    content = json.loads((bpe / "tokenizer.json").read_text())
    content["model"]["vocab"]["<|x|>"] = 500
    content["added_tokens"].append({**content["added_tokens"][0], "id": 500, "content": "<|x|>"})
    (tmp_path / "gaps").mkdir()
    (tmp_path / "gaps/tokenizer.json").write_text(json.dumps(content))
    shutil.copy(bpe / "tokenizer_config.json", tmp_path / "gaps")
    flat([[*ids[0], 500], ids[1]]).tofile(tmp_path / "a.bin")
    assert read(tmp_path / "a.bin", tmp_path / "gaps") == [f"{TEXTS[0]}<|x|>", TEXTS[1]]
    flat([ids[0], [450]]).tofile(tmp_path / "a.bin")
    with pytest.raises(UserError, match=r"document 2: id outside the vocabulary \(450, and .* 401"):
        read(tmp_path / "a.bin", tmp_path / "gaps")


def test_files_in_folders_are_read_in_shards(tmp_path, bpe, ids):
    for number in range(3):
        (tmp_path / f"part{number}/deep").mkdir(parents=True)
        write_megatron(tmp_path / f"part{number}/deep/a.bin", ids[number::3])
    for pattern in ("**/*.bin", "**/*", "**", "part*/deep/*"):
        assert sorted(read(tmp_path / pattern, bpe)) == sorted(TEXTS)
    source = Source(token_files=str(tmp_path / "**/*"), tokenizer=str(bpe))
    for count in (3, 5):  # with five, all files are read and documents divided
        shards = [Shard(number=number, count=count) for number in range(count)]
        parts = [list(read_source(source, InputErrors("stop"), shard)) for shard in shards]
        assert sorted(chain.from_iterable(parts)) == sorted(TEXTS) and all(parts)
    for pattern in ("", "part0/deep/*.idx", "*.npy"):
        with pytest.raises(UserError, match="matches no token file; match files such as"):
            read(tmp_path / pattern, bpe)


def test_keys_of_token_files_are_refused_for_other_sources():
    with pytest.raises(ValueError, match="end_of_text describes token_files"):
        Source(files="*.txt", end_of_text=0)


def test_the_corpus_is_made_again_when_a_file_or_its_index_changes(tmp_path, bpe, ids):
    sources = [{"token_files": str(tmp_path / "*.bin"), "tokenizer": str(bpe)}]
    config = CorpusConfig.model_validate(
        {"general": {"sources": sources}, "domains": {"discover": 2}}
    )
    digests = []
    for documents in (ids[:5], ids):
        write_megatron(tmp_path / "a.bin", documents)
        digests.append(files_digest(config))
    index = tmp_path / "a.idx"
    index.write_bytes(index.read_bytes()[:-9])
    assert len({*digests, files_digest(config)}) == 3
    check_sources_exist(config)
    only_index = config.model_dump_json().replace("*.bin", "*.idx")
    with pytest.raises(UserError, match=r"sources: .*\*\.idx matches no file; fix the pattern"):
        check_sources_exist(CorpusConfig.model_validate_json(only_index))
    without = config.model_dump_json().replace(str(bpe), "/nowhere")
    with pytest.raises(UserError, match=r"corpus\.general\.sources: /nowhere does not exist"):
        check_sources_exist(CorpusConfig.model_validate_json(without))


def test_tokenised_text_becomes_tokens_again(tmp_path, bpe, writer):
    """The corpus of tokenised files has their documents, and the ids that they had."""
    tokenizer = Tokenizer.from_file(str(bpe / "tokenizer.json"))
    documents, sources = {}, {}
    for name in ("general", "law"):
        texts = [writer.document(60) for _ in range(150)]
        ids = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
        file = write_megatron(tmp_path / f"{name}.bin", ids)
        documents[name] = dict(zip(map(tuple, ids), texts, strict=True))
        sources[name] = {"sources": [{"token_files": str(file), "tokenizer": str(bpe)}]}
    cleaning = {"benchmarks": [], "near_duplicates": None}
    config = {"general": sources["general"], "domains": {"law": sources["law"]}}
    corpus, tokens = tmp_path / "corpus", tmp_path / "tokens"
    words = ["--config", json.dumps({**config, "cleaning": cleaning}), "--out", str(corpus)]
    assert main(["prepare_corpus", *words]) == 0
    card = json.loads((corpus / "law/card.json").read_text())
    assert card["steps_skipped"] == ["near_duplicates", "benchmarks"]
    words = ["--corpus", str(corpus), "--tokenizer", str(bpe), "--out", str(tokens)]
    words += ["--config", '{"minimum_tokens": 1}', "--domain", "law"]
    assert main(["tokenize", *words]) == 0
    order = [text for _, texts in read_documents(corpus, "law", "train") for text in texts]
    trained = open_tokens(tokens / "tokens.json", "train")
    parts = np.split(trained, np.flatnonzero(trained == END)[1:])
    assert [documents["law"][tuple(part[1:].tolist())] for part in parts] == order
