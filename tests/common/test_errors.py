import errno
import os
import subprocess
import sys

import pytest

from splitlaw.common.errors import UserError, exit_status, no_room


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


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (OSError(errno.EDQUOT, "quota"), errno.EDQUOT),
        (Exception("No space left on device (os error 28)"), errno.ENOSPC),
        (OSError("4096 requested and 12 written"), errno.ENOSPC),
        (OSError(errno.EACCES, "No space left on device"), None),
        (ValueError("not JSON (No space left on device)"), None),
        (UserError("a.csv, line 2: 'No space left on device (os error 28)"), None),
        (UserError("a.csv, line 2: No space left on device (os error 28)"), None),
        (Exception("Permission denied (os error 13)"), None),
    ],
)
def test_a_full_disk_is_recognised_by_its_number_not_by_quoted_words(error, number):
    assert no_room(error) == number


def test_our_own_mistakes_keep_their_traceback():
    with pytest.raises(ZeroDivisionError):
        exit_status(failing(ZeroDivisionError()))


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_name_that_the_terminal_cannot_show_ends_no_command(root, encoding):
    """nanoGPT pull request 429 and fastbook issue 328: 'charmap' codec can't encode characters."""
    script = (
        "import sys; from splitlaw.common.errors import exit_status\n"
        "sys.exit(exit_status(lambda: print('domain \\u6cd5\\u5f8b')))"
    )
    package = {"PYTHONPATH": str(root / "workflow_scripts"), "PYTHONIOENCODING": encoding}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **package},
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("domain \\u6cd5\\u5f8b\n", "")


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
