import json
import os
import signal
import subprocess
import sys
import time
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from splitlaw.cli import main
from splitlaw.common.errors import UserError
from splitlaw.corpus.documents import read_documents, split_path, write_documents
from splitlaw.tokens import open_documents, open_tokens
from splitlaw.tokens.encoding import load_tokenizer
from splitlaw.tokens.tokenizer import END_OF_TEXT, LONGEST_OTHERS, _without_long_runs, train_bpe

TEXTS = [
    "the quick brown fox jumps over the lazy dog, again and again and again",
    "naïve façade — 深層学習 🧪 \u200b and the end <|endoftext|> of text",
    *(f"number {i} of the documents has {i * i} in it, and then {i**3} too" for i in range(80)),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a corpus of two domains, its tokenizer, and the tokens of one domain."""
    root = tmp_path_factory.mktemp("made")
    for domain in ("general", "law"):
        for split, texts in (("train", TEXTS), ("validation", TEXTS[:9]), ("test", TEXTS[9:30])):
            encoded = [text.encode() for text in texts]
            batch = ([f"{i:032x}" for i in range(len(texts))], ["made"] * len(texts), encoded)
            write_documents(split_path(root / "corpus", domain, split), [batch])
    assert train(root, '{"vocabulary": 400}') == 0
    assert tokenize(root, '{"characters_per_document": 50, "minimum_tokens": 100}') == 0
    return root


def train(root: Path, config: str, name: str = "tokenizer") -> int:
    options = ["--corpus", str(root / "corpus"), "--config", config, "--out", str(root / name)]
    return main(["train_tokenizer", *options])


def tokenize(
    root: Path, config: str, domain: str = "law", name: str = "tokens", *extra: str
) -> int:
    arguments = ["--corpus", str(root / "corpus"), "--tokenizer", str(root / "tokenizer")]
    arguments += [
        "--domain",
        domain,
        "--config",
        config,
        "--out",
        str(root / name / domain),
        *extra,
    ]
    return main(["tokenize", *arguments])


def test_vocabulary_is_exact_and_any_text_is_restored(made: Path) -> None:
    tokenizer, end = load_tokenizer(made / "tokenizer")
    assert tokenizer.get_vocab_size() == 400
    assert tokenizer.id_to_token(end) == END_OF_TEXT
    strange = "\u0000\u0007 ÿ 𝔘𝔫𝔦 \U0010ffff \n\t  " + TEXTS[1]
    ids = tokenizer.encode(strange, add_special_tokens=False).ids
    assert tokenizer.decode(ids, skip_special_tokens=False) == strange
    assert end not in ids


def test_auto_tokenizer_opens_it(made: Path) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(made / "tokenizer")
    assert len(tokenizer) == 400
    assert tokenizer.eos_token_id == tokenizer.bos_token_id == tokenizer.pad_token_id
    assert tokenizer.eos_token == END_OF_TEXT
    assert tokenizer.decode(tokenizer(TEXTS[0])["input_ids"]) == TEXTS[0]


def test_training_again_gives_the_same_bytes(made: Path) -> None:
    train(made, '{"vocabulary": 400}', "again")
    for path in (made / "tokenizer").iterdir():
        assert path.read_bytes() == (made / "again" / path.name).read_bytes()


def test_existing_tokenizer_is_copied_from_a_folder(made: Path) -> None:
    pytest.importorskip("transformers")
    assert (
        train(made, json.dumps({"vocabulary": 400, "path": str(made / "tokenizer")}), "taken") == 0
    )
    taken, end = load_tokenizer(made / "taken")
    assert taken.encode(TEXTS[0]).ids == load_tokenizer(made / "tokenizer")[0].encode(TEXTS[0]).ids
    assert taken.id_to_token(end) == END_OF_TEXT


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ('{"vocabulary": 100}', "vocabulary is 100; give a number above 256"),
        ('{"vocabulary": 100000}', "gives only"),
        ("{}", "tokenizer has no vocabulary"),
        ('{"words": 3}', "unknown key words in tokenizer"),
        ('{"vocabulary": 400, "path": "/nowhere/at/all"}', "tokenizer.path /nowhere/at/all"),
    ],
)
def test_invalid_tokenizer_settings_are_reported(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], config: str, message: str
) -> None:
    arguments = ["--corpus", str(made / "corpus"), "--config", config]
    assert main(["train_tokenizer", *arguments, "--out", str(tmp_path / "t")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "t").exists() or not list((tmp_path / "t").iterdir())


def test_training_tokens_are_the_documents_in_their_order(made: Path) -> None:
    tokens = open_tokens(made / "tokens/law/tokens.json", "train")
    tokenizer, end = load_tokenizer(made / "tokenizer")
    expected = [[end, *tokenizer.encode(text).ids] for text in TEXTS]
    assert tokens.tolist() == list(chain.from_iterable(expected))
    assert tokens.dtype == np.dtype("<u2")
    sidecar = json.loads((made / "tokens/law/tokens.json").read_text())
    assert sidecar["schema_version"] == 1
    assert sidecar["splits"]["train"]["bytes"] == sum(len(text.encode()) for text in TEXTS)
    assert sidecar["splits"]["train"]["tokens_by_source"] == {"made": tokens.size}


def test_held_out_documents_are_cut_and_have_bounds(made: Path) -> None:
    tokens, offsets, size = open_documents(made / "tokens/law/tokens.json", "validation")
    tokenizer, end = load_tokenizer(made / "tokenizer")
    assert offsets.size == 10
    assert (tokens[offsets[:-1]] == end).all()
    for i, text in enumerate(TEXTS[:9]):
        document = tokens[offsets[i] + 1 : offsets[i + 1]].tolist()
        assert tokenizer.decode(document, skip_special_tokens=False) == text[:50]
        assert size[i] == len(text[:50].encode())


def test_tokenizing_again_gives_the_same_bytes(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = '{"characters_per_document": 50, "minimum_tokens": 100}'
    monkeypatch.setattr("splitlaw.tokens.writing._BATCH_CHARACTERS", 100)
    for workers in ("1", "2"):
        assert tokenize(made, config, "law", workers, "--workers", workers) == 0
        for path in (made / "tokens/law").iterdir():
            assert path.read_bytes() == (made / workers / "law" / path.name).read_bytes()


def test_too_short_held_out_split_is_refused(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tokenize(made, '{"minimum_tokens": 100000}', name="short") == 2
    assert "domain law: validation has" in capsys.readouterr().err
    assert not list((made / "short/law").iterdir())


def test_too_little_text_for_the_grid_is_refused(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = '{"minimum_tokens": 100}'
    assert tokenize(made, config, "law", "little", "--needed", "1000000") == 2
    error = capsys.readouterr().err
    assert "domain law: " in error
    assert "the grid's longest run reads 1,000,000" in error
    assert not list((made / "little/law").iterdir())


def test_missing_corpus_is_reported(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tokenize(made, "{}", domain="physics") == 2
    assert "run prepare_corpus with domain physics first" in capsys.readouterr().err


def test_damaged_token_files_are_reported(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "law"
    folder.mkdir()
    for path in (made / "tokens/law").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    with pytest.raises(UserError, match="no split 'all'"):
        open_tokens(folder / "tokens.json", "all")
    with pytest.raises(UserError, match="no table of documents"):
        open_documents(folder / "tokens.json", "train")
    for content in (b"", b"\x93NUMPY"):
        (folder / "validation_documents.npy").write_bytes(content)
        with pytest.raises(UserError, match=r"validation_documents\.npy: cannot be read"):
            open_documents(folder / "tokens.json", "validation")
    (folder / "test.bin").write_bytes(b"xx")
    with pytest.raises(UserError, match=r"test\.bin: has 2 bytes"):
        open_tokens(folder / "tokens.json", "test")
    (folder / "train.bin").unlink()
    with pytest.raises(UserError, match="is missing"):
        open_tokens(folder / "tokens.json", "train")


def test_opening_token_files_imports_no_large_library() -> None:
    heavy = ("torch", "transformers", "datasets", "pyarrow", "tokenizers")
    code = f"import sys, splitlaw.tokens; print([m for m in {heavy} if m in sys.modules])"
    folder = str(Path(__file__).parents[2] / "workflow_scripts")
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": folder},
    )
    assert result.stdout.strip() == "[]"


def test_batches_of_a_corpus_are_in_its_order(made: Path) -> None:
    (batch,) = read_documents(made / "corpus", "law", "train")
    assert batch[1] == TEXTS


def no_spaces(characters: int) -> str:
    random = np.random.default_rng(0)
    return "".join(map(chr, 0x4E00 + random.zipf(1.3, characters) % 2000))


def test_text_without_spaces_is_trained_on_in_linear_time() -> None:
    # https://github.com/huggingface/tokenizers/issues/1395: 200,000 characters took minutes
    began = time.monotonic()
    tokenizer = train_bpe(iter([no_spaces(200_000)]), 1024)
    assert tokenizer.get_vocab_size() == 1024
    assert time.monotonic() - began < 30


MEMORY = """
import resource
import numpy as np
from splitlaw.tokens.tokenizer import train_bpe
from tokens.test_tokens import thai

text = thai(200_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
train_bpe(iter([text]), 1024)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def thai(characters: int) -> str:
    """Consonants, vowels and combining marks without a space."""
    return "".join(map(chr, 0x0E01 + np.random.default_rng(0).integers(0, 0x4E, characters)))


def test_text_without_spaces_is_trained_on_within_bounded_memory() -> None:
    here = Path(__file__).parents[1]
    paths = os.pathsep.join([str(here), str(here.parent / "workflow_scripts")])
    environment = {**os.environ, "PYTHONPATH": paths}
    command = [sys.executable, "-c", MEMORY]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert int(run.stdout) < 2**20, "kilobytes: less than 1 GB"


def test_long_runs_are_cut_and_then_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    letters, dashes = "x" * 150, "-" * 600
    pieces = list(_without_long_runs(iter([f"a word {letters} and {dashes}."])))
    assert "".join(pieces) == f"a word {letters} and {dashes}."
    assert max(map(len, pieces)) <= LONGEST_OTHERS + len(" and ") + 64
    monkeypatch.setattr("splitlaw.tokens.tokenizer.RUN_CHARACTERS", 200)
    assert (
        "".join(_without_long_runs(iter([f"a {letters} b {letters} c"])))
        == f"a {letters} b {letters[:50]} c"
    )


def test_ordinary_text_is_not_changed() -> None:
    texts = [*TEXTS, "=" * 142, "Rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetz"]
    assert list(_without_long_runs(iter(texts))) == texts


def test_tokenizing_leaves_no_working_copies(made: Path) -> None:
    left = made / "tokens/law/.work-killed"
    left.mkdir()
    (left / "train.bin").write_text("x")
    assert tokenize(made, '{"characters_per_document": 50, "minimum_tokens": 100}') == 0
    assert not list((made / "tokens/law").glob(".*"))
    assert not (made / "tokens/law/lock").exists()


def test_sigterm_ends_the_training_of_a_tokenizer_at_once(tmp_path: Path) -> None:
    """Also while the library trains, which takes some seconds here: executorlib issue 1049."""
    random = np.random.default_rng(0)
    words = ["".join(map(chr, 97 + random.integers(0, 26, 9))) for _ in range(60_000)]
    text = " ".join(words).encode()
    documents = ([f"{i:032x}" for i in range(4)], ["made"] * 4, [text] * 4)
    write_documents(split_path(tmp_path / "corpus", "general", "train"), [documents])
    out = tmp_path / "tokenizer"
    out.mkdir()
    (out / ".tokenizer.json.0a1b2c3d.part").write_text("of a run that was killed")
    options = ["--corpus", str(tmp_path / "corpus"), "--config", '{"vocabulary": 60000}']
    script = Path(__file__).parents[2] / "workflow_scripts" / "train_tokenizer.py"
    process = subprocess.Popen([sys.executable, str(script), *options, "--out", str(out)])
    while list(out.iterdir()):  # removed when the work begins
        time.sleep(0.05)
    time.sleep(1)
    assert process.poll() is None
    began = time.monotonic()
    process.terminate()
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    assert time.monotonic() - began < 5
    assert not list(out.iterdir())
