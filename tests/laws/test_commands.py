import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from laws.planted import cells, law, table
from splitlaw.cli import main

SCRIPTS = Path(__file__).parents[2] / "workflow_scripts"


@pytest.fixture(scope="module")
def losses(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "losses.csv"
    table(law("effective_tokens"), noise=2e-3).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def fitted(losses):
    out = losses.with_name("fit.json")
    arguments = ["--losses", str(losses), "--out", str(out), "--law", "effective_tokens"]
    assert main(["fit_law", *arguments, "--bootstrap", "30", "--seed", "1"]) == 0
    return out


def test_a_fit_a_plan_and_predictions(fitted, tmp_path):
    assert json.loads(fitted.read_text())["schema_version"] == 1
    out = tmp_path / "plan.json"
    arguments = ["--law", str(fitted), "--out", str(out), "--params", "3e7", "--domains", "b,a"]
    arguments += [
        "--flops-per-token",
        "1.8e8",
        "--weights",
        "a=2",
        "--unique-tokens",
        "general=1e9",
    ]
    assert main(["choose_split", *arguments, "--flops", "5e17"]) == 0
    assert list(json.loads(out.read_text())["specialize_tokens"]) == ["b", "a"]
    points = tmp_path / "points.csv"
    cells(("a", "b")).to_csv(points, index=False)
    where = ["--points", str(points), "--out", str(tmp_path / "predictions.csv")]
    assert main(["predict_loss", "--law", str(fitted), *where]) == 0
    predicted = pd.read_csv(tmp_path / "predictions.csv")
    assert list(predicted.columns[-5:]) == [
        "loss",
        "loss_low",
        "loss_high",
        "mean_low",
        "mean_high",
    ]
    assert predicted.notna().all().all()


def test_points_outside_the_range_are_named_with_their_factor(fitted, tmp_path, capsys):
    points = tmp_path / "points.csv"
    cells(("a",), sizes=(1e7, 2.8e9), pretrain=(0.0, 1e9), specialize=(1e8,)).to_csv(points)
    out = ["--points", str(points), "--out", str(tmp_path / "out.csv")]
    assert main(["predict_loss", "--law", str(fitted), *out]) == 0
    error = capsys.readouterr().err
    assert (
        "2 of 4 points have params outside the table's 1e+07 to 8e+07, by up to 35 times" in error
    )
    assert "2 of 4 points have pretrain_tokens outside the table's 2.5e+08 to 4e+09;" in error
    predicted = pd.read_csv(tmp_path / "out.csv")
    width = (predicted["mean_high"] - predicted["mean_low"]) / predicted["loss"]
    inside = (predicted["params"] < 1e9) & (predicted["pretrain_tokens"] > 0)
    assert (width > 0).all() and width[~inside].min() > 1.5 * width[inside].max()


def test_points_with_more_passes_or_replay_than_the_table_are_named(fitted, tmp_path, capsys):
    points = cells(("a",), sizes=(2e7,), pretrain=(1e9,), specialize=(1e8, 5e8))
    often = points.assign(unique_specialize_tokens=[1, 5e8], replay=["0.5", ""], train_domain="b")
    often.to_csv(tmp_path / "points.csv", index=False)
    out = ["--points", str(tmp_path / "points.csv"), "--out", str(tmp_path / "out.csv")]
    assert main(["predict_loss", "--law", str(fitted), *out]) == 0
    error = capsys.readouterr().err
    assert "1 of 2 points has more passes over the text than the table, which has at most" in error
    assert "1 of 2 points has more replay than the table, which has at most 0: up to 0.5" in error
    assert "2 of 2 points have another train_domain" in error and "RuntimeWarning" not in error
    assert np.isfinite(pd.read_csv(tmp_path / "out.csv")["loss"]).all()


def test_points_where_the_law_is_infinite_are_counted(fitted, tmp_path, capsys):
    points = tmp_path / "points.csv"
    points.write_text("params,pretrain_tokens,specialize_tokens,domain\n1e7,0,0,a\n1e7,1e9,0,a\n")
    out = ["--points", str(points), "--out", str(tmp_path / "out.csv")]
    assert main(["predict_loss", "--law", str(fitted), *out]) == 0
    assert "1 of 2 points has no prediction" in capsys.readouterr().err


def test_both_print_a_summary(losses, fitted, tmp_path, capsys):
    fast = [
        "--law",
        "chinchilla",
        "--discrepancy",
        "none",
        "--draws",
        "0",
        "--out",
        str(tmp_path / "fit.json"),
    ]
    assert main(["fit_law", "--losses", str(losses), *fast]) == 0
    assert "L = E + A N^-alpha" in capsys.readouterr().out
    out = tmp_path / "plan.json"
    budget = ["--params", "3e7", "--flops", "5e17"]
    assert main(["choose_split", "--law", str(fitted), "--out", str(out), *budget]) == 0
    printed, made = capsys.readouterr().out, json.loads(out.read_text())
    rows = {line.split()[0]: line for line in printed.splitlines() if line}
    assert f"{made['fraction_general']:.1%}" in rows["general"]
    assert f"{made['predicted_mean_loss'][0]:.4f}" in rows["this"]
    assert set(rows) >= {entry["strategy"] for entry in made["baselines"]}
    independent = [*budget, "--trunk", "independent"]
    assert main(["choose_split", "--law", str(fitted), "--out", str(out), *independent]) == 0
    printed, made = capsys.readouterr().out, json.loads(out.read_text())
    pretrain = next(line for line in printed.splitlines() if line.startswith("general"))
    assert f"{made['fraction_general']:.1%}" in pretrain


def test_a_plan_for_a_target_loss(fitted, tmp_path):
    out = tmp_path / "plan.json"
    base = ["--law", str(fitted), "--out", str(out), "--params", "3e7"]
    assert main(["choose_split", *base, "--target-loss", "2.9"]) == 0
    assert json.loads(out.read_text())["predicted_mean_loss"][0] == pytest.approx(2.9, abs=1e-4)
    assert main(["choose_split", *base, "--target-loss", "2.9", "--flops", "1e17"]) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--losses", "none.csv"], "none.csv: no such file"),
        (["--losses", "LOSSES", "--bootstrap", "-1"], "draws is -1"),
        (["--losses", "LOSSES", "--law", "best"], "law 'best' is unknown; choose from auto"),
        (["--losses", "LOSSES", "--min-tokens-per-param", "1e9"], "no rows are left"),
    ],
)
def test_a_user_error_is_one_line_and_writes_nothing(arguments, message, losses, tmp_path, capsys):
    out = tmp_path / "fit.json"
    arguments = [str(losses) if a == "LOSSES" else a for a in arguments]
    assert main(["fit_law", *arguments, "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_an_impossible_budget_is_explained(fitted, tmp_path, capsys):
    base = ["--law", str(fitted), "--out", str(tmp_path / "plan.json"), "--params", "3e7"]
    assert main(["choose_split", *base, "--flops", "1e10", "--min-tokens-per-model", "1e9"]) == 2
    assert "too few for 1e+09 tokens per model" in capsys.readouterr().err
    assert main(["choose_split", *base, "--flops", "1e17", "--weights", "a"]) == 2
    assert "--weights 'a': give domain=number" in capsys.readouterr().err
    for option in (["--weights", "a=1", "a=2"], ["--replay", "a=0.1", "--replay", "a=free"]):
        assert main(["choose_split", *base, "--flops", "1e17", *option]) == 2
        assert f"{option[0]}: a is given twice" in capsys.readouterr().err
    assert main(["choose_split", *base, "--flops", "1e17", "--domains", ""]) == 2
    assert "--domains is empty" in capsys.readouterr().err
    assert main(["choose_split", *base, "--flops", "1e17", "--base-general-loss", "3"]) == 2
    assert "base_general_loss: there is neither a base nor a limit" in capsys.readouterr().err


def test_the_law_does_not_import_torch():
    code = (
        "import sys; "
        "import splitlaw.laws, splitlaw.planner, splitlaw.api, splitlaw.cli.law; "
        "heavy = {'torch', 'transformers', 'datasets', 'sklearn', 'matplotlib'}; "
        "print(sorted(m for m in heavy if m in sys.modules))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=SCRIPTS, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"


def test_names_with_a_comma_and_an_equals_sign_can_be_given(tmp_path, capsys):
    fit = law("two_skills", 2)
    named = replace(fit, domains=("law, civil", "x=y"))
    named.save(tmp_path / "fit.json")
    out = tmp_path / "plan.json"
    command = ["choose_split", "--law", str(tmp_path / "fit.json"), "--out", str(out)]
    command += ["--flops", "5e17", "--params", "3e7"]
    assert main([*command, "--domains", '"law, civil",x=y', "--weights", "x=y=2"]) == 0
    plan = json.loads(out.read_text())
    assert plan["weights"] == {"law, civil": pytest.approx(1 / 3), "x=y": pytest.approx(2 / 3)}
    capsys.readouterr()
    assert main([*command, "--domains", '"law, civil']) == 2
    assert "a name with a comma is written between double quotes" in capsys.readouterr().err
