import io

import pytest

from splitlaw.common import step_line
from splitlaw.common.step_line import StepLine


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """Seconds that a test sets."""
    now = [0.0]
    monkeypatch.setattr(step_line.time, "monotonic", lambda: now[0])
    return now


def test_a_line_appears_after_two_seconds_and_then_every_few(clock):
    stream = io.StringIO()
    line = StepLine("fit_law", stream)
    for second, done in ((1.0, 1), (3.0, 2), (4.0, 3), (9.0, 4), (20.0, 5)):
        clock[0] = second
        line(done, 5)
    line.close()
    assert stream.getvalue() == "fit_law: 2 of 5 steps, 3 s\nfit_law: 4 of 5 steps, 9 s\n"


def test_a_terminal_has_one_line_that_is_removed(clock):
    stream = Terminal()
    line = StepLine("fit_law", stream)
    for second, done in ((3.0, 1), (4.0, 2)):
        clock[0] = second
        line(done, 3)
    assert stream.getvalue() == "\rfit_law: 1 of 3 steps, 3 s\rfit_law: 2 of 3 steps, 4 s"
    line.close()
    assert stream.getvalue().endswith("\r\x1b[K")
