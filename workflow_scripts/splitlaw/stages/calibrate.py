"""How fast this machine trains each size: a short run of the real trainer on planted tokens."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from splitlaw.common import provenance
from splitlaw.common.files import read_json, write_json
from splitlaw.common.progress import Progress
from splitlaw.experiment.config import Config, execution_of, shape_of
from splitlaw.experiment.lineage import GENERAL, Run
from splitlaw.experiment.settings import ExecutionConfig, TrainingConfig
from splitlaw.scheduling.resources import Throughput, calibrated_config

if TYPE_CHECKING:
    from splitlaw.training.loop import Trainer

DOCUMENT, DOCUMENTS = 800, 20
"""Tokens of a planted held-out document, and how many there are."""
TRAIN_TOKENS = 2_000_000
WARM = 20
"""Steps before anything is measured; they compile."""
STRETCHES = 5
"""The fastest of so many counts: a neighbour's burst is no property of the machine."""


def calibrate(config: Config, *, out: Path, command: Sequence[str]) -> None:
    """Measure the throughput of every size and write it to `out`.

    Each size is measured by a process of its own, `command --size NAME --out FILE`, so that its
    start and its memory are those of a job.
    """
    sizes: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for size in config["sizes"]:
            file = Path(folder) / f"{size}.json"
            began = ["--began", repr(time.time())]
            subprocess.run([*command, "--size", size, "--out", str(file), *began], check=True)
            measured = read_json(file)
            device = measured["device"]
            sizes[size] = measured["throughput"]
            say(size, Throughput(**measured["throughput"]))
    content = {"measured": calibrated_config(config), "device": device, "sizes": sizes}
    write_json(out, {**content, **provenance.environment()})


def say(size: str, throughput: Throughput) -> None:
    """One line of progress."""
    speed = f"{throughput.tokens_per_second:,.0f} tokens/s"
    print(
        f"{size}: {speed}, starts in {throughput.start_seconds:.1f} s", file=sys.stderr, flush=True
    )


def measure(config: Config, size: str, *, seconds: float, began: float, out: Path) -> int:
    """Write the throughput of one size: the trainer's own steps, states and evaluation.

    `began` is when the process was started, in seconds since the epoch. Gives the exit status.
    """
    from splitlaw.training import processes as distributed
    from splitlaw.training.evaluation import cut_windows, evaluate
    from splitlaw.training.loop import Cost, Trainer

    wanted = {**execution_of(config, size), "repeat": True, "trackers": ()}
    wanted.pop("flops_per_second", None)
    execution = ExecutionConfig(**wanted)
    shape, training = shape_of(config, size), config["training"]
    folder = out.with_suffix("")  # all processes of a run have one
    sidecar = folder / "tokens" / GENERAL / "tokens.json"
    if not distributed.launched():
        plant(sidecar, vocabulary=shape.vocabulary)
        if execution.processes > 1:
            return distributed.launch(execution.processes)
    trainer = Trainer(
        shape=shape,
        recipe=TrainingConfig(**training),
        seed=0,
        sidecars={GENERAL: sidecar},
        checkpoints=folder / "checkpoints",
        execution=execution,
        progress=Progress(size, quiet=True),
    )
    fraction = training["cooldown_fraction"]
    trainer.reach(unsplit(WARM).lineage(fraction))
    ready = time.time() - began
    trainer.cost = Cost()
    trainer.reach(unsplit(2 * WARM).lineage(fraction))
    step = trainer.cost.seconds / trainer.cost.steps
    steps = trainer.world.decide(lambda: WARM + round(seconds / step / STRETCHES))  # same for all
    speeds, besides = [], []
    for stretch in range(STRETCHES):
        trainer.cost, start = Cost(), time.monotonic()
        trainer.reach(unsplit(2 * WARM + (stretch + 1) * steps).lineage(fraction))
        speeds.append(trainer.speed)
        besides.append(time.monotonic() - start - trainer.cost.seconds)
    windows = cut_windows(sidecar, context=shape.context, limit=DOCUMENT * DOCUMENTS)
    evaluations = [seconds_of(lambda: evaluate(trainer.model, windows)) for _ in range(STRETCHES)]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    throughput = Throughput(
        tokens_per_second=max(speeds),
        evaluated_tokens_per_second=(DOCUMENT - 1) * DOCUMENTS / min(evaluations),
        start_seconds=ready,
        run_seconds=max(0.0, min(besides)),
        memory_mb=memory * execution.processes,
    )
    if trainer.world.main:
        write_json(out, {"device": describe(trainer), "throughput": asdict(throughput)})
    return 0


def describe(trainer: Trainer) -> str:
    """The device in words."""
    if trainer.device.type != "cuda":
        return trainer.device.type
    import torch

    return torch.cuda.get_device_name(trainer.device)


def seconds_of(action: Callable[[], object]) -> float:
    """Wall time of `action`."""
    start = time.monotonic()
    action()
    return time.monotonic() - start


def unsplit(steps: int) -> Run:
    """A run of so many steps on general text alone."""
    return Run(domain=GENERAL, pretrain_steps=steps, specialize_steps=0)


def plant(sidecar: Path, *, vocabulary: int) -> None:
    """Token files of random tokens, as `tokenize` writes them, and the sidecar."""
    folder = sidecar.parent
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
    write_json(sidecar, {"dtype": dtype, "vocabulary": vocabulary, "splits": splits})
