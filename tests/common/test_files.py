import errno
import os
from pathlib import Path

import pytest

from splitlaw.common.errors import UserError
from splitlaw.common.files import write_text


def test_a_path_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/fit.json: cannot be written \(.*\); give a path"):
        write_text(tmp_path / "file/fit.json", "text")
    with pytest.raises(UserError, match=r"is a folder; give the path of a file"):
        write_text(tmp_path, "text")
    assert [path.name for path in tmp_path.rglob("*")] == ["file"]


def test_a_full_disk_remains_an_error_of_the_system(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "touch", full)
    with pytest.raises(OSError, match="No space left"):
        write_text(tmp_path / "fit.json", "text")
