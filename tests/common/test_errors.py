import errno

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
