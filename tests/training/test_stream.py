import numpy as np
import pytest

from splitlaw.common.errors import UserError
from splitlaw.training.stream import MixedStream, TokenStream


def stream(tokens, domain="law", **other):
    settings = {"vocabulary": 32, "seed": 0, "context": 8, "batch": 4, **other}
    return TokenStream(tokens / "tokens" / domain / "tokens.json", **settings)


def test_a_batch_is_a_function_of_seed_and_step(tokens):
    forwards = [stream(tokens).read(step) for step in (5, 200, 6)]
    backwards = [stream(tokens).read(step) for step in (6, 200, 5)][::-1]
    assert all(np.array_equal(one, other) for one, other in zip(forwards, backwards, strict=True))
    assert not np.array_equal(stream(tokens).read(5), stream(tokens, seed=1).read(5))


def test_a_run_that_resumes_late_in_one_epoch_reads_all_of_the_next(tokens):
    """litgpt issue 1712: later epochs showed only what was left of the first one at the resume.

    In torchtitan issue 3907, a second resume began again with the first window.
    """
    data, resumed = stream(tokens, batch=1), stream(tokens, batch=1)
    first = [tuple(data.read(step)[0]) for step in range(data.windows)]
    rest = [tuple(resumed.read(step)[0]) for step in range(data.windows - 3, 2 * data.windows)]
    assert rest[:3] == first[-3:]
    assert sorted(rest[3:]) == sorted(first)


def test_a_batch_may_have_many_epochs_of_a_short_text(tokens):
    one = stream(tokens, batch=1)
    windows = one.windows
    many = stream(tokens, batch=1200 * windows)
    rows = many.read(0)
    assert len(rows) == 1200 * windows
    for number in (0, windows, 700 * windows + 3):
        assert np.array_equal(rows[number], one.read(number)[0])


def test_an_epoch_shows_every_window_once(tokens):
    data = stream(tokens, batch=1)
    seen = [tuple(data.read(step)[0]) for step in range(data.windows)]
    whole = np.fromfile(tokens / "tokens/law/train.bin", dtype="<u2")
    windows = [tuple(whole[i * 8 : i * 8 + 9]) for i in range(data.windows)]
    assert sorted(seen) == sorted(windows)
    assert [tuple(data.read(step)[0]) for step in range(data.windows, data.windows + 5)] != seen[:5]


def test_a_token_type_too_small_for_the_vocabulary_is_refused(tokens):
    file = tokens / "tokens/law/tokens.json"
    file.write_text(file.read_text().replace('"vocabulary": 32', '"vocabulary": 70000'))
    with pytest.raises(UserError, match="uint16 can store 65536 different tokens, but the"):
        stream(tokens, vocabulary=70000)


def test_too_little_text_for_one_window_is_refused(tokens):
    with pytest.raises(UserError, match="fewer than one window"):
        stream(tokens, context=6000)


def test_a_limited_stream_repeats_the_beginning_of_the_text(tokens):
    whole = np.fromfile(tokens / "tokens/law/train.bin", dtype="<u2")
    windows = {n: {tuple(whole[i * 8 : i * 8 + 9]) for i in range(n // 8)} for n in (320, 640)}
    for limit, expected in windows.items():
        data, steps = stream(tokens, limit=limit), limit // 32
        assert data.unique_tokens == limit
        for epoch in (0, 1):
            batches = (data.read(epoch * steps + step) for step in range(steps))
            assert {tuple(row) for batch in batches for row in batch} == expected
    assert windows[320] < windows[640]


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (9000, "6000 training tokens, fewer than the 9000 unique tokens of a run; lower"),
        (24, "24 unique tokens of a run are fewer than one batch of 32; raise unique_tokens"),
    ],
)
def test_a_limit_that_the_text_cannot_have_is_refused(tokens, limit, words):
    with pytest.raises(UserError, match=f"tokens.json: {words}"):
        stream(tokens, limit=limit)


WEIGHTS = {"law": 30, "medicine": 12, "general": 5}


def mixed(tokens, weights=WEIGHTS, **other):
    sources = {name: stream(tokens, name, **other) for name in weights}
    return MixedStream(sources, weights, seed=other.get("seed", 0))


def test_a_mixed_batch_is_a_function_of_seed_step_and_weights(tokens):
    forwards = [mixed(tokens).read(step) for step in (5, 40, 6)]
    backwards = [mixed(tokens).read(step) for step in (6, 40, 5)][::-1]
    assert all(np.array_equal(one, other) for one, other in zip(forwards, backwards, strict=True))
    parts = [mixed(tokens).read(40, rows) for rows in (slice(0, 2), slice(2, 4))]
    assert np.array_equal(np.concatenate(parts), forwards[1])
    reordered = mixed(tokens, dict(reversed(WEIGHTS.items())))
    assert np.array_equal(reordered.read(5), forwards[0])
    assert not np.array_equal(mixed(tokens, seed=1).read(5), forwards[0])
    assert not np.array_equal(mixed(tokens, {**WEIGHTS, "law": 31}).read(5), forwards[0])


def test_a_mixture_has_the_windows_that_its_sources_read_alone(tokens):
    data = mixed(tokens)
    steps = sum(WEIGHTS.values())
    assert data.windows_read(steps) == {name: 4 * weight for name, weight in WEIGHTS.items()}
    seen = [tuple(row) for step in range(steps) for row in data.read(step)]
    found = dict.fromkeys(WEIGHTS, 0)
    for name, weight in WEIGHTS.items():
        own = stream(tokens, name)
        rows = [tuple(row) for step in range(weight) for row in own.read(step)]
        assert [row for row in seen if row in set(rows)] == rows, "in the order of the source"
        found[name] = sum(row in set(rows) for row in seen[: 4 * (steps // 2)])
    assert data.windows_read(steps // 2) == found
