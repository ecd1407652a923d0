"""The comparison of the ways to use the final models has every system and kind of text."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from planted_final import CONTEXT, DOMAINS, FINALS, ITEMS, SHAPE

from splitlaw.cli import main
from splitlaw.delivery.measure import HeldOutTexts, document_losses, system_rows
from splitlaw.delivery.routed import RoutedModel
from splitlaw.report.figures_delivery import delivery_points
from splitlaw.training.evaluation import load_documents
from splitlaw.zero_shot.items import write_items

SYSTEMS = ["routed", "ensemble", "average", "average_uniform", "moe", "joint", "no_split"]


@pytest.fixture(scope="module")
def table(planted, final, tmp_path_factory):
    out = tmp_path_factory.mktemp("delivery")
    write_items(out / "items/local_arc_easy.jsonl", ITEMS)
    config = {"tasks": ["local_arc_easy"], "context": CONTEXT, "test_tokens": 10**6}
    words = ["--final", str(final.path), "--config", json.dumps({**config, "characters": None})]
    words += ["--items", str(out / "items"), "--out", str(out / "comparison.csv")]
    tasks = Path(__file__).parents[2] / "tasks"
    assert main(["delivery", *words, "--tasks", str(tasks)]) == 0
    return out / "comparison.csv"


def test_every_system_has_every_kind_of_text(table):
    rows = pd.read_csv(table)
    assert list(dict.fromkeys(rows["system"])) == SYSTEMS
    for _, part in rows.groupby("system"):
        assert list(part["domain"]) == [*DOMAINS, "mixed", "all_tasks"]
    assert rows.loc[rows["domain"] != "all_tasks", "loss"].notna().all()
    assert rows.drop(columns=["loss", "loss_stderr"]).notna().all().all()
    assert (table.parent / "comparison.svg").is_file()
    folders = {path.name for path in table.parent.iterdir() if path.is_dir()}
    assert folders == {"routed", "average", "average_uniform", "moe", "items"}


def test_losses_of_single_models_are_those_of_the_comparison(table, planted):
    rows = pd.read_csv(table).set_index(["system", "domain"])
    for system in ("joint", "no_split"):
        folder = planted / FINALS / system / "general/documents.npz"
        losses = load_documents(folder)
        for domain in DOMAINS:
            found = rows.loc[(system, domain), "loss"]
            assert found == pytest.approx(losses[domain].loss, rel=1e-5)
    for domain in DOMAINS:
        assert rows.loc[("moe", domain), "loss"] > 0
    means = pd.read_csv(table).groupby("system")["loss"].mean()
    # Validation text decides, so that a small excess on test text is possible.
    assert means["moe"] <= min(means["average"], means["average_uniform"]) + 0.02


def test_stored_and_active_parameters(table):
    rows = pd.read_csv(table).groupby("system").first()
    assert rows.loc["routed", "params_stored"] == 3 * SHAPE.params
    assert SHAPE.params <= rows.loc["routed", "params_active"]
    assert rows.loc["routed", "params_active"] <= rows.loc["ensemble", "params_active"]
    assert rows.loc["joint", "params_stored"] == rows.loc["joint", "params_active"] == SHAPE.params
    feed_forward = SHAPE.layers * 3 * SHAPE.width * SHAPE.intermediate
    gates = SHAPE.layers * 2 * SHAPE.width
    assert rows.loc["moe", "params_stored"] == SHAPE.params + feed_forward + gates


def test_the_figure_has_a_mean_over_the_domains(table):
    rows = pd.read_csv(table)
    points = delivery_points(rows)
    own = rows[(rows["system"] == "moe") & rows["domain"].isin(DOMAINS)]
    assert points.loc["moe", "domains"] == pytest.approx(own["loss"].mean())
    assert np.isfinite(points.to_numpy()).all()


def test_a_system_that_is_in_the_table_cannot_be_added(final, tmp_path, capsys):
    words = ["--final", str(final.path), "--config", '{"tasks": ["a"], "context": 8, ']
    words[-1] += '"test_tokens": 8, "characters": null}'
    words += ["--items", "x", "--tasks", "x", "--out", str(tmp_path / "c.csv")]
    assert main(["delivery", *words, "--also", f"moe={tmp_path}"]) == 2
    assert "the table has moe already; rename it" in capsys.readouterr().err


def test_mixed_documents_have_both_domains(final, routed):
    held = HeldOutTexts.read(final, characters=None)
    first = held.texts["mixed"][0]
    assert held.texts["law"][0][:200] in first and held.texts["medicine"][0][:200] in first
    losses = document_losses(routed, held.texts["mixed"])
    assert losses.tokens.min() > 0 and np.isfinite(losses.nats).all()


def test_one_model_uses_all_of_its_parameters(planted, final):
    one = RoutedModel.from_pretrained(planted / FINALS / "no_split/general")
    row = system_rows(one, HeldOutTexts.read(final, characters=None))[0]
    assert row["params_active"] == SHAPE.params
    assert row["memory_mb"] == pytest.approx(4 * SHAPE.params / 1e6)


@pytest.mark.parametrize("experiment", ["default", "mixture"])
def test_the_documented_table_is_that_of_the_reference(experiment):
    root = Path(__file__).parents[2]
    rows = pd.read_csv(root / "reference" / experiment / "delivery/comparison.csv")
    text = (root / "docs/delivery.md").read_text(encoding="utf-8")
    section = text.partition(f"### The {experiment} experiment\n")[2].partition("\n### ")[0]
    shown = [line for line in section.splitlines() if line.startswith("| `")]
    assert len(shown) == rows["system"].nunique()
    for line in shown:
        own = rows[rows["system"] == line.split("`")[1]].set_index("domain")
        extra = ("mixed", "all_tasks")
        numbers = own.iloc[0]
        wanted = [f"{own.drop(index=list(extra))['loss'].mean():.3f}"]
        wanted += [
            f"{own.loc['mixed', 'loss']:.3f}",
            f"{own.loc['all_tasks', 'bits_per_byte']:.3f}",
        ]
        wanted += [f"{numbers[name]:,}" for name in ("params_stored", "params_active")]
        wanted += [f"{numbers[f'{name}_per_second']:,.0f}" for name in ("tokens", "generated")]
        wanted += [f"{numbers['memory_mb']:.1f}"]
        assert [cell.strip() for cell in line.split("|")[2:-1]] == wanted
