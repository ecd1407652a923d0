"""Tokenizers as users save them: llm-foundry issue 443 and similar."""

import json
from pathlib import Path

import pytest
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from splitlaw.common.errors import UserError
from splitlaw.experiment.settings import TokenizerConfig
from splitlaw.tokens.encoding import Encoder
from splitlaw.tokens.existing import check_tokenizer, copy_tokenizer, tokenizer_digest

TEXTS = ["some words of a text, and of another one"] * 20
FAST = {"tokenizer_class": "PreTrainedTokenizerFast"}
TEXT = "Hello wörld 🧪 <eos> x"


def byte_level(*special: str) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=280,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    return tokenizer


def save(folder: Path, tokenizer: Tokenizer, config: dict | None = None) -> Path:
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    if config is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps({**FAST, **config}))
    return folder


def copy(path: Path, out: Path, vocabulary: int = 400) -> Encoder:
    copy_tokenizer(TokenizerConfig(vocabulary=vocabulary, path=str(path)), out)
    return Encoder(out)


def restores(encoder: Encoder) -> bool:
    ids, _ = encoder.encode([TEXT])
    assert ids[0] == encoder.end_of_text
    return encoder._tokenizer.decode(ids[1:].tolist(), skip_special_tokens=False) == TEXT


def test_a_folder_and_a_file_of_the_library_tokenizers_are_enough(tmp_path):
    """The library `tokenizers` saves one file, which does not say which token ends a text."""
    folder = save(tmp_path / "own", byte_level("<eos>"))
    for number, path in enumerate((folder, folder / "tokenizer.json")):
        assert restores(copy(path, tmp_path / f"out{number}"))


def test_vocab_and_merges_as_of_gpt2_are_converted(tmp_path):
    folder = tmp_path / "own"
    folder.mkdir()
    byte_level("<eos>").model.save(str(folder))
    config = {"tokenizer_class": "GPT2Tokenizer", "eos_token": "<eos>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    assert restores(copy(folder, tmp_path / "out"))


def test_ids_with_gaps_count_up_to_the_largest(tmp_path):
    content = json.loads(byte_level("<eos>").to_str())
    last = max(content["model"]["vocab"], key=content["model"]["vocab"].get)
    content["model"]["vocab"][last] = 350
    tokenizer = Tokenizer.from_str(json.dumps(content))
    folder = save(tmp_path / "own", tokenizer, {"eos_token": "<eos>"})
    assert copy(folder, tmp_path / "out").vocabulary == 351
    with pytest.raises(UserError, match=r"has 351 tokens, .* to at least 351$"):
        copy(folder, tmp_path / "small", vocabulary=300)


@pytest.mark.parametrize(("last", "bits"), [(65535, 16), (65536, 32), (70000, 32)])
def test_token_files_have_enough_bits_for_every_id(tmp_path, last, bits):
    """Dolma issues 142 and 152, LLM-Shearing issue 65, transformers issue 2825: ids overflowed.

    In open-instruct pull request 1862, the type was chosen without the added tokens.
    """
    content = json.loads(byte_level("<eos>").to_str())
    token = max(content["model"]["vocab"], key=content["model"]["vocab"].get)
    content["model"]["vocab"][token] = last
    folder = save(tmp_path / "own", Tokenizer.from_str(json.dumps(content)), {"eos_token": "<eos>"})
    assert copy(folder, tmp_path / "out", vocabulary=last + 1).dtype.itemsize == bits // 8


def test_a_token_that_the_tokenizer_puts_before_every_text_is_left_out(tmp_path):
    """lm-eval issue 368: OPT's tokenizer begins every text with a token of its own."""
    tokenizer = byte_level("<eos>", "<s>")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A <eos>", special_tokens=[("<s>", 1), ("<eos>", 0)]
    )
    encoder = copy(save(tmp_path / "own", tokenizer, {"eos_token": "<eos>"}), tmp_path / "out")
    ids, _ = encoder.encode(["words of a text"])
    assert ids[0] == 0 and not set(ids[1:].tolist()) & {0, 1}
    assert restores(encoder)


def test_a_file_of_a_newer_library_is_one_line(tmp_path):
    """OLMo issue 741: the library raises a bare exception."""
    content = json.loads(byte_level("<eos>").to_str())
    content["model"]["type"] = "OfTheFuture"
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"cannot be opened \(data did not match any variant"):
        copy(folder, tmp_path / "out")


def test_lower_case_is_kept_and_a_warning_says_so(tmp_path, capsys):
    tokenizer = byte_level("<eos>")
    tokenizer.normalizer = normalizers.Lowercase()
    copy(save(tmp_path / "own", tokenizer), tmp_path / "out")
    assert "changes the case, spaces or Unicode form" in capsys.readouterr().err


def word_level() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    special = ["[UNK]", "<eos>"]
    tokenizer.train_from_iterator(TEXTS, trainers.WordLevelTrainer(special_tokens=special))
    return tokenizer


def characters() -> Tokenizer:
    """It leaves out the characters that it does not know, without an unknown token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.train_from_iterator(TEXTS, trainers.BpeTrainer(special_tokens=["<eos>"]))
    return tokenizer


@pytest.mark.parametrize("make", [word_level, characters])
def test_a_tokenizer_that_loses_characters_is_refused(tmp_path, make):
    folder = save(tmp_path / "own", make(), {"eos_token": "<eos>"})
    with pytest.raises(UserError, match="cannot encode every character"):
        copy(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_tokenizer_without_an_end_of_text_is_refused(tmp_path):
    with pytest.raises(UserError, match="has no eos_token"):
        copy(save(tmp_path / "own", byte_level(), {}), tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("notes.txt", "", r"has none of tokenizer\.json, "),
        ("tokenizer.json", '{"model": {"type": "Nope"}}', "cannot be read as a tokenizer"),
        ("tokenizer.json", '{"version": "1.0", "mo', "cannot be read as a tokenizer"),
        ("tokenizer_config.json", '{"a', r"has none of tokenizer\.json, "),
    ],
)
def test_damaged_files_are_reported_before_the_corpus_is_prepared(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=message):
        check_tokenizer(TokenizerConfig(vocabulary=400, path=str(tmp_path)))


@pytest.mark.parametrize("config", ['{"a', '{"auto_map": {"AutoTokenizer": ["my.Own", null]}}'])
def test_a_tokenizer_that_cannot_be_opened_is_one_line(tmp_path, config):
    """The second one has code of its own, about which the library would ask on the terminal."""
    folder = save(tmp_path / "own", byte_level("<eos>"))
    (folder / "tokenizer_config.json").write_text(config)
    with pytest.raises(UserError, match="cannot be opened"):
        copy(folder, tmp_path / "out")


def test_a_missing_folder_is_not_looked_for_on_the_hub():
    with pytest.raises(UserError, match="no such folder"):
        check_tokenizer(TokenizerConfig(vocabulary=400, path="./tokenizers/own"))


def test_a_changed_tokenizer_changes_the_digest(tmp_path):
    folder = save(tmp_path / "own", byte_level("<eos>"))
    config = TokenizerConfig(vocabulary=400, path=str(folder))
    before = tokenizer_digest(config)
    byte_level("</s>").save(str(folder / "tokenizer.json"))
    assert tokenizer_digest(config) not in ("", before)
    assert tokenizer_digest(TokenizerConfig(vocabulary=400)) == ""
