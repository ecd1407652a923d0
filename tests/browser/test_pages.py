"""The pages in a real browser: every control, the export, narrow screens, keyboard, dark."""

import json
import re
import shlex
import subprocess
import sys

import pytest
import yaml
from planted_results import BUDGET, SIZES, plant

from splitlaw.cli import main
from splitlaw.experiment.strategies import NAMES
from splitlaw.laws import FitResult
from splitlaw.planner import plan

pytestmark = pytest.mark.browser
PAGES = ("report.html", "plan_page.html")


@pytest.mark.parametrize("file", PAGES)
def test_a_page_opens_with_its_answer_and_loads_nothing_else(opened, file):
    shown = opened(file)
    assert re.search(r"Train \d+% .*general text", shown.text("answer"))
    assert len(shown.requests) == 1
    assert "Extrapolates: 2.6 times the largest N" in shown.text("beyond")


def test_every_control_redraws_all_results(opened):
    shown = opened()
    names = ("answer", "curve", "split", "recipes", "command")
    read = lambda: [shown.find(name).evaluate("node => node.innerHTML") for name in names]  # noqa: E731
    moves = {
        "flops": lambda: shown.find("flops").press("End"),
        "params": lambda: shown.find("params").press("End"),
        "trunk": lambda: shown.find("trunk").select_option("independent"),
        "weight": lambda: shown.find("weight").first.fill("3"),
        "unique": lambda: shown.find("unique").first.fill("50000"),
        "use": lambda: shown.find("use").first.uncheck(),
    }
    before = read()
    for name, move in moves.items():
        move()
        after = read()
        assert all(a != b for a, b in zip(before, after, strict=True)), name
        before = after


def test_the_interval_of_the_optimum_follows_after_a_pause(opened):
    shown = opened()
    at_once = shown.page.evaluate(
        "() => { const slider = document.querySelector('[data-is=flops]'); slider.value *= 1.01;"
        " slider.dispatchEvent(new Event('input', { bubbles: true }));"
        " return document.querySelector('[data-is=answer]').textContent; }"
    )
    assert "90% interval" not in at_once
    shown.page.wait_for_function(
        "document.querySelector('[data-is=answer]').textContent.includes('90% interval')"
    )
    assert shown.find("curve").locator(".ends").count() == 1
    assert "expected regret" in shown.text("answer")


def test_a_folder_without_domains_is_refused(opened):
    shown = opened()
    for box in shown.find("use").all():
        box.uncheck()
    assert shown.text("answer") == "Select at least one domain."
    shown.find("use").first.check()
    assert "Train" in shown.text("answer")


def test_baselines_have_the_losses_of_the_plan(opened, results):
    shown = opened()
    planned = json.loads((results / "split/plan.json").read_text())
    rows = {row.split("\t")[0]: row.split("\t") for row in shown.text("recipes").splitlines()}
    predicted = [b for b in planned["baselines"] if b["predicted_mean_loss"][0] is not None]
    assert set(rows) == {NAMES[entry["strategy"]] for entry in predicted}
    for entry in predicted:
        loss = float(rows[NAMES[entry["strategy"]]][1])
        assert loss == pytest.approx(entry["predicted_mean_loss"][0], abs=6e-4)


def test_the_export_is_the_split_of_the_planner(opened, results):
    shown = opened()
    shown.find("params").press("ArrowLeft")
    with shown.page.expect_download() as waiting:
        shown.find("save").click()
    saved = json.loads(waiting.value.path().read_text())
    made = plan(
        FitResult.load(results / "law/fit.json"),
        flops=saved["flops"],
        params=saved["params"],
        domains=list(saved["specialize_tokens"]),
    )
    assert waiting.value.suggested_filename == "split.json"
    assert saved["predicted_mean_loss"][0] == pytest.approx(made.predicted_mean_loss[0], rel=1e-3)
    assert saved["fraction_general"] == pytest.approx(made.fraction_general, abs=5e-3)


def test_the_command_shown_gives_the_split_shown(opened, results, root, tmp_path):
    shown = opened()
    shown.find("weight").first.fill("2")
    shown.find("unique").last.fill("300000")
    arguments = shlex.split(shown.text("command").replace("\\\n", " "))
    assert arguments[:2] == ["splitlaw", "choose_split"]
    arguments[arguments.index("--out") + 1] = str(tmp_path / "plan.json")
    script = root / "workflow_scripts/choose_split.py"
    command = [sys.executable, str(script), *arguments[2:]]
    subprocess.run(command, cwd=root, check=True, capture_output=True)
    made = json.loads((tmp_path / "plan.json").read_text())
    share = re.search(r"Train (\d+)%", shown.text("answer"))[1]
    assert float(share) == pytest.approx(100 * made["fraction_general"], abs=1)


def test_the_configuration_shown_is_valid(opened):
    shown = opened()
    text = shown.text("config")
    assert yaml.safe_load(text) == {"final": {"size": "w56", "budget_tokens": BUDGET}}
    shown.find("params").press("End")
    shown.find("trunk").select_option("independent")
    assert "add a size of about 4.55M parameters to sizes" in shown.text("config")
    assert "without independent trunks" in shown.text("config")
    assert SIZES["w56"] == 151_816


@pytest.mark.parametrize("file", PAGES)
def test_a_narrow_screen_scrolls_vertically_only(opened, file):
    shown = opened(file, width=390)
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= 390
    small = shown.page.evaluate(
        "[...document.querySelectorAll('p, li, td, figcaption')].filter(node =>"
        " node.offsetParent && parseFloat(getComputedStyle(node).fontSize) < 12).length"
    )
    assert small == 0


@pytest.mark.parametrize("file", PAGES)
def test_the_printed_page_is_white_and_fits_the_paper(opened, file):
    page = opened(file, width=703, scheme="dark").page  # A4 between margins of 12 mm
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= 703
    paper = page.locator("body").evaluate("node => getComputedStyle(node).backgroundColor")
    assert paper == "rgb(255, 255, 255)"


@pytest.mark.parametrize("file", PAGES)
def test_the_colour_scheme_follows_the_browser(opened, file):
    lightness = {}
    for scheme in ("light", "dark"):
        body = opened(file, scheme=scheme).page.locator("body")
        for part in ("backgroundColor", "color"):
            colour = body.evaluate(f"node => getComputedStyle(node).{part}")
            lightness[scheme, part] = sum(map(int, re.findall(r"\d+", colour)[:3])) / 765
    assert lightness["light", "backgroundColor"] > 0.9 > 0.3 > lightness["light", "color"]
    assert lightness["dark", "color"] > 0.8 > 0.2 > lightness["dark", "backgroundColor"]


def test_the_tab_key_reaches_every_control_in_order(opened):
    shown = opened()
    wanted = shown.page.locator("#explorer :is(input, select, button)").count()
    reached = []
    while reached[-1:] != ["save"] and len(reached) <= wanted:
        shown.page.keyboard.press("Tab")
        at = "document.activeElement.matches('input, select, button')"
        name = shown.page.evaluate(f"{at} && document.activeElement.dataset.is")
        reached += [name] if name else []
    assert len(reached) == wanted
    assert reached[:3] == ["flops", "params", "trunk"]
    assert reached[-1] == "save"


def test_every_control_has_an_accessible_name(opened):
    text = opened().page.locator("#explorer").aria_snapshot()
    for part in ('slider "Budget', 'slider "Model size', 'combobox "Trunk', '"weight of law"'):
        assert part in text
    assert 'checkbox "law"' in text
    assert re.search(r'img "Loss against the general fraction\. Train', text)
    assert 'button "Save this split as JSON"' in text


def test_sliders_have_accessible_values(opened):
    shown = opened()
    assert re.search(r"[\d.]+ times ten to the 12 FLOPs", _value(shown, "flops"))
    assert _value(shown, "params") == "152k parameters"


def _value(shown, name):
    return shown.find(name).get_attribute("aria-valuetext")


def test_one_domain_without_intervals(opened, tmp_path):
    folder = plant(tmp_path / "one", domains=("law",), draws=0, finals=False)
    assert main(["report", "--results", str(folder)]) == 0
    shown = opened("report.html", folder=folder)
    shown.find("flops").press("ArrowLeft")
    shown.page.wait_for_timeout(300)
    assert "interval" not in shown.text("answer")
    assert "–" in shown.text("recipes")
    whole = shown.page.locator("main").inner_text()
    assert "There are no final models yet" in whole
    assert "without draws" in whole
