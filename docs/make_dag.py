"""Draw docs/figures/dag.svg: the stages of the workflow and the dependencies between them.

python docs/make_dag.py
"""

import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflow_scripts"))

import networkx as nx
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from splitlaw.common.stages import stage_of
from splitlaw.report import style

ROOT = Path(__file__).resolve().parent.parent
FIGURE = ROOT / "docs" / "figures" / "dag.svg"
WIDTH, HEIGHT = 1.7, 0.62

PLACES = {
    "prepare_corpus": (0, 0, "clean, split text"),
    "train_tokenizer": (1, 0.55, "tokenizer/"),
    "tokenize": (1, -0.55, "tokens/"),
    "pretrain": (2, 0.55, "trunks"),
    "specialize": (2, -0.55, "branches"),
    "evaluate": (3, 0, "losses.csv"),
    "fit_law": (4, 0.55, "law/fit.json"),
    "choose_split": (4, -0.55, "split/plan.json"),
    "train_final": (5, 0, "final/"),
    "benchmark": (6, 0.55, "benchmarks.csv"),
    "report": (6, -0.55, "report.html"),
}
"""Column, row and main output of each stage."""


def stages() -> nx.DiGraph:
    """The graph of stages from Snakemake, without edges that others imply."""
    output = subprocess.run(
        [
            sys.executable,
            "-m",
            "snakemake",
            "--cores",
            "1",
            "--rulegraph",
            "dot",
            "--forceall",
            "--quiet",
            "all",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    names = dict(re.findall(r'^\s*(\d+)\[label = "(\w+)', output, re.MULTILINE))
    graph = nx.DiGraph()
    for begin, end in re.findall(r"^\s*(\d+) -> (\d+)", output, re.MULTILINE):
        pair = [stage_of(names[node]) for node in (begin, end)]
        if "all" not in pair and pair[0] != pair[1]:
            graph.add_edge(*pair)
    return nx.transitive_reduction(graph)


def draw(graph: nx.DiGraph) -> Figure:
    """The figure."""
    assert set(graph) == set(PLACES), f"stages have changed: {set(graph) ^ set(PLACES)}"
    style.set_theme()
    figure = Figure(figsize=(9.6, 2.3))
    axis = figure.subplots()
    centre = {name: (column * 2.1, row * 1.25) for name, (column, row, _) in PLACES.items()}
    for name, (x, y) in centre.items():
        corner = (x - WIDTH / 2, y - HEIGHT / 2)
        axis.add_patch(
            FancyBboxPatch(
                corner, WIDTH, HEIGHT, boxstyle="round,pad=0.04", fc="#f5f3ee", ec=style.INK, lw=0.8
            )
        )
        axis.text(x, y + 0.12, name, ha="center", va="center", fontsize=9, fontweight="bold")
        axis.text(x, y - 0.16, PLACES[name][2], ha="center", va="center", fontsize=8)
    for begin, end in graph.edges:
        axis.add_patch(_arrow(centre[begin], centre[end]))
    axis.set(xlim=(-1, 6 * 2.1 + 1), ylim=(-1.25, 1.25), aspect="equal")
    axis.axis("off")
    return figure


def _arrow(begin: tuple[float, float], end: tuple[float, float]) -> FancyArrowPatch:
    """An arrow to the next column, or to the box above or below."""
    if begin[0] == end[0]:
        down = HEIGHT / 2 + 0.04 if begin[1] > end[1] else -HEIGHT / 2 - 0.04
        points = (begin[0], begin[1] - down), (end[0], end[1] + down)
    else:
        points = (begin[0] + WIDTH / 2 + 0.04, begin[1]), (end[0] - WIDTH / 2 - 0.04, end[1])
    return FancyArrowPatch(*points, arrowstyle="-|>", mutation_scale=9, color=style.INK, lw=0.9)


if __name__ == "__main__":
    style.save(draw(stages()), FIGURE.parent, FIGURE.stem)
    FIGURE.with_suffix(".png").unlink()
