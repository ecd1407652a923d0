"""How fast this machine trains each size: a short run of the real trainer on planted tokens."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from splitlaw import provenance
from splitlaw.experiment import Config, shape_of
from splitlaw.files import write_json
from splitlaw.needs import Pace, calibrated_config
from splitlaw.paths import GENERAL, Run

DOCUMENT, DOCUMENTS = 800, 20
"""Tokens of a planted held-out document, and how many there are."""
TRAIN_TOKENS = 2_000_000
WARM = 20
"""Steps before anything is measured; they compile."""


def calibrate(
    config: Config, *, seconds: float, out: Path, say: Callable[[str], None] = print
) -> None:
    """Measure the pace of every size for about `seconds` each and write it to `out`."""
    from splitlaw.training import Execution

    wanted = dict(config.get("execution", {}))
    wanted.pop("flops_per_second", None)
    execution = Execution(**{**wanted, "repeat": True})
    imports = import_seconds()
    sizes: dict[str, Any] = {}
    for size in config["sizes"]:
        pace = measure(config, size, execution, seconds=seconds, imports=imports)
        sizes[size] = asdict(pace)
        say(f"{size}: {pace.tokens_per_second:,.0f} tokens/s, starts in {pace.start_seconds:.1f} s")
    device = str(execution.resolve_device())
    content = {"measured": calibrated_config(config), "device": device, "sizes": sizes}
    write_json(out, {**content, **provenance.environment()})


def import_seconds() -> float:
    """Seconds of a new process until it has what training needs."""
    code = f"import sys; sys.path[:0] = {sys.path!r}; import splitlaw.runs"
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.monotonic() - began


def measure(config: Config, size: str, execution: Any, *, seconds: float, imports: float) -> Pace:
    """The pace of one size: the trainer's own steps, states and evaluation."""
    from splitlaw.evaluation import cut_windows, evaluate
    from splitlaw.training import Cost, Recipe, Trainer

    shape, training = shape_of(config, size), config["training"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sidecar = plant(folder / "tokens" / GENERAL, vocabulary=shape.vocabulary)
        began = time.monotonic()
        trainer = Trainer(
            shape=shape,
            recipe=Recipe(**{**training, "betas": tuple(training["betas"])}),
            seed=0,
            sidecars={GENERAL: sidecar},
            checkpoints=folder / "checkpoints",
            execution=execution,
            report=lambda line: None,
        )

        fraction = training["cooldown_fraction"]
        trainer.reach(unsplit(WARM).path(fraction))
        ready = time.monotonic() - began
        trainer.cost = Cost()
        trainer.reach(unsplit(2 * WARM).path(fraction))
        trainer.cost, step = Cost(), trainer.cost.seconds / trainer.cost.steps
        began = time.monotonic()
        trainer.reach(unsplit(3 * WARM + round(seconds / step)).path(fraction))
        taken = time.monotonic() - began
        windows = cut_windows(sidecar, context=shape.context, limit=DOCUMENT * DOCUMENTS)
        evaluate(trainer.model, windows)
        began = time.monotonic()
        evaluate(trainer.model, windows)
        evaluation = time.monotonic() - began
    return Pace(
        tokens_per_second=trainer.speed,
        evaluated_tokens_per_second=(DOCUMENT - 1) * DOCUMENTS / evaluation,
        start_seconds=imports + ready,
        run_seconds=max(0.0, taken - trainer.cost.seconds),
        memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


def unsplit(steps: int) -> Run:
    """A run of so many steps on general text alone."""
    return Run(domain=GENERAL, pretrain_steps=steps, specialize_steps=0)


def plant(folder: Path, *, vocabulary: int) -> Path:
    """Token files of random tokens, as `tokenize` writes them; gives the sidecar."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    dtype = "uint16" if vocabulary <= 2**16 else "uint32"
    splits = {}
    for split, count in (("train", TRAIN_TOKENS), ("test", DOCUMENT * DOCUMENTS)):
        generator.integers(0, vocabulary, size=count).astype(dtype).tofile(folder / f"{split}.bin")
        entry = {"tokens": count, "documents": DOCUMENTS, "bytes": 4 * count, "sha256": split}
        splits[split] = {"file": f"{split}.bin", **entry}
    lengths = np.array([[DOCUMENT, 4 * DOCUMENT]] * DOCUMENTS)
    np.save(folder / "test_documents.npy", lengths)
    splits["test"]["documents_file"] = "test_documents.npy"
    sidecar = folder / "tokens.json"
    write_json(sidecar, {"dtype": dtype, "vocabulary": vocabulary, "splits": splits})
    return sidecar
