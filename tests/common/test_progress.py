"""Progress of an activity: a bar on a terminal, elsewhere a line a minute, and the status file."""

import fcntl
import io
import os
import pty
import struct
import termios
import threading

import pytest

from splitlaw.common import progress as module
from splitlaw.common.progress import Progress, scaled


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_a_log_gets_a_line_a_minute(clock):
    stream = io.StringIO()
    progress = Progress("w16 law", stream=stream)
    progress.expect(2_000_000)
    for _ in range(200):
        clock[0] += 1
        progress.add(10_000, 3.25)
    progress.finish(9_000)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 4  # three minutes and the end
    assert lines[0] == "w16 law: 610k of 2.00M tokens, 10,000 tokens/s, loss 3.250, 02:19 left"
    assert lines[-1] == "w16 law: done, 2.00M tokens, 9,000 tokens/s"
    assert "\r" not in stream.getvalue()


def test_a_log_gets_the_duration_of_an_activity_without_throughput(clock):
    stream = io.StringIO()
    with Progress("reading", unit="B", stream=stream) as progress:
        progress.add(5_000_000_000)
        clock[0] += 12
    with Progress("writing", total=600, unit="documents", stream=stream) as progress:
        progress.add(600)
    assert stream.getvalue().splitlines() == [
        "reading: done, 5.00GB, in 00:12",
        "writing: done, 600 documents, in 00:00",
    ]


def test_an_activity_that_fails_reports_no_end():
    stream = io.StringIO()
    with pytest.raises(ValueError), Progress("reading", unit="B", stream=stream):
        raise ValueError
    assert stream.getvalue() == ""


def test_a_training_without_steps_found_its_models():
    stream = io.StringIO()
    progress = Progress("w16 law", stream=stream)
    progress.expect(0)
    progress.finish()
    assert stream.getvalue() == "w16 law: done, all models were trained before\n"


def test_the_first_step_does_not_count_in_the_throughput(clock):
    progress = Progress("w16 law", quiet=True)
    progress.expect(1000)
    assert progress.throughput is None
    clock[0] += 60  # a model is compiled
    progress.add(100)
    assert progress.throughput is None
    assert progress.seconds_left is None
    clock[0] += 1
    progress.add(100)
    assert progress.throughput == 100
    assert progress.seconds_left == 8


def read(leader):
    shown = []
    reader = threading.Thread(target=lambda: shown.append(os.read(leader, 10_000).decode()))
    reader.start()
    return reader, shown


def test_a_terminal_gets_a_bar():
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    with os.fdopen(follower, "w") as terminal:
        reader, begun = read(leader)
        progress = Progress("w16 law", stream=terminal)
        progress.expect(4_000_000)
        reader.join(10)
        reader, half = read(leader)
        progress.add(1_000_000, 3.25)
        progress.bar.refresh()
        reader.join(10)
        progress.close()
    os.close(leader)
    assert "w16 law" in begun[0]
    assert "1.00M/4.00M" in half[0]
    assert "loss=3.250" in half[0]


def test_numbers_have_three_digits():
    assert [scaled(number) for number in (0, 600, 1200, 5e9)] == ["0", "600", "1.20k", "5.00G"]
