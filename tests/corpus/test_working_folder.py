"""Working copies of a preparation that is stopped or killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from splitlaw.cli import main
from splitlaw.corpus.working_folder import working_folder


def test_folder_is_removed_at_the_end_and_after_an_error(tmp_path: Path) -> None:
    with working_folder(tmp_path) as folder:
        assert folder.parent == tmp_path
    with pytest.raises(ValueError, match="damaged"), working_folder(tmp_path):
        raise ValueError("damaged")
    assert not list(tmp_path.iterdir())


def test_sigterm_leaves_no_working_copies(tmp_path: Path) -> None:
    # https://github.com/pyiron/executorlib/issues/1049
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as raised, working_folder(tmp_path) as folder:
        (folder / "texts.bin").write_text("x")
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    assert raised.value.code == 128 + signal.SIGTERM
    assert not list(tmp_path.iterdir())
    assert signal.getsignal(signal.SIGTERM) is before


def test_next_start_removes_the_copies_of_a_killed_run(tmp_path: Path) -> None:
    # https://github.com/pyiron/executorlib/issues/1049
    code = (
        "import os, pathlib, signal, sys\n"
        "from splitlaw.corpus.working_folder import working_folder\n"
        "with working_folder(pathlib.Path(sys.argv[1])) as folder:\n"
        "    (folder / 'texts.bin').write_text('x')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    scripts = Path(__file__).parents[2] / "workflow_scripts"
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(scripts)},
        check=False,
    )
    (tmp_path / "law").mkdir()
    (tmp_path / "law" / ".train.parquet.0a1b2c3d.part").write_text("x")
    (tmp_path / "law" / "train.parquet").write_text("x")
    assert list(tmp_path.glob(".work-*"))
    with working_folder(tmp_path) as own:
        assert list(tmp_path.glob(".work-*")) == [own]
        with working_folder(tmp_path) as other:  # a run in progress keeps its copies
            assert own.is_dir()
            assert other.is_dir()
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == [
        "law",
        "law/train.parquet",
    ]


def test_a_disk_that_is_filled_by_the_preparation_is_one_line_with_the_output(
    tmp_path: Path, small_disk: Path, writer, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("general", "law"):
        texts = writer.documents(200, 300)
        (tmp_path / f"{name}.jsonl").write_text("\n".join(json.dumps({"text": t}) for t in texts))
    sources = {
        name: {"sources": [{"files": str(tmp_path / f"{name}.jsonl")}]}
        for name in ("general", "law")
    }
    config = {"general": sources["general"], "domains": {"law": sources["law"]}}
    options = ["--config", json.dumps({**config, "cleaning": {"benchmarks": []}})]
    assert main(["prepare_corpus", *options, "--out", str(small_disk / "corpus")]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"error: {small_disk / 'corpus'}: No space left on device; ")
    assert not list(small_disk.glob("corpus/.work-*"))


@pytest.mark.parametrize("command", ["prepare_corpus", "train_tokenizer", "tokenize"])
@pytest.mark.parametrize("name", ["taken", "taken/below"])
def test_output_folder_that_is_a_file_is_refused_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, name: str
) -> None:
    (tmp_path / "taken").write_text("x")
    with pytest.raises(SystemExit) as raised:
        main([command, "--config", "{}", "--out", str(tmp_path / name)])
    assert raised.value.code == 2
    assert f"{tmp_path / 'taken'} is a file; give" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["fit_law", "choose_split", "evaluate", "cost", "pretrain"])
def test_output_file_that_is_a_folder_is_refused_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    with pytest.raises(SystemExit) as raised:
        main([command, "--out", str(tmp_path)])
    assert raised.value.code == 2
    assert f"{tmp_path} is a folder; give a file" in capsys.readouterr().err
