"""Time to make the report, and time of a redraw of its explorer.

python perf/report.py [--results results/default] [--rows 5000]

The report is made from planted results, once as they are and once with a larger table of losses.
Redraws are timed in Chromium, from the event of a slider to the new figure (clock of the page), and
to the next frame.
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests/report"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflow_scripts"))

import numpy as np
import pandas as pd
from planted_results import flops_per_token, plant, true_loss
from playwright.sync_api import sync_playwright

from splitlaw.report import make_report

MOVES = 60
REDRAW = """async ([control, moves]) => {
  const slider = document.querySelector(`[data-is=${control}]`), root = slider.closest("section");
  const low = Number(slider.min), high = Number(slider.max), own = [], whole = [];
  const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));
  for (let i = 0; i < moves; i++) {
    slider.value = low + (high - low) * ((17 * i) % moves) / (moves - 1);
    const began = performance.now();
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    own.push(Number(root.dataset.milliseconds));
    await frame();
    whole.push(performance.now() - began);
  }
  return [own, whole];
}"""


def many_losses(rows: int) -> pd.DataFrame:
    """Losses of a planted law in `rows` rows, a fifth of which are held out."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "params": rng.choice(np.geomspace(2e4, 2e6, 12).round(), rows),
            "pretrain_tokens": rng.choice([0, *np.geomspace(3e5, 3e7, 7).round()], rows),
            "specialize_tokens": rng.choice(np.geomspace(2e5, 1e7, 8).round(), rows),
            "domain": rng.choice(["law", "medicine", "science", "code"], rows),
        }
    )
    columns = ["params", "pretrain_tokens", "specialize_tokens", "domain"]
    points = table[columns].itertuples(index=False)
    table["loss"] = [true_loss(*point) * np.exp(rng.normal(0, 0.002)) for point in points]
    table["split"] = np.where(rng.random(rows) < 0.2, "holdout", "fit")
    return table.assign(
        size=[f"n{n:.0f}" for n in table["params"]],
        flops_per_token=flops_per_token(table["params"]),
        train_domain=table["domain"],
        trunk=table["params"].astype(str),
        seed=0,
    )


def time_report(rows: int, folder: Path) -> None:
    results = plant(folder / "results", draws=300)
    for name, table in (("as planted", None), (f"{rows} rows", many_losses(rows))):
        if table is not None:
            table.to_csv(results / "losses.csv", index=False)
        began = time.perf_counter()
        make_report(results, out=folder / "report.html", figures=folder / "figures")
        seconds, size = time.perf_counter() - began, (folder / "report.html").stat().st_size
        print(f"report, {name}: {seconds:.1f} s, {size / 1e6:.2f} MB")


def time_redraws(page_file: Path) -> None:
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        for width in (1440, 390):
            page = chromium.new_page(viewport={"width": width, "height": 900})
            page.goto(page_file.as_uri())
            page.wait_for_timeout(1500)
            for control in ("flops", "params"):
                own, whole = (np.array(t) for t in page.evaluate(REDRAW, [control, MOVES]))
                times = ", ".join(
                    f"{name} median {np.median(t):.1f}, 95% {np.quantile(t, 0.95):.1f}, "
                    f"maximum {t.max():.1f} ms"
                    for name, t in (("redraw", own), ("to the next frame", whole))
                )
                print(f"{page_file.name}, {width} pixels, {control}: {times}")
            page.close()
        chromium.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--results", type=Path, help="an experiment whose pages are timed instead")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        time_report(arguments.rows, folder)
        if arguments.results:
            folder = folder / "own"
            make_report(arguments.results, out=folder / "report.html", figures=folder / "figures")
        for file in ("report.html", "plan_page.html"):
            time_redraws(folder / file)


if __name__ == "__main__":
    main()
