import numpy as np
import pytest

from splitlaw.common.errors import UserError
from splitlaw.training.stream import TokenStream


def stream(tokens, **other):
    settings = {"vocabulary": 32, "seed": 0, "context": 8, "batch": 4, **other}
    return TokenStream(tokens / "tokens/law/tokens.json", **settings)


def test_a_batch_is_a_function_of_seed_and_step(tokens):
    forwards = [stream(tokens).read(step) for step in (5, 200, 6)]
    backwards = [stream(tokens).read(step) for step in (6, 200, 5)][::-1]
    assert all(np.array_equal(one, other) for one, other in zip(forwards, backwards, strict=True))
    assert not np.array_equal(stream(tokens).read(5), stream(tokens, seed=1).read(5))


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
