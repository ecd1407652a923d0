import io

import pytest

from splitlaw.corpus import progress as module
from splitlaw.corpus.progress import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_off_a_terminal_there_is_a_line_at_the_ends_and_each_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = io.StringIO()
    with progress("reading", stream=stream) as told:
        for _ in range(1000):
            told.update(5_000_000)
    lines = stream.getvalue().splitlines()
    assert [line.split(",")[0] for line in lines] == ["reading: 0.00B", "reading: 5.00GB"]
    now = [0.0]
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])
    stream = io.StringIO()
    with progress("writing", total=600, unit="documents", stream=stream) as told:
        told._time = lambda: now[0]
        for _ in range(600):
            now[0] += 1
            told.update()
    lines = stream.getvalue().splitlines()
    assert 8 <= len(lines) <= 13  # ten minutes
    assert lines[-1].startswith("writing: 600 of 600 documents")
    assert "\r" not in stream.getvalue()


def test_on_a_terminal_there_is_a_bar() -> None:
    stream = Terminal()
    with progress("reading", total=10, stream=stream) as told:
        told.update(10)
    assert "100%" in stream.getvalue()
    assert stream.getvalue().count("\n") == 1
    assert module.MINUTE == 60
