"""The exported routed model gives the losses of the final models, and routes every prompt."""

import json
import shutil
from itertools import pairwise

import numpy as np
import pytest
import torch
from planted_final import DOMAINS, FINALS, SHAPE, export, llama
from transformers import AutoModelForCausalLM

import splitlaw
from splitlaw.cli import main
from splitlaw.common.errors import UserError
from splitlaw.corpus.documents import read_documents
from splitlaw.delivery.decoding import Sampling, draw_token
from splitlaw.delivery.final_folder import read_final
from splitlaw.delivery.routed import RoutedModel
from splitlaw.delivery.rows import ROWS
from splitlaw.delivery.text import Continuation
from splitlaw.training.evaluation import load_documents

LAW, MEDICINE = "law1 law2 law3 the law4 law9", "medicine3 of medicine4 and medicine5"
BOTH = "law1 law2 medicine3 medicine1 law5 medicine9"
UNKNOWN = "quux blarg zork frobnicate xyzzy plugh"


def test_prompts_are_routed_by_their_text(routed):
    weights = routed.route([LAW, MEDICINE, BOTH, UNKNOWN, "", "?!"])
    assert weights[:2].tolist() == [[1, 0, 0], [0, 1, 0]]
    assert (weights[2, :2] > 0.01).all() and weights[2, 2] == 0
    assert weights[3:].tolist() == [[0, 0, 1]] * 3
    assert weights.sum(1) == pytest.approx(1)


def test_the_confidence_decides_between_a_specialist_and_the_ensemble(routed_folder):
    never = RoutedModel.from_pretrained(routed_folder, confidence=1.0).route([LAW, BOTH])
    always = RoutedModel.from_pretrained(routed_folder, confidence=0.0).route([LAW, BOTH])
    assert (never[:, :2].min(1) > 0).any() and set(always.ravel()) == {0.0, 1.0}


def test_losses_are_those_of_the_final_models(routed, planted):
    for number, domain in enumerate(DOMAINS):
        texts = [t for _, part in read_documents(planted / "corpus", domain, "test") for t in part]
        weights = routed.route(texts)
        stored = np.stack(
            [
                load_documents(planted / FINALS / "optimal" / name / "documents.npz")[domain].nats
                for name in DOMAINS
            ]
        )
        sure = np.flatnonzero(weights[:, :2].max(1) == 1)
        assert len(sure) > 5 and (weights[sure].argmax(1) == number).mean() > 0.9
        found = -np.array(routed.loglikelihood_rolling([texts[place] for place in sure]))
        wanted = stored[weights[sure].argmax(1), sure]
        np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_an_ensemble_mixes_probabilities_token_by_token(routed):
    weights = routed.route([BOTH])[0]
    context, answer = routed.text.encode_pair(BOTH, " law2 the", limit=32)
    expected = np.zeros(len(answer))
    for name, weight in zip(routed.models, weights, strict=True):
        if weight:
            ids = torch.tensor([[*context, *answer]])
            probability = routed.models[name](ids).logits[0].softmax(-1)
            places = torch.arange(len(context) - 1, ids.shape[1] - 1)
            expected += weight * probability[places, torch.tensor(answer)].detach().numpy()
    found = routed.loglikelihood([(BOTH, " law2 the")])
    assert found == pytest.approx([np.log(expected).sum()], rel=1e-5)


def test_the_sampled_tokens_have_the_probabilities_of_the_model(routed):
    """The keys and values of the past and the padding of a batch do not change a continuation."""
    model = routed.models["law"]
    tokens = routed.text.encode(LAW)
    for _ in range(6):
        tokens.append(int(model(torch.tensor([tokens])).logits[0, -1].argmax()))
    wanted = routed.text.decode(tokens[-6:])
    prompts = [LAW, "law1 law2 law3", "law5 law6", "law7 the law8", LAW, "law2 law2", BOTH, BOTH]
    assert routed.generate([LAW], max_tokens=6, temperature=0) == [wanted]
    together = routed.generate(prompts, max_tokens=6, temperature=0)
    alone = [routed.generate([prompt], max_tokens=6, temperature=0)[0] for prompt in prompts]
    assert together == alone and together[0] == wanted


def test_a_seed_gives_a_continuation(routed):
    prompts = [LAW, MEDICINE, BOTH]
    first = routed.generate(prompts, max_tokens=8, seed=5)
    assert routed.generate(prompts, max_tokens=8, seed=5) == first
    assert routed.generate(prompts, max_tokens=8, seed=6) != first
    assert [
        routed.generate([p], max_tokens=8, seed=5 + i)[0] for i, p in enumerate(prompts)
    ] == first
    sampling = Sampling(max_tokens=8, seed=5)
    parts = [one.text for one in routed.stream(LAW, sampling)]
    assert parts[-1] == first[0] and len(parts) <= 8
    assert all(later.startswith(earlier) for earlier, later in pairwise(parts))


def test_a_model_reads_the_prompts_of_all_requests_together(routed):
    """A step of eight prompts of law, two of which are of medicine too, is one of each model."""
    prompts = [LAW, "law1 law2 law3", "law5 law6", "law7 the law8", LAW, "law2 law2", BOTH, BOTH]
    steps = dict.fromkeys(routed.models, 0)

    def count(name):
        def hook(_model, _args, more):
            steps[name] += more["input_ids"].shape[0] == ROWS

        return routed.models[name].register_forward_pre_hook(hook, with_kwargs=True)

    routed.generate([BOTH], max_tokens=2)  # finds out the number of rows
    steps = dict.fromkeys(steps, 0)
    hooks = [count(name) for name in routed.models]
    routed.generate(prompts, max_tokens=9, seed=3)
    for hook in hooks:
        hook.remove()
    # The first token needs no step; one after another, eight prompts would need up to 64.
    assert 4 <= steps["law"] <= 8 and 1 <= steps["medicine"] <= 8 and steps["general"] == 0


def test_tokens_are_drawn_from_the_distribution():
    probability = np.array([0.5, 0.05, 0.3, 0.15])
    generator = np.random.default_rng(0)

    def shares(**settings):
        sampling = Sampling(max_tokens=1, **settings)
        drawn = [draw_token(np.log(probability), sampling, generator) for _ in range(4000)]
        return np.bincount(drawn, minlength=4) / 4000

    # Three standard errors of a share of 4000 draws are at most 0.024.
    assert shares() == pytest.approx(probability, abs=0.024)
    cooled = probability**2 / (probability**2).sum()
    assert shares(temperature=0.5) == pytest.approx(cooled, abs=0.024)
    assert shares(top_p=0.79) == pytest.approx([0.625, 0, 0.375, 0], abs=0.024)


def test_a_continuation_ends_at_a_text_to_stop_at_and_keeps_characters_whole(routed):
    text = routed.text
    tokens = text.encode("ab é cd")[1:]
    continuation = Continuation(text, Sampling(max_tokens=50, stop=("cd",)))
    shown = []
    for token in tokens:
        continuation.add(token)
        shown.append(continuation.text)
    assert continuation.text == "ab é " and continuation.finished == "stop"
    assert not [part for part in shown if "\ufffd" in part or part.endswith("c")]


def test_the_python_interface_is_at_the_top_of_the_package(routed_folder):
    assert splitlaw.RoutedModel is RoutedModel
    assert splitlaw.RoutedModel.from_pretrained(str(routed_folder)).domains == list(DOMAINS)


def test_the_folder_has_safetensors_only_and_cards(routed_folder):
    files = {str(file.relative_to(routed_folder)) for file in routed_folder.rglob("*.*")}
    assert not [name for name in files if name.endswith((".npz", ".bin", ".pt", ".pkl"))]
    card = (routed_folder / "README.md").read_text()
    assert "| law | 500 | 500 |" in card and "| law | 2.5000 |" in card and "nan" not in card
    assert AutoModelForCausalLM.from_pretrained(routed_folder / "law").config.vocab_size == 300


def test_a_folder_of_one_model_answers_everything(routed, planted):
    one = RoutedModel.from_pretrained(planted / FINALS / "optimal/law")
    assert one.domains == [] and one.route([LAW, UNKNOWN]).tolist() == [[1.0], [1.0]]
    assert one.generate([LAW], max_tokens=6) == routed.generate([LAW], max_tokens=6)


def test_an_export_replaces_an_export_and_nothing_else(final, routed_folder, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["export", "--final", str(final.path), "--out", str(out), "--confidence", "0.5"]
    assert main(words) == 0 and main(words) == 0
    assert json.loads((out / "routing.json").read_text())["confidence"] == 0.5
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    (out / "export.json").unlink()
    assert main(words) == 2
    assert capsys.readouterr().err == (
        f"error: {out}: has files that are not of an export; give a new folder\n"
    )


@pytest.fixture
def copied(planted, tmp_path):
    """A copy of the final models' folder that a test may change."""
    return shutil.copytree(planted, tmp_path / "results") / FINALS / "optimal"


def test_specialists_of_different_shapes_are_refused(copied):
    wide = SHAPE.__class__(**{**vars(SHAPE), "intermediate": 32})
    export(copied / "medicine", copied.parents[4], llama(1, wide))
    with pytest.raises(UserError, match=r"intermediate_size is 32, but 24 in .*law; give models"):
        read_final(copied)


def test_specialists_of_different_tokenizers_are_refused(copied):
    file = copied / "medicine/tokenizer.json"
    file.write_text(file.read_text() + " ")
    with pytest.raises(UserError, match=r"medicine/tokenizer.json: differs from that of .*law"):
        read_final(copied)


def test_a_missing_router_is_reported(copied, routed_folder, tmp_path):
    exported = shutil.copytree(routed_folder, tmp_path / "exported")
    (exported / "router.safetensors").unlink()
    with pytest.raises(UserError, match=r"router.safetensors: the router is missing; export"):
        RoutedModel.from_pretrained(exported)
    shutil.rmtree(copied.parents[4] / "corpus/router")
    with pytest.raises(UserError, match="corpus/router: has no router; run prepare_corpus"):
        read_final(copied)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("optimal/law", "is not a folder of final models (it has no losses.csv)"),
        ("joint", "has one model for all domains, which needs no export"),
        ("nowhere", "is not a folder of final models"),
    ],
)
def test_a_folder_that_is_not_of_specialists_is_refused(planted, tmp_path, capsys, place, message):
    words = ["export", "--final", str(planted / FINALS / place), "--out", str(tmp_path / "out")]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and message in error


def test_a_model_without_a_general_one_needs_the_option(copied):
    shutil.rmtree(copied.parent / "no_split")
    with pytest.raises(UserError, match="no_split/general: no such folder; run train_final"):
        read_final(copied)
    assert read_final(copied, general=copied / "law").general == copied / "law"


def test_a_folder_of_nothing_is_no_model(tmp_path):
    with pytest.raises(UserError, match=r"has neither routing.json nor config.json; give a folder"):
        RoutedModel.from_pretrained(tmp_path)


def test_continuations_without_tokens_or_too_long_are_refused(routed):
    for continuation in ("", "law1 " * 40):
        with pytest.raises(UserError, match="give 1 to 32"):
            routed.loglikelihood([(LAW, continuation)])
    with pytest.raises(UserError, match="max_tokens is 32; give 1 to 31"):
        routed.generate([LAW], max_tokens=32)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--temperature", "-1"], "temperature is -1.0; give 0 or a positive number"),
        (["--seed", "-1"], "seed is -1; give 0 or a positive number"),
        (
            ["--max-tokens", "32"],
            "max_tokens is 32; give 1 to 31, because the model reads",
        ),
        (["--device", "gpu"], "device gpu: cannot be used (Expected one of cpu, cuda"),
    ],
)
def test_options_that_cannot_be_used_are_one_line(routed_folder, capsys, words, message):
    assert main(["chat", str(routed_folder), *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}") and error.count("\n") == 1


def test_a_damaged_model_is_one_line(routed_folder, tmp_path):
    damaged = shutil.copytree(routed_folder, tmp_path / "damaged")
    (damaged / "law/model.safetensors").write_bytes(b"no weights")
    with pytest.raises(UserError, match=r"damaged/law: cannot be opened as a language model \("):
        RoutedModel.from_pretrained(damaged)
    config = json.loads((routed_folder / "law/config.json").read_text())
    unknown = json.dumps({**config, "model_type": "unheard"})
    for name in ("law", "medicine", "general"):
        (damaged / name / "config.json").write_text(unknown)
    with pytest.raises(UserError, match=r"damaged/law: cannot be opened as a language model \("):
        RoutedModel.from_pretrained(damaged)
