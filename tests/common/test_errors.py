import errno
import os
import subprocess
import sys

import pytest

from splitlaw.common.errors import UserError, exit_status


def failing(error):
    def action():
        raise error

    return action


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (UserError("a.csv: no rows;\nadd some"), 2, "error: a.csv: no rows; add some"),
        (OSError(errno.ENOSPC, "full", "a.bin"), 2, "free some space"),
        (KeyboardInterrupt(), 130, "stopped: the same command resumes"),
    ],
)
def test_what_ends_a_command_is_one_line(error, status, line, capsys):
    assert exit_status(failing(error)) == status
    shown = capsys.readouterr().err
    assert line in shown
    assert shown.count("\n") == 1


def test_our_own_mistakes_keep_their_traceback():
    with pytest.raises(ZeroDivisionError):
        exit_status(failing(ZeroDivisionError()))


def test_a_reader_that_ends_early_gives_no_traceback(root):
    script = (
        "import sys; from splitlaw.common.errors import exit_status\n"
        "sys.exit(exit_status(lambda: [print('x' * 1000) for _ in range(1000)]))"
    )
    line = f'"{sys.executable}" -c "$0" | head -n 1 > /dev/null; echo ${{PIPESTATUS[0]}}'
    shell = ["bash", "-c", line]
    environment = {**os.environ, "PYTHONPATH": str(root / "workflow_scripts")}
    done = subprocess.run([*shell, script], env=environment, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("141\n", "")
