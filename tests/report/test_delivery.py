"""The report's table and figure of the ways to use the final models."""

import pandas as pd

from splitlaw.report import style
from splitlaw.report.delivery import write_figure
from splitlaw.report.figures_delivery import delivery
from splitlaw.report.inputs import read_inputs
from splitlaw.report.tables_experiment import delivery_table


def planted_rows():
    about = {"params_stored": 6000, "params_active": 1000, "tokens_per_second": 5e4}
    about |= {"generated_per_second": 400.0, "memory_mb": 1.5}
    losses = {"law": 3.0, "code": 2.0, "mixed": 4.0, "all_tasks": None}
    return pd.DataFrame(
        [
            {"system": system, "domain": domain, "loss": loss and loss + number, **about}
            for number, system in enumerate(["routed", "average"])
            for domain, loss in losses.items()
        ]
    )


def test_the_report_has_the_table_and_the_figure_where_there_is_a_comparison(results, tmp_path):
    assert delivery_table(read_inputs(results)) is None and delivery(read_inputs(results)) is None
    (results / "delivery").mkdir()
    planted_rows().to_csv(results / "delivery/comparison.csv", index=False)
    inputs = read_inputs(results)
    table = delivery_table(inputs)
    assert table.head[:4] == ["System", "law", "code", "mixed"]
    assert table.rows[0] == ["Routed", "3.000", "2.000", "4.000", "6k", "1k", "50k", "400", "1.5"]
    style.set_theme()
    axis = delivery(inputs).axes[0]
    assert [list(line.get_ydata()) for line in axis.lines] == [[4.0], [2.5], [5.0], [3.5]]
    text = write_figure(inputs.delivery, tmp_path / "comparison.csv")
    assert "mean domain loss" in text and (tmp_path / "comparison.png").is_file()
