"""Public names, spelled literally: other tools read these rules, files, columns and keys.

A change here is a change of the public interface and belongs into the changelog.
"""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from splitlaw.experiment.lineage import GENERAL
from splitlaw.experiment.strategies import REPLAY_STRATEGIES, STRATEGIES

ROOT = Path(__file__).parent.parent
SCRIPTS = ROOT / "workflow_scripts"
SMOKE = Path(__file__).parent / "golden" / "smoke"

RULES = """prepare_corpus train_tokenizer tokenize pretrain specialize evaluate fit_law next_runs
choose_split train_final benchmark report cost tune_learning_rate seeds compare frontier scarcity
check_provenance new_experiment delivery choose_domains""".split()

LOSSES = """run stage split size params non_embedding_params flops_per_token train_domain domain
pretrain_tokens unique_pretrain_tokens specialize_tokens unique_specialize_tokens trunk seed loss
loss_stderr bits_per_byte""".split()

COMPARISON = """strategy seed size budget domain params flops pretrain_tokens specialize_tokens
predicted_loss loss loss_stderr bits_per_byte replay general_loss""".split()

COST = "stage size runs tokens flops tokens_independent flops_independent".split()

BENCHMARKS = "strategy system size budget seed task metric value stderr n chance".split()

DELIVERY = """system strategy size budget seed domain loss loss_stderr bits_per_byte params_stored
params_active tokens_per_second generated_per_second memory_mb""".split()

NEXT_RUNS = """batch size params seed domain pretrain_tokens specialize_tokens flops
expected_regret_before expected_regret_after""".split()

FIT = """schema_version law domains objective converged formula warnings holdout candidates
flops_per_token range repetitions units""".split()

PLAN = """schema_version flops params trunk pretrain_tokens specialize_tokens fraction_general
predicted_loss interval expected_regret baselines candidates warnings""".split()

RUN = (
    "config git_commit git_dirty versions device world_size seed tokens flops wall_seconds".split()
)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory) -> Path:
    """A folder with a law, a plan and predictions, made by the commands as users type them."""
    folder = tmp_path_factory.mktemp("contract")
    command("fit_law", "--losses", SMOKE / "losses.csv", "--out", folder / "fit.json")
    points = folder / "points.csv"
    points.write_text("params,pretrain_tokens,specialize_tokens,domain\n25328,16384,3072,law\n")
    law = ["--law", folder / "fit.json"]
    command("predict_loss", *law, "--points", points, "--out", folder / "predictions.csv")
    budget = ["--params", "171976", "--flops", "3.1e10"]
    command("choose_split", *law, *budget, "--out", folder / "plan.json")
    command("next_runs", *law, *budget, "--out", folder / "next_runs.csv")
    return folder


def command(name: str, *words: object) -> str:
    """Standard output of a stage's script."""
    more = ["--law", "two_skills", "--draws", "10"] if name == "fit_law" else []
    script = str(SCRIPTS / f"{name}.py")
    done = subprocess.run(
        [sys.executable, script, *map(str, words), *more], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_rules():
    text = "\n".join(file.read_text() for file in (ROOT / "rules").glob("*.smk"))
    assert set(RULES) <= set(re.findall(r"^rule (\w+):", text, re.MULTILINE))


def test_strategies_and_general():
    assert STRATEGIES == ("optimal", "two_stage_90", "half", "joint", "no_split", "scratch")
    assert " ".join(REPLAY_STRATEGIES) == "optimal no_replay replay_5 replay_25 replay_50 mixture"
    assert GENERAL == "general"


def test_systems():
    from splitlaw.zero_shot import systems

    names = {systems.ROUTED, systems.ORACLE, systems.ENSEMBLE, systems.SINGLE}
    assert names == {"routed", "oracle", "ensemble", "single"}


def test_laws():
    from splitlaw.laws import FORMS

    assert set(FORMS) == {
        "two_skills",
        "effective_tokens",
        "additive",
        "multiplicative",
        "transfer_gap",
        "interaction",
        "transferred_data",
        "coupled",
        "chinchilla",
    }


def test_next_runs(fitted):
    assert list(pd.read_csv(fitted / "next_runs.csv").columns) == NEXT_RUNS


def test_columns():
    from splitlaw.experiment import columns

    assert list(columns.LOSSES) == LOSSES
    assert list(columns.COMPARISON) == COMPARISON
    assert columns.REPLAY == ["replay", "replay_tokens"]
    assert list(columns.COST) == COST
    assert list(columns.DELIVERY) == DELIVERY
    assert list(columns.BENCHMARKS) == BENCHMARKS
    with (SMOKE / "losses.csv").open(newline="") as stream:
        assert next(csv.reader(stream)) == LOSSES
    table = pd.read_csv(SMOKE / "losses.csv")
    assert set(table["stage"]) == {"unsplit", "branch"}
    assert set(table["split"]) == {"fit", "holdout"}


def test_keys_of_the_law(fitted):
    fit = json.loads((fitted / "fit.json").read_text())
    assert set(FIT) <= set(fit)
    domain = fit["domains"]["law"]
    assert {"parameters", "interval", "n"} <= set(domain)
    assert set(domain["parameters"]) == {
        "E",
        "A",
        "alpha",
        "F",
        "phi",
        "B",
        "beta",
        "kappa",
        "gamma",
    }
    assert {"kind", "domain", "n", "mre", "max", "bias", "source"} <= set(fit["holdout"][0])
    assert {"law", "objective", "holdout_mre", "n_parameters"} <= set(fit["candidates"][0])
    assert {row["kind"] for row in fit["holdout"]} <= {
        "params",
        "pretrain_tokens",
        "specialize_tokens",
        "corner",
    }


def test_keys_of_the_plan(fitted):
    plan = json.loads((fitted / "plan.json").read_text())
    assert set(PLAN) <= set(plan)
    assert {"pretrain_tokens", "fraction_general"} <= set(plan["interval"])
    assert set(plan["specialize_tokens"]) == {"law", "medicine", "science", "code", "prose"}
    assert len(plan["predicted_loss"]["law"]) == 3
    keys = {"strategy", "pretrain_tokens", "specialize_tokens", "predicted_loss"}
    assert keys | {"probability_worse"} <= set(plan["baselines"][0])
    assert {"law", "fraction_general", "regret"} <= set(plan["candidates"][0])


def test_columns_of_predictions(fitted):
    table = pd.read_csv(fitted / "predictions.csv")
    assert {"loss", "loss_low", "loss_high"} <= set(table)


def test_keys_of_a_run():
    file = next((Path(__file__).parent / "golden/version_0_1").rglob("D*/run.json"))
    assert set(RUN) <= set(json.loads(file.read_text()))


@pytest.mark.parametrize(
    ("stage", "options"),
    [
        (
            "fit_law",
            "--losses --out --law --draws --bootstrap --seed --min-tokens-per-param "
            "--drop-invalid --trajectories",
        ),
        (
            "choose_split",
            "--law --flops --out --params --flops-per-token --domains --pretrain-tokens --trunk "
            "--unique-tokens --weights",
        ),
        ("predict_loss", "--law --points --out"),
        ("next_runs", "--law --flops --params --out --pool --runs --domains --trunk --weights"),
    ],
)
def test_options(stage, options):
    text = command_help(stage)
    missing = [option for option in options.split() if option not in text]
    assert not missing


def command_help(stage: str) -> str:
    words = [sys.executable, str(SCRIPTS / f"{stage}.py"), "--help"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def test_commands():
    """Every stage is a subcommand of `splitlaw`."""
    words = [sys.executable, "-m", "splitlaw", "--help"]
    done = subprocess.run(words, cwd=SCRIPTS, capture_output=True, text=True, check=True)
    names = set(RULES) - {"seeds"} | {"run", "resume", "status", "predict_loss"}
    names |= {"export", "chat", "serve"}
    assert not [name for name in names if not re.search(rf"\b{name}\b", done.stdout)]


def test_sections_of_the_configuration():
    schema = yaml.safe_load((ROOT / "config.schema.yaml").read_text())
    assert set(schema["properties"]) == {
        "experiment",
        "base",
        "corpus",
        "tokenizer",
        "model",
        "sizes",
        "holdout_sizes",
        "grid",
        "training",
        "tune_learning_rate",
        "evaluation",
        "law",
        "final",
        "compare",
        "frontier",
        "choose_domains",
        "scarcity",
        "execution",
        "benchmarks",
    }
