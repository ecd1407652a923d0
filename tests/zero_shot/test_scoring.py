from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from existing_models import ARCHITECTURES, OTHERS, build
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from transformers import AutoTokenizer

from splitlaw.training.evaluation import cut_windows, evaluate, load_documents
from splitlaw.zero_shot import scoring
from splitlaw.zero_shot.documents import window_requests
from splitlaw.zero_shot.models import open_model
from splitlaw.zero_shot.scoring import log_likelihoods, pack, sums

CONTEXT = 32


@pytest.fixture(scope="module")
def model(experiment):
    return open_model(experiment / "final/tiny/1000/seed0/no_split/general")


def by_hand(model, before, answer):
    """One forward pass for one request, truncated on the left to the context of the model."""
    read = torch.tensor([*before, *answer])[-(CONTEXT + 1) :]
    with torch.no_grad():
        logits = model(input_ids=read[None, :-1]).logits[0]
    return -F.cross_entropy(logits, read[1:], reduction="none")[-len(answer) :].numpy()


def requests(vocabulary=300):
    random = np.random.default_rng(0)

    def tokens(count):
        return random.integers(1, vocabulary, count).tolist()

    shared, long = tokens(9), tokens(90)
    listed = [(shared, tokens(n)) for n in (1, 5, 3, 8, 20)]
    listed += [(long, tokens(n)) for n in (4, 4, 32)]
    listed += [([0], tokens(n)) for n in (32, 30, 30, 31, 1)]
    return [listed[place] for place in random.permutation(len(listed))]


def test_packed_answers_have_the_log_likelihoods_of_single_ones(model):
    packed = pack(requests(), context=CONTEXT)
    found = log_likelihoods(model, packed)
    for number, (before, answer) in enumerate(requests()):
        part = found[packed.bounds[number] : packed.bounds[number + 1]]
        assert part == pytest.approx(by_hand(model, before, answer), abs=1e-5)


PACKED = {*ARCHITECTURES, "codegen", "gptj"}
"""Architectures whose models read packed rows, which is faster."""


@pytest.mark.parametrize("kind", [*ARCHITECTURES, *OTHERS])
def test_every_architecture_has_the_log_likelihoods_of_single_texts(kind):
    model = build(kind)
    packed = pack(requests(32), context=CONTEXT)
    found = log_likelihoods(model, packed)
    assert scoring._packed_models[model][CONTEXT] == (kind in PACKED)
    for number, (before, answer) in enumerate(requests(32)):
        part = found[packed.bounds[number] : packed.bounds[number + 1]]
        assert part == pytest.approx(by_hand(model, before, answer), abs=1e-4)


def test_two_threads_score_with_one_model_while_it_generates(model):
    parts = [pack(part, context=CONTEXT) for part in (requests()[:6], requests()[6:])]
    wanted = [log_likelihoods(model, part) for part in parts]
    text = torch.tensor([[3, 4, 5]])
    logits = model(text).logits
    with ThreadPoolExecutor() as pool:
        scores = [
            (number, pool.submit(log_likelihoods, model, parts[number])) for number in [0, 1] * 20
        ]
        whole = [pool.submit(lambda: model(text).logits) for _ in range(40)]
        for number, score in scores:
            np.testing.assert_array_equal(score.result(), wanted[number])
        assert all(torch.equal(one.result(), logits) for one in whole)


def test_the_batch_size_does_not_change_results(model, monkeypatch):
    whole = log_likelihoods(model, pack(requests(), context=CONTEXT))
    monkeypatch.setattr(scoring, "_BATCH_TOKENS", 40)
    packed = pack(requests(), context=CONTEXT)
    assert len(packed.batches) > 3
    assert log_likelihoods(model, packed) == pytest.approx(whole, abs=1e-5)


def test_a_shared_question_is_read_once():
    question = list(range(1, 30))
    packed = pack([(question, [5]), (question, [6]), (question, [7])], context=CONTEXT)
    assert packed.tokens == len(question)


def test_rows_have_a_limited_length():
    packed = pack([([0], [1] * 20)] * 50, context=CONTEXT)
    assert max(batch.inputs.shape[1] for batch in packed.batches) <= 2 * CONTEXT


def test_losses_agree_with_lm_eval_and_with_a_forward_pass_by_hand(experiment, model):
    folder = experiment / "final/tiny/1000/seed0/no_split/general"
    windows = cut_windows(experiment / "tokens/law/tokens.json", context=CONTEXT, limit=10**6)
    ours = evaluate(model, windows)
    reader = HFLM(pretrained=model, tokenizer=AutoTokenizer.from_pretrained(folder), batch_size=16)
    texts = texts_of(experiment, "law")
    instances = [
        Instance(request_type="loglikelihood_rolling", doc={}, arguments=(text,), idx=0)
        for text in texts
    ]
    theirs = -np.array(reader.loglikelihood_rolling(instances, disable_tqdm=True))
    assert len(texts) == len(ours.nats) == 24
    assert ours.nats / ours.tokens == pytest.approx(theirs / ours.tokens, abs=1e-4)
    pairs = window_requests(windows.inputs, windows.targets)
    hand = [-by_hand(model, *pair).sum() for pair in pairs]
    assert ours.nats == pytest.approx(np.bincount(windows.document, hand), rel=1e-5)
    assert load_documents(folder / "documents.npz")["law"].nats == pytest.approx(ours.nats)


def test_packed_windows_give_the_losses_of_the_evaluation(experiment, model):
    windows = cut_windows(experiment / "tokens/law/tokens.json", context=CONTEXT, limit=10**6)
    packed = pack(window_requests(windows.inputs, windows.targets), context=CONTEXT)
    bounds = np.concatenate(([0], np.cumsum(windows.tokens))).astype(int)
    ours = -sums(log_likelihoods(model, packed), bounds)
    assert ours == pytest.approx(evaluate(model, windows).nats, rel=1e-6)


def texts_of(experiment, domain):
    from splitlaw.corpus.documents import read_documents

    return [t for _, texts in read_documents(experiment / "corpus", domain, "test") for t in texts]
