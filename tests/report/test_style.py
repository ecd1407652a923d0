"""Names and labels in figures, and columns without values in tables."""

import numpy as np
from matplotlib.figure import Figure

from splitlaw.experiment.strategies import REPLAY_STRATEGIES, STRATEGIES
from splitlaw.report import style
from splitlaw.report.table import Table
from splitlaw.report.task_names import metric_name, task_name


def test_names_of_domains_are_drawn_as_they_are(tmp_path):
    """Dollar signs are no formula, and a leading underscore hides no entry of a legend."""
    style.set_theme()
    names = ["$x$ and $\\frac$", "_hidden", "a  long\nname of more than twenty-four letters"]
    figure = Figure(figsize=(style.WIDTH, 2))
    axis = figure.subplots()
    for name in names:
        axis.plot([0, 1], label=style.label(name))
    figure.legend(ncols=style.legend_columns([style.label(name) for name in names]))
    style.save(figure, tmp_path, "names")
    drawn = (tmp_path / "names.svg").read_text()
    for text in ("$x$ and $\\frac$", "_hidden", "a long name of more tha…"):
        assert text in drawn


def test_a_legend_has_the_columns_that_fit():
    assert style.legend_columns(["a", "b", "c"]) == 3
    assert style.legend_columns(["domain of text"] * 9) == 3
    assert style.legend_columns(["n" * style.MOST_LETTERS] * 4) == 2


def test_labels_of_an_axis_do_not_overlap():
    axis = Figure().subplots()
    style.ZeroSlot([0, 98_304, 327_680, 458_752]).set_axis(axis, most=3)
    assert [text.get_text() for text in axis.get_xticklabels()] == ["0", "98.3k", "459k"]
    style.ZeroSlot([1e5, 2e5, 4e5]).set_axis(axis, most=3)
    np.testing.assert_allclose(axis.get_xticks(), [1e5, 2e5, 4e5])


def test_every_recipe_has_a_colour_of_its_own():
    inks = style.recipe_colours()
    for family in (STRATEGIES, REPLAY_STRATEGIES):
        assert len({str(inks[name]) for name in family}) == len(family)


def test_columns_without_values_are_left_out():
    table = Table(
        title="", head=["", "a", "b", "c"], rows=[["x", "–", "1", ""], ["", "–", "–", ""]]
    )
    short = table.without_empty_columns()
    assert short.head == ["", "b"] and short.rows == [["x", "1"], ["", "–"]]


def test_tasks_have_their_names():
    assert task_name("local_arc_easy") == "ARC-Easy" and task_name("piqa") == "PIQA"
    assert task_name("heldout_law") == "held-out law" and task_name("my_task") == "my_task"
    assert (
        metric_name("acc_norm") == "normalised accuracy" and metric_name("f1_score") == "f1 score"
    )
