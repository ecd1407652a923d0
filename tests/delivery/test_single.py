"""An average and a mixture of experts are ordinary models, made on validation text."""

import json
from itertools import pairwise

import numpy as np
import pytest
import torch
from planted_final import FINALS
from transformers import AutoModelForCausalLM, MixtralForCausalLM

from splitlaw.cli import main
from splitlaw.common.errors import UserError
from splitlaw.delivery.averaging import LINE, average, fit_average, lines, mean_loss
from splitlaw.delivery.expert_training import train_experts
from splitlaw.delivery.experts import active_params, build_experts, experts_config
from splitlaw.delivery.gates import fit_gates, gate_accuracy
from splitlaw.delivery.routed import RoutedModel
from splitlaw.delivery.single import Parts, export_average, export_experts, make_mixture, measure
from splitlaw.training.evaluation import load_documents


@pytest.fixture(scope="module")
def parts(final):
    return Parts.read(final)


@pytest.fixture(scope="module")
def folders(parts, tmp_path_factory):
    out = tmp_path_factory.mktemp("single")
    export_average(parts, out / "average")
    export_experts(parts, out / "moe")
    return out


def test_an_average_has_the_mean_of_all_parameters(parts):
    made = dict(average(parts.in_order, [0.25, 0.75]).named_parameters())
    law, medicine = (dict(model.named_parameters()) for model in parts.in_order)
    for name, parameter in made.items():
        torch.testing.assert_close(parameter, 0.25 * law[name] + 0.75 * medicine[name])
    unchanged = average(parts.in_order, [0.0, 1.0])
    assert measure(parts.final, unchanged)["law"].loss == pytest.approx(
        load_documents(parts.final.specialists[1] / "documents.npz")["law"].loss, rel=1e-5
    )


def test_fitted_weights_lower_the_validation_loss(parts):
    # A specialist with noise in its weights is the worse one, and takes a smaller weight.
    law = parts.specialists["law"]
    noisy = average([law], [1.0])
    generator = torch.Generator().manual_seed(0)
    for parameter in noisy.parameters():
        parameter.data += torch.randn(parameter.shape, generator=generator)
    weights = fit_average([law, noisy], parts.validation)
    windows = parts.validation.windows
    fitted = mean_loss(average([law, noisy], weights), windows)
    assert sum(weights) == pytest.approx(1) and weights[0] > 0.7
    assert fitted < mean_loss(average([law, noisy], [0.5, 0.5]), windows)


def test_lines_begin_and_end_at_the_specialists(parts):
    windows = parts.validation.windows
    rows = lines(parts.specialists, windows)
    assert [row["position"] for row in rows] == list(LINE)
    own = measure_on(parts, windows)
    assert (rows[0]["loss_first"], rows[0]["loss_second"]) == own["law"]
    assert (rows[-1]["loss_first"], rows[-1]["loss_second"]) == own["medicine"]
    assert all(a["loss_first"] != b["loss_first"] for a, b in pairwise(rows))


def measure_on(parts, windows):
    from splitlaw.training.evaluation import evaluate

    return {
        name: tuple(evaluate(model, part).loss for part in windows.values())
        for name, model in parts.specialists.items()
    }


@pytest.mark.parametrize("active", [1, 2])
def test_equal_experts_compute_what_the_shared_model_computes(parts, active):
    shared = parts.general
    gates = [torch.randn(2, 16) for _ in range(2)]
    model = build_experts(shared, parts.in_order, gates, active=active, share=0.0)
    ids = torch.randint(0, 300, (3, 20))
    torch.testing.assert_close(model(ids).logits, shared(ids).logits, atol=1e-4, rtol=1e-4)


def test_one_active_expert_is_the_feed_forward_layer_of_its_specialist(parts):
    law, medicine = parts.in_order
    gates = [torch.zeros(2, 16) for _ in range(2)]
    model = build_experts(law, [medicine, law], gates, active=1, share=1.0)
    # All gates are equal, so that the first expert answers everywhere: that of medicine.
    wanted = average([law], [1.0])
    for own, other in zip(wanted.model.layers, medicine.model.layers, strict=True):
        own.mlp.load_state_dict(other.mlp.state_dict())
    ids = torch.randint(0, 300, (2, 20))
    torch.testing.assert_close(model(ids).logits, wanted(ids).logits, atol=1e-4, rtol=1e-4)
    assert active_params(model) == sum(p.numel() for p in law.parameters()) + 2 * 2 * 16


def test_gates_are_distilled_from_the_router(parts):
    to_fit, to_test = parts.validation.part(0), parts.validation.part(1)
    gates = fit_gates(parts.general, to_fit)
    # Most words occur in one domain; chance is 50%.
    assert gate_accuracy(gates, parts.general, to_test) > 0.75
    assert sum(len(part.tokens) for part in to_test.windows.values()) == 12


def test_the_mixture_is_no_worse_than_either_average(parts):
    mixture = make_mixture(parts)
    windows = parts.validation.part(1).windows
    for weights in ([0.5, 0.5], fit_average(parts.in_order, parts.validation)):
        bound = mean_loss(average(parts.in_order, weights), windows)
        assert mixture.validation_loss <= bound + 1e-6
    assert mean_loss(mixture.model, windows) == pytest.approx(mixture.validation_loss)


@pytest.mark.parametrize("kind", ["average", "moe"])
def test_exports_open_as_ordinary_models_and_have_cards(folders, parts, kind):
    folder = folders / kind
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    assert isinstance(model, MixtralForCausalLM) == (kind == "moe")
    about = json.loads((folder / "export.json").read_text())
    found = {name: one.loss for name, one in measure(parts.final, model).items()}
    assert found == pytest.approx(about["losses"], rel=1e-5)
    card = (folder / "README.md").read_text()
    assert "| law | 500 | 500 |" in card and f"{found['law']:.4f} ±" in card
    assert not list(folder.glob("*.bin")) and (folder / "model.safetensors").is_file()
    one = RoutedModel.from_pretrained(folder)
    assert len(one.generate(["law1 law2"], max_tokens=6, temperature=0)) == 1
    assert one.loglikelihood([("law1", " law2")])[0] < 0


def test_the_mixture_runs_in_lm_eval(folders):
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    harness = HFLM(pretrained=str(folders / "moe"), device="cpu")
    pairs = [("law1 law2", " law3"), ("medicine1", " medicine2 of")]
    asked = [
        Instance(request_type="loglikelihood", doc={}, arguments=pair, idx=number)
        for number, pair in enumerate(pairs)
    ]
    found = [value for value, _ in harness.loglikelihood(asked, disable_tqdm=True)]
    assert np.isfinite(found).all() and max(found) < 0


def test_training_lowers_the_loss_of_the_mixture(parts):
    model = make_mixture(parts).model
    before = mean_loss(model, parts.validation.windows)
    assert train_experts(model, parts.final, 128 * 40) > 0
    assert mean_loss(model, parts.validation.windows) < before - 0.1


def test_options_of_another_kind_and_wrong_values_are_refused(planted, parts, tmp_path, capsys):
    words = ["export", "--final", str(planted / FINALS / "optimal"), "--out", str(tmp_path / "o")]
    assert main([*words, "--as", "average", "--tokens", "5"]) == 2
    assert "--tokens is for --as moe; leave it out with --as average" in capsys.readouterr().err
    assert main([*words, "--as", "moe", "--tokens", "-5"]) == 2
    assert "--tokens -5: give 0 or more" in capsys.readouterr().err
    with pytest.raises(UserError, match="--active 3: there are 2 experts; give 1 to 2"):
        make_mixture(parts, active=3)
    parts.general.config.attention_bias = True
    with pytest.raises(UserError, match="not of llama with attention_bias; export as routed"):
        experts_config(parts.general.config, experts=2, active=1)
    parts.general.config.attention_bias = False
