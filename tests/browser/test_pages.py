"""The pages in a real browser: every control, the export, narrow screens, keyboard, dark."""

import json
import re
import shlex
import subprocess
import sys

import pytest
import yaml
from laws import planted_replay
from laws.planted_replay import BASE
from planted_results import BUDGET, SIZES, plant

from splitlaw.cli import main
from splitlaw.experiment.strategies import NAMES
from splitlaw.laws import FitResult, fit_table
from splitlaw.planner import plan, plan_with_replay
from splitlaw.report import figures_plan, style, write_plan_page
from splitlaw.report.build import page_content
from splitlaw.report.figures import FIGURES
from splitlaw.report.inputs import Inputs, read_recipes
from splitlaw.report.page import render

pytestmark = pytest.mark.browser
PAGES = ("report.html", "plan_page.html")


@pytest.mark.parametrize("file", PAGES)
def test_a_page_opens_with_its_answer_and_loads_nothing_else(opened, file):
    shown = opened(file)
    assert re.search(r"Train \d+% .*general text", shown.text("answer"))
    assert len(shown.requests) == 1
    assert "Extrapolates: 2.6 times the largest model size" in shown.text("beyond")


def table(shown, name):
    """Cells of a table by the name of the row."""
    lines = [line.split("\t") for line in shown.text(name).splitlines() if "\t" in line]
    return {name.strip(): cells for name, *cells in lines[1:]}


@pytest.mark.parametrize("width", [390, 820, 1440])
def test_the_page_has_the_numbers_of_the_planner_at_every_width(opened, results, width):
    shown = opened(width=width)
    planned = json.loads((results / "split/plan.json").read_text())
    value, low, high = planned["predicted_mean_loss"]
    settle(shown)
    found = re.search(r"mean loss of ([\d.]+) \(([\d.]+) to ([\d.]+)\)", shown.text("answer"))
    assert float(found[1]) == pytest.approx(value, abs=1e-3)
    # Intervals for the plan's settings are those of the plan, which has more draws than the page.
    assert [float(found[2]), float(found[3])] == pytest.approx([low, high], abs=6e-4)
    ends = [f"{100 * end:.0f}%" for end in planned["interval"]["fraction_general"]]
    share = f"{100 * planned['fraction_general']:.0f}%"
    assert f"Train {share} (90% interval {ends[0]} to {ends[1]})" in shown.text("answer")
    shares = {name: cells[1] for name, cells in table(shown, "split").items()}
    for name, tokens in planned["specialize_tokens"].items():
        share = tokens / (planned["pretrain_tokens"] + sum(planned["specialize_tokens"].values()))
        assert float(shares[name].strip("%")) == pytest.approx(100 * share, abs=0.5)
    box = shown.find("curve").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= width and box["width"] > 300
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= width


def test_other_settings_have_the_intervals_of_the_draws_in_the_page(opened, results):
    shown = opened()
    settle(shown)
    _, low, high = json.loads((results / "split/plan.json").read_text())["predicted_mean_loss"]
    shown.find("weight").first.fill("1.0001")
    settle(shown)
    found = re.search(r"mean loss of ([\d.]+) \(([\d.]+) to ([\d.]+)\)", shown.text("answer"))
    assert [float(found[2]), float(found[3])] == pytest.approx([low, high], abs=0.3 * (high - low))


def settle(shown):
    """Wait until the intervals are computed."""
    wait = "document.querySelector('[data-is=status]').textContent.includes('expected regret')"
    shown.page.wait_for_function(wait)


def test_an_update_takes_less_than_100_ms(opened):
    shown = opened()
    times = []
    for _ in range(8):
        shown.find("flops").press("ArrowRight")
        times.append(float(shown.page.locator("#explorer").get_attribute("data-milliseconds")))
    assert min(times) < 100  # the others wait for other programs, or for the compiler


def test_the_address_keeps_the_settings(opened):
    shown = opened()
    shown.find("flops").press("PageUp")
    shown.find("trunk").select_option("independent")
    shown.find("weight").first.fill("3")
    shown.find("unique").last.fill("50000")
    shown.find("use").first.uncheck()
    shown.page.wait_for_function("location.hash.includes('law=0+3')")
    again = opened(address=shown.page.evaluate("location.hash"))
    settle(again)
    assert again.text("command") == shown.text("command")
    assert again.text("answer") == shown.text("answer")
    shown.find("reset").click()
    shown.page.wait_for_function("location.hash.includes('shared')")
    assert "--trunk shared" in shown.text("command") and "--weights" not in shown.text("command")


def test_an_anchor_of_the_report_is_no_setting(opened):
    shown = opened("report.html")
    answer = shown.text("command")
    shown.page.evaluate("location.hash = '#reliability'")
    assert shown.text("command") == answer


def test_the_result_is_announced_once_and_the_figure_has_a_table(opened):
    shown = opened()
    settle(shown)
    assert shown.find("status").get_attribute("role") == "status"
    assert shown.find("answer").get_attribute("aria-live") is None
    shown.page.get_by_text("The curve as a table").click()
    rows = table(shown, "curve-table")
    assert len(rows) == 17 and all(float(cells[0].split()[0]) > 0 for cells in rows.values())


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
    rows = table(shown, "recipes")
    predicted = [b for b in planned["baselines"] if b["predicted_mean_loss"][0] is not None]
    assert set(rows) == {NAMES["optimal"], *(NAMES[entry["strategy"]] for entry in predicted)}
    for entry in predicted:
        loss = float(rows[NAMES[entry["strategy"]]][0].split()[0])
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
    assert reached[:5] == ["flops-number", "flops", "params-number", "params", "trunk"]
    assert reached.index("reset") < reached.index("save")
    assert reached[-1] == "save"


def test_every_control_has_an_accessible_name(opened):
    text = opened().page.locator("#explorer").aria_snapshot()
    for part in ('slider "Budget', 'slider "Model size', 'combobox "Trunk', '"weight of law"'):
        assert part in text
    assert 'checkbox "law"' in text
    assert re.search(r'img "Loss against the general fraction\. Train', text)
    assert 'button "Save this split as JSON"' in text


def test_budget_and_size_can_be_entered_as_numbers(opened):
    shown = opened()
    for text, value in (("3e16", "3e16"), ("1.5T", "1.5e12"), ("-2", "1.5e12"), ("x", "1.5e12")):
        enter(shown, "flops", text)
        assert shown.find("flops-number").input_value() == value
        assert f"--flops {float(value):.5e}" in shown.text("command")
    for text, refusal in (("10", "less than one for each of 3 models"), ("1e35", "at most 9")):
        enter(shown, "flops", text)
        assert refusal in shown.text("answer")
    enter(shown, "flops", "3e20")
    enter(shown, "params", "1.3b")
    assert shown.find("params-number").input_value() == "1.3B"
    assert "--params 1300000000" in shown.text("command")
    # They are beyond the ends of the sliders, and are kept by the address.
    shown.page.wait_for_function("location.hash.includes('params=1.30000e%2B9')")
    again = opened(address=shown.page.evaluate("location.hash"))
    assert again.text("command") == shown.text("command")


def enter(shown, name, text):
    shown.find(f"{name}-number").fill(text)
    shown.find(f"{name}-number").press("Enter")
    shown.find("trunk").focus()


def test_impossible_values_are_refused_by_name(opened):
    shown = opened()
    refused = {
        ("weight", "0"): "The weight of law must be a number above 0.",
        ("weight", ""): "The weight of law must be a number above 0.",
        ("unique", "-5"): "The unique tokens of law must be a number above 0, or empty.",
    }
    for (name, value), sentence in refused.items():
        before = shown.find(name).first.input_value()
        shown.find(name).first.fill(value)
        assert shown.text("answer") == sentence
        assert shown.find(name).first.get_attribute("aria-invalid") == "true"
        assert not shown.find("split").is_visible()
        shown.find(name).first.fill(before)
        assert "Train" in shown.text("answer")
    assert shown.page.locator("[aria-invalid]").count() == 0


def test_tokens_that_no_text_can_use_are_left_unspent(opened):
    shown = opened()
    for box in shown.find("unique").all():
        box.fill("1000")
    shown.find("unique-general").fill("1000")
    shares = [float(cells[1].strip("%")) for cells in table(shown, "split").values() if cells[1]]
    assert sum(shares) == pytest.approx(100, abs=0.2)
    assert ("left unspent" in shown.text("split")) == ("unspent" in shown.text("answer"))


HOSTILE = (
    "<b>bold</b>",
    "</script><script>document.title='1'</script>",
    "\"><img src=x onerror=document.title='2'>",
    "a & 'b' `c` ${d}",
    "_hidden $x$ $\\frac$",
    "🦊 עברית",
)


def test_names_of_domains_are_text_in_page_and_report(opened, tmp_path):
    parameters = dict.fromkeys(HOSTILE, PARAMETERS)
    ranges = {"params": (1e5, 4e5), "pretrain_tokens": (0.0, 4e6), "specialize_tokens": (0.0, 1e6)}
    law = FitResult.of_parameters("two_skills", parameters, drawn=[parameters], range=ranges)
    made = plan(law, flops=3e12, params=2e5).to_json()
    write_plan_page(law, tmp_path / "plan_page.html", law="fit.json", plan=made)
    inputs = Inputs(folder=tmp_path, table=tmp_path / "losses.csv", fit=law, plan=made)
    recipes = read_recipes(inputs)
    style.set_theme()
    style.save(figures_plan.split(inputs, recipes), tmp_path, "split")
    drawn = {spec.name: None for spec in FIGURES} | {"split": (tmp_path / "split.svg").read_text()}
    (tmp_path / "report.html").write_text(render(page_content(inputs, recipes, drawn)))
    for file in PAGES:
        shown = opened(file, folder=tmp_path)
        assert shown.page.locator("main :is(b, img)").count() == 0
        assert shown.page.title() not in ("1", "2")
        rows = table(shown, "split")
        assert set(rows) == {"general", *HOSTILE}
    shown = opened("report.html", folder=tmp_path)
    labels = shown.page.locator("#split svg text").all_text_contents()
    assert {style.label(name).strip() for name in HOSTILE} <= {label.strip() for label in labels}


PARAMETERS = {
    "E": 1.0, "A": 18.0, "alpha": 0.3, "F": 30.0, "phi": 0.25, "B": 42.0, "beta": 0.3,
    "kappa": 0.05, "gamma": 0.95,
}  # fmt: skip


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


@pytest.fixture(scope="module")
def base_page(tmp_path_factory):
    """The page of a law with a base of known tokens, and the plan that it opens with."""
    fit = fit_table(planted_replay.table(), law="coupled", draws=10, base_tokens=BASE)
    flops = 6 * planted_replay.PARAMS * 3e6
    made = plan_with_replay(fit, flops=flops, max_general_loss_rise=0.05, base_general_loss=3.5)
    folder = tmp_path_factory.mktemp("base")
    write_plan_page(fit, folder / "plan_page.html", law="fit.json", plan=made.to_json())
    return folder, made


@pytest.mark.parametrize("width", [390, 820, 1440])
def test_the_page_of_a_base_has_the_plan_within_its_limit(opened, base_page, width):
    folder, made = base_page
    shown = opened(folder=folder, width=width)
    settle(shown)
    answer, worst = shown.text("answer"), made.general_loss_rise["worst"]
    loss = float(re.search(r"mean loss of ([\d.]+)", answer)[1])
    assert loss == pytest.approx(made.predicted_mean_loss[0], rel=1e-3)
    assert answer.startswith("From the base, train")
    shown_rise = float(re.search(r"rises by at most ([\d.]+)%", answer)[1])
    assert shown_rise == pytest.approx(100 * worst, abs=0.1)
    rows = table(shown, "split")
    for name, share in made.replay.items():
        # The margin of the page does not vary with the share, whose optimum is flat.
        assert float(rows[name][2].strip("%")) == pytest.approx(100 * share, abs=1.5)
        assert float(rows[name][3]) == pytest.approx(made.general_loss[name][0], rel=1e-3)
    assert "No replay" in table(shown, "recipes")
    assert "--max-general-loss-rise 0.05" in shown.text("command")
    assert "--limit-confidence 0.9" in shown.text("command")
    assert "--base-general-loss 3.5" in shown.text("command")
    assert shown.find("front").locator(".recipe").count() == 4
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_limit_chooses_a_point_of_the_front(opened, base_page):
    shown = opened(folder=base_page[0])
    found = []
    for limit in ("4", "12", ""):
        shown.find("limit").fill(limit)
        settle(shown)
        point = shown.find("front").locator(".plan")
        found.append([float(point.get_attribute(name)) for name in ("cx", "cy")])
        rise = float(re.search(r"rises by at most ([\d.]+)%", shown.text("answer"))[1])
        assert rise <= float(limit or 100) + 0.1
    # To the right is more general loss, downwards is less domain loss.
    assert found[0][0] < found[1][0] < found[2][0] and found[0][1] < found[1][1] < found[2][1]
    shown.page.get_by_text("The front as a table").click()
    assert len(table(shown, "front-table")) > 5
    shown.find("limit").fill("-60")
    assert re.search(r"No plan of this budget keeps .* is -?[\d.]+%", shown.text("answer"))
    assert not shown.find("split").is_visible()
