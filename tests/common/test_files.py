import errno

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from splitlaw.common.errors import UserError, exit_status, no_room_line
from splitlaw.common.files import atomic_path, write_text

NUMBERS = np.arange(100_000)
"""More than fits on `small_disk`."""


def test_a_path_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/fit.json: cannot be written \(.*\); give a path"):
        write_text(tmp_path / "file/fit.json", "text")
    with pytest.raises(UserError, match=r"is a folder; give the path of a file"):
        write_text(tmp_path, "text")
    assert [path.name for path in tmp_path.rglob("*")] == ["file"]


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(bytes(1 << 20)),
        lambda path: save_file({"weights": NUMBERS}, path),
        lambda path: Tokenizer(WordLevel({str(n): n for n in range(60_000)})).save(str(path)),
        lambda path: pq.write_table(pa.table({"number": NUMBERS}), path),
        lambda path: np.save(path.open("wb"), NUMBERS),
    ],
    ids=["python", "safetensors", "tokenizers", "pyarrow", "numpy"],
)
def test_a_full_disk_is_one_line_with_the_file_whatever_library_writes(write, small_disk, capsys):
    """Libraries report it in errors of their own types, some without the system's number."""
    file = small_disk / "file"

    def action():
        with atomic_path(file) as temporary:
            write(temporary)

    assert exit_status(action) == 2
    assert capsys.readouterr().err == f"error: {no_room_line(file)}\n"
    assert not list(small_disk.iterdir())


def test_an_error_of_another_file_keeps_its_name(tmp_path):
    """A file that is written within the block of another one, and text that quotes the system."""
    full = OSError(errno.ENOSPC, "No space left on device", "/elsewhere/inner")
    quoted = UserError("a.csv, line 2: 'No space left on device' is not a number; write one")
    for error in (full, quoted):
        with pytest.raises(type(error)) as raised, atomic_path(tmp_path / "outer"):
            raise error
        assert raised.value is error
    assert not list(tmp_path.iterdir())
