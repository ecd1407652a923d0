import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from planted_results import plant

from splitlaw.cli import main
from splitlaw.common.files import write_json
from splitlaw.laws import fit_table
from splitlaw.report import (
    build,
    figures_final,
    figures_law,
    figures_plan,
    figures_tasks,
    style,
    tables_experiment,
)
from splitlaw.report.figures import FIGURES
from splitlaw.report.inputs import Inputs, read_inputs, read_recipes
from splitlaw.report.page import inline_svg, render

OPTIONAL = ("benchmarks", "coverage", "delivery", "loss_to_task", "pareto")
"""Figures of parts that the planted results without draws do not have."""


class Check(HTMLParser):
    """Collects ids and references, and checks that tags are closed."""

    void = frozenset({"meta", "link", "br", "img", "path", "use", "stop", "input"})

    def __init__(self, page):
        super().__init__()
        self.ids, self.links, self.open = [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if "id" in given:
            self.ids.append(given["id"])
        self.links += [given[key] for key in ("src", "href", "xlink:href") if key in given]
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.void:
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page(planted, tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "report.html"
    assert main(["report", "--results", str(planted), "--out", str(out)]) == 0
    return out


def without_figures(results):
    """The text of the page without figures, which are slow to draw."""
    inputs = read_inputs(results)
    drawn = {spec.name: None for spec in FIGURES}
    return render(build.page_content(inputs, read_recipes(inputs), drawn))


def test_the_page_is_well_formed_and_self_contained(page):
    text = page.read_text()
    check = Check(text)
    assert check.open == []
    assert len(check.ids) == len(set(check.ids))
    assert all(link.startswith(("#", "data:")) for link in check.links)
    assert not re.search(
        r"url\((?!#)|@import|<script[^>]* src|https?:(?!//(?:www\.w3|purl)\.org)", text
    )
    assert len(text) < 5_000_000


def test_references_within_figures_resolve(page):
    text = page.read_text()
    used = set(re.findall(r'(?:url\(|href=")#([^")]+)', text))
    assert used <= set(Check(text).ids)


def test_figures_are_written_beside_the_page(page):
    for spec in FIGURES:
        svg = (page.parent / "figures" / f"{spec.name}.svg").read_text()
        assert "<svg" in svg
        assert (page.parent / "figures" / f"{spec.name}.png").stat().st_size > 1000


def test_the_explorer_is_in_the_page_and_beside_it(page):
    assert "explorer-data" in page.with_name("plan_page.html").read_text()
    assert "explorer-data" in page.read_text()


def test_the_same_results_give_the_same_figure_file(planted, tmp_path):
    inputs = read_inputs(planted)
    style.set_theme()
    for _ in range(2):
        figure = figures_plan.comparison(inputs, read_recipes(inputs))
        style.save(figure, tmp_path / str(_), "comparison")
    first, second = ((tmp_path / n / "comparison.svg").read_bytes() for n in ("0", "1"))
    assert first == second


def test_the_summary_has_the_answer_and_the_path_of_the_page(
    planted, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(build, "FIGURES", ())
    monkeypatch.setattr(build, "render", lambda content: "")
    main(["report", "--results", str(planted), "--out", str(tmp_path / "report.html")])
    output = capsys.readouterr().out
    assert "of the tokens on" in output
    assert "Half and half" in output
    assert str(tmp_path / "report.html") in output
    assert max(map(len, output.splitlines()[:-1])) < 100


def test_missing_final_models_are_reported(results):
    (results / "final/comparison.csv").unlink()
    for file in results.rglob("run.json"):
        file.unlink()
    text = without_figures(results)
    assert "There are no final models yet" in text
    assert "Fewer than two recipes have been trained" in text


def test_a_fit_without_plan_is_shown(results):
    (results / "split/plan.json").unlink()
    assert "No split has been chosen yet" in without_figures(results)


def test_a_fit_alone_is_shown(planted, tmp_path):
    alone = tmp_path / "alone"
    shutil.copytree(planted / "law", alone / "law")
    text = without_figures(alone)
    assert "The table of losses is missing" in text
    inputs = read_inputs(alone)
    assert all(spec.draw(inputs, []) is None for spec in FIGURES)


def test_one_domain_without_intervals(tmp_path):
    style.set_theme()
    results = plant(tmp_path / "one", domains=("law",), draws=0)
    text = without_figures(results)
    assert "only one domain" in text
    assert "without draws" in text
    inputs = read_inputs(results)
    recipes = read_recipes(inputs)
    for spec in FIGURES:
        missing = spec.draw(inputs, recipes) is None
        assert missing == (spec.name in OPTIONAL)


def test_a_table_written_by_hand(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        (n, d, s, "law", 1 + 20 * n**-0.3 + 40 * (d / 10 + s) ** -0.3 + rng.normal(0, 0.003))
        for n in (1e4, 3e4, 9e4)
        for d in (0, 1e6, 3e6)
        for s in (2e5, 6e5, 2e6)
    ]
    names = ["params", "pretrain_tokens", "specialize_tokens", "domain", "loss"]
    pd.DataFrame(rows, columns=names).to_csv(tmp_path / "losses.csv", index=False)
    style.set_theme()
    fit_table(tmp_path / "losses.csv", law="effective_tokens", draws=0).save(
        tmp_path / "law/fit.json"
    )
    inputs = read_inputs(tmp_path)
    for draw in (figures_law.grid_fit, figures_law.predicted_measured, figures_law.residuals):
        assert draw(inputs) is not None
    assert "N = 30k" in [axis.get_title() for axis in figures_law.grid_fit(inputs).axes]


def test_benchmarks_are_shown(results):
    systems = {"optimal": "routed", "half": "routed", "joint": "single", "no_split": "single"}
    rows = []
    for i, (strategy, system) in enumerate(systems.items()):
        about = (strategy, system, "w56", 1, 0)
        for j, task in enumerate(("arc_easy", "sciq", "all_tasks")):
            rows.append((*about, task, "acc", 0.25 + 0.01 * (i + j), 0.02, 500, 0.25))
            rows.append((*about, task, "bits_per_byte", 2 + 0.1 * i, 0.02, 500, np.nan))
        for task in ("heldout_law", "all_domains"):
            rows.append((*about, task, "loss", 3.2 + 0.1 * i, 0.02, 500, np.nan))
    names = "strategy system size budget seed task metric value stderr n chance".split()
    pd.DataFrame(rows, columns=names).to_csv(results / "benchmarks.csv", index=False)
    text = without_figures(results)
    assert "SciQ" in text
    assert "0.260\u00a0±\u00a00.020" in text
    assert "Tasks against held-out loss" in text
    assert "the error on a left-out size requires splitlaw run compare" in text
    style.set_theme()
    inputs = read_inputs(results)
    assert figures_final.benchmarks(inputs) is not None
    assert figures_tasks.loss_to_task(inputs) is not None


def test_learning_curves_follow_the_states_back_to_the_first_step(planted):
    inputs = read_inputs(planted)
    curves = figures_final.planned_specialists(inputs)
    assert {final.domain for final, _ in curves} == set(inputs.domains)
    for final, log in curves:
        assert list(dict.fromkeys(log["domain"])) == ["general", final.domain]
        assert log["step"].is_monotonic_increasing


def test_transfer_has_specialists_on_the_diagonal(planted):
    table = figures_final.transfer_table(read_inputs(planted))
    assert list(table.index[:2]) == list(table.columns[:2])
    assert table.index[-1] == "No split"


def test_figures_of_many_rows_are_small_files(planted, tmp_path):
    inputs = read_inputs(planted)
    many = pd.concat([inputs.losses] * 12, ignore_index=True)
    style.set_theme()
    style.save(
        figures_law.residuals(Inputs(folder=planted, losses=many, fit=inputs.fit)),
        tmp_path,
        "residuals",
    )
    assert (tmp_path / "residuals.svg").stat().st_size < 700_000


def test_colours_of_ink_and_paper_follow_the_page():
    svg = '<?xml?><svg width="1pt" height="1pt" viewBox="0 0 1 1"><g id="a" fill="#262626"/></svg>'
    inlined = inline_svg(svg, "x", "A title")
    assert 'fill="currentColor"' in inlined
    assert "id=" not in inlined
    assert 'aria-label="A title"' in inlined


def test_every_figure_has_a_caption():
    assert all(len(spec.caption) > 80 for spec in FIGURES)


def test_the_first_screen_has_the_gain_the_plan_and_at_most_three_warnings(results):
    plan = json.loads((results / "split/plan.json").read_text())
    few = [f"Warning {n} of the plan." for n in range(5)]
    (results / "split/plan.json").write_text(json.dumps({**plan, "warnings": few}))
    text = without_figures(results)
    first, rest = text.split("<nav", 1)
    assert re.search(r"<h1[^>]*>On held-out text, the loss of the optimal split is", first)
    assert first.index("</h1>") < first.index("of the tokens on general text")
    assert [w for w in few if w in first] == few[:3]
    folded = rest[rest.index('<details class="warnings">') :]
    assert [w for w in few if w in folded] == few[3:]


def test_the_rounds_of_an_adaptive_grid_are_shown(results):
    about = {"domains": ["law"], "tokens": 10**7, "expected_regret": 0.01, "schema_version": 1}
    for number, stop in enumerate(("", "stop_regret")):
        folder = results / f"rounds/{number}"
        entry = {"runs": 24 + 8 * number, "expected_regret_relative": 0.003, "stop": stop}
        write_json(folder / "round.json", {"round": number, **about, **entry})
        pd.DataFrame({"flops": [1e12, 1e12]}).to_csv(folder / "cost.csv", index=False)
    table = tables_experiment.rounds_table(read_inputs(results))
    assert [row[:3] for row in table.rows] == [["0", "24", "24"], ["1", "8", "32"]]
    assert table.rows[1][4].startswith("2")
    assert "the regret is small enough" in without_figures(results)


def test_a_table_of_losses_alone_gets_the_same_page(planted, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(build, "FIGURES", ())
    monkeypatch.setattr(build, "page_content", lambda inputs, *rest: seen.append(inputs) or {})
    monkeypatch.setattr(build, "render", lambda content, **template: "")
    seen = []
    losses = tmp_path / "mine.csv"
    columns = ["params", "pretrain_tokens", "specialize_tokens", "domain", "loss"]
    table = read_inputs(planted).rows[columns]
    table[table["params"] < 50_000].to_csv(losses, index=False)
    out = tmp_path / "page/report.html"
    command = ["report", "--losses", str(losses), "--flops", "3e12", "--out", str(out)]
    assert main([*command, "--params", "5e4", "--domains", "law"]) == 0
    assert "of the tokens on general text" in " ".join(capsys.readouterr().out.split())
    (inputs,) = seen
    assert (inputs.name, inputs.missing) == ("mine.csv", [])
    assert inputs.fit.domains == ("code", "law")
    assert list(inputs.plan["specialize_tokens"]) == ["law"]
    assert len(inputs.rows) == sum(inputs.fit.counts)
    made = json.loads((out.parent / "plan.json").read_text())
    assert made == {"schema_version": 1, **inputs.plan}
    assert (out.parent / "fit.posterior.npz").exists()
    assert main(command[:3]) == 2
    assert "--losses and --flops together" in capsys.readouterr().err


def test_a_user_s_mistake_is_one_line(tmp_path, capsys):
    assert main(["report", "--results", str(tmp_path)]) == 2
    output = capsys.readouterr().err
    assert output.count("\n") == 1
    assert "losses.csv" in output
    assert not list(tmp_path.iterdir())
