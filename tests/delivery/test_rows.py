"""A model continues several texts at once, each with the bits that it would have alone."""

import gc
import weakref

import numpy as np
import pytest
import torch
from existing_models import ARCHITECTURES, CONTEXT, SIZE, build, write_base
from transformers import AutoConfig, AutoModelForCausalLM

from splitlaw.common.errors import UserError
from splitlaw.delivery import rows
from splitlaw.delivery.rows import ROWS, ModelRows, count_rows
from splitlaw.zero_shot.models import open_model

LENGTH = 32
MIXTRAL = {**SIZE, **CONTEXT, "num_local_experts": 3, "num_key_value_heads": 1}
KINDS = {**ARCHITECTURES, "mixtral": MIXTRAL}


@pytest.fixture(params=KINDS)
def model(request, tmp_path):
    if request.param in ARCHITECTURES:
        return open_model(write_base(tmp_path / "base", request.param))
    torch.manual_seed(0)
    config = AutoConfig.for_model(request.param, vocab_size=32, **KINDS[request.param])
    return AutoModelForCausalLM.from_config(config).eval()


def texts(count):
    """Texts of 1 to 19 tokens."""
    random = np.random.default_rng(0)
    lengths = random.integers(1, 20, size=count)
    return [random.integers(32, size=length).tolist() for length in lengths]


def continued(model, text, steps, counts=None):
    """Logits of a text alone after its prompt and after each of `steps` tokens, and the tokens."""
    alone = ModelRows(model, LENGTH, {} if counts is None else counts)
    number, logits = alone.begin(text)
    found, tokens = [logits], []
    for _ in range(steps):
        tokens.append(int(found[-1].argmax()))
        found.append(alone.step({number: tokens[-1]})[number])
    return found, tokens


def test_a_text_has_the_same_bits_among_others_that_join_and_leave(model, monkeypatch):
    monkeypatch.setattr(rows, "_SHORTEST", 8)  # texts move to longer rows at 8 and 16 tokens
    asked = texts(12)
    counts = {}
    wanted = [continued(model, text, min(8, LENGTH - len(text)), counts) for text in asked]
    together = ModelRows(model, LENGTH, counts)
    waiting, running, done = list(range(len(asked))), {}, dict.fromkeys(range(len(asked)), 0)
    while waiting or running:
        for place in [waiting.pop(0) for _ in range(min(3, len(waiting)))]:
            number, logits = together.begin(asked[place])
            assert torch.equal(logits, wanted[place][0][0])
            running[number] = place
        found = together.step({n: wanted[p][1][done[p]] for n, p in running.items()})
        for number, place in list(running.items()):
            done[place] += 1
            assert torch.equal(found[number], wanted[place][0][done[place]])
            if done[place] == len(wanted[place][1]):
                together.end(number)
                del running[number]


def test_the_memory_of_a_block_without_texts_is_given_back(tmp_path):
    model = open_model(write_base(tmp_path / "base", "llama"))
    together = ModelRows(model, LENGTH)
    gc.collect()
    gc.disable()  # nothing must wait for the collector
    try:
        numbers = [together.begin([1, 2, 3])[0] for _ in range(3 * ROWS)]
        blocks = [weakref.ref(place.block) for place in together._places.values()]
        together.step(dict.fromkeys(numbers, 4))
        for number in numbers:
            together.end(number)
        assert len({id(ref()) for ref in blocks if ref() is not None}) == 1
    finally:
        gc.enable()


def test_the_logits_are_those_of_the_whole_text(model, monkeypatch):
    monkeypatch.setattr(rows, "_SHORTEST", 8)
    text = texts(1)[0]
    found, tokens = continued(model, text, 12)
    whole = model(torch.tensor([text + tokens])).logits[0, len(text) - 1 :]
    torch.testing.assert_close(torch.stack(found), whole, atol=1e-5, rtol=1e-5)


def test_rows_that_depend_on_others_are_not_shared(model):
    assert count_rows(model, LENGTH) == (1 if model.config.model_type == "mixtral" else ROWS)


@pytest.mark.parametrize(
    ("kind", "length"),
    [("gemma2", 12), ("gptj", LENGTH), ("codegen", LENGTH), ("mpt", LENGTH), ("mistral", 12)],
)
def test_added_masks_and_texts_within_a_window_are_continued(kind, length):
    assert count_rows(build(kind), length) == ROWS


@pytest.mark.parametrize("kind", ["bloom", "mamba", "mistral", "gemma2", "gpt_neo"])
def test_others_and_texts_beyond_a_window_are_refused(kind):
    with pytest.raises(UserError, match=f"models of the architecture {kind} cannot be continued"):
        count_rows(build(kind), LENGTH)


def test_an_architecture_without_such_masks_is_refused(tmp_path, monkeypatch):
    model = open_model(write_base(tmp_path / "base", "llama"))
    inner = model.forward
    monkeypatch.setattr(
        model, "forward", lambda *args, attention_mask=None, **more: inner(*args, **more)
    )
    with pytest.raises(UserError, match="models of the architecture llama cannot be continued"):
        count_rows(model, LENGTH)
