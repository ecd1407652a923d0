import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from splitlaw.common.errors import UserError
from splitlaw.common.statistics import paired_bootstrap, ratio_stderr, resample
from splitlaw.experiment.shape import Shape
from splitlaw.training.evaluation import (
    DocumentLosses,
    cut_windows,
    evaluate,
)
from splitlaw.training.model import build_model

SHAPE = Shape(vocabulary=32, width=8, layers=1, heads=2, intermediate=12, context=16)


def test_every_token_is_predicted_exactly_once(tokens):
    windows = cut_windows(tokens / "tokens/law/tokens.json", context=16, limit=10**6)
    counted = np.bincount(windows.document, (windows.targets >= 0).sum(1))
    assert counted.tolist() == windows.tokens.tolist() == [8, 39, 16, 69, 1]


def test_sums_agree_with_a_forward_pass_by_hand(tokens):
    model = build_model(SHAPE, seed=0).requires_grad_(False)
    windows = cut_windows(tokens / "tokens/law/tokens.json", context=16, limit=10**6)
    losses = evaluate(model, windows, batch=3)
    whole = torch.from_numpy(np.fromfile(tokens / "tokens/law/test.bin", "<u2").astype(np.int64))
    first = whole[:9]
    by_hand = F.cross_entropy(
        model(input_ids=first[None, :-1]).logits[0], first[1:], reduction="sum"
    )
    assert losses.nats[0] == pytest.approx(by_hand.item(), rel=1e-5)
    second = whole[9 : 9 + 40]
    logits = [model(input_ids=second[None, begin : begin + 16]).logits[0] for begin in (0, 16, 23)]
    nats = [
        F.cross_entropy(logits[0], second[1:17], reduction="sum"),
        F.cross_entropy(logits[1], second[17:33], reduction="sum"),
        F.cross_entropy(logits[2][9:], second[33:40], reduction="sum"),
    ]
    assert losses.nats[1] == pytest.approx(sum(map(float, nats)), rel=1e-5)


def test_the_limit_keeps_whole_documents(tokens):
    windows = cut_windows(tokens / "tokens/law/tokens.json", context=16, limit=40)
    assert windows.tokens.tolist() == [8, 39]


def test_the_standard_error_is_that_of_resampling_documents():
    generator = np.random.default_rng(0)
    tokens = generator.integers(20, 200, size=400).astype(float)
    nats = tokens * generator.normal(3.0, 0.3, size=400)
    draws = generator.integers(0, 400, size=(4000, 400))
    resampled = nats[draws].sum(1) / tokens[draws].sum(1)
    assert ratio_stderr(nats, tokens) == pytest.approx(resampled.std(), rel=0.05)


def test_a_paired_bootstrap_is_sharper_than_two_losses_and_agrees_with_the_paired_error():
    generator = np.random.default_rng(0)
    tokens = generator.integers(20, 80, size=100).astype(float)
    hard = tokens * generator.normal(3, 0.8, size=100)
    one = DocumentLosses(nats=hard, tokens=tokens, bytes=tokens)
    difference = tokens * generator.normal(0.1, 0.02, 100)
    draws = paired_bootstrap(difference, tokens, resample(100, generator=generator))
    error = ratio_stderr(difference, tokens)
    assert draws.mean() == pytest.approx(difference.sum() / tokens.sum(), abs=0.2 * error)
    assert draws.std() == pytest.approx(error, rel=0.1)
    assert error < one.stderr / 20


def test_one_document_has_no_interval():
    times = resample(1, generator=np.random.default_rng(0))
    draws = paired_bootstrap(np.ones(1), np.ones(1), times)
    assert np.isnan(draws).all()


def test_an_empty_test_split_is_named_with_the_remedy(tokens):
    folder = tokens / "tokens/law"
    (folder / "test.bin").write_bytes(b"")
    np.save(folder / "test_documents.npy", np.zeros((0, 2), dtype=np.int64))
    content = json.loads((folder / "tokens.json").read_text())
    content["splits"]["test"] |= {"tokens": 0, "documents": 0}
    (folder / "tokens.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"split 'test' has no tokens; add documents"):
        cut_windows(folder / "tokens.json", context=16, limit=10**6)
