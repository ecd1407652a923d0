"""Training throughput of this machine by size: short runs of the real trainer on random tokens."""

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
from splitlaw.experiment.config import RunsConfig
from splitlaw.experiment.lineage import GENERAL, Run
from splitlaw.experiment.settings import ExecutionConfig
from splitlaw.scheduling.throughput import Throughput, calibrated_config

if TYPE_CHECKING:
    from splitlaw.training.loop import Trainer

DOCUMENT, DOCUMENTS = 800, 20
"""Tokens of a held-out document and number of documents; evaluating them takes milliseconds."""
TRAIN_TOKENS = 2_000_000
"""Far more than a batch; a measurement that requires more repeats them."""
WARMUP_STEPS = 20
"""Steps before the first measurement, after which caches and clock rates are steady."""
REPETITIONS = 5
"""The fastest of several measurements counts: load from other processes only makes one slower."""


def calibrate(config: RunsConfig, *, out: Path, command: Sequence[str]) -> None:
    """Measure the throughput of every size and write it to `out`.

    Each size is measured by its own process, `command --size NAME --out FILE`, so that its start
    and its memory are those of a job.
    """
    sizes: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for size in config.sizes:
            file = Path(folder) / f"{size}.json"
            began = ["--began", repr(time.time())]
            done = subprocess.run([*command, "--size", size, "--out", str(file), *began])
            if done.returncode:  # the process has printed why
                sys.exit(done.returncode)
            measured = read_json(file)
            device, sizes[size] = measured["device"], measured["throughput"]
            report(size, Throughput(**sizes[size]))
    content = {"measured": calibrated_config(config), "device": device, "sizes": sizes}
    write_json(out, {**content, **provenance.environment()})


def report(size: str, throughput: Throughput) -> None:
    """Print the result of one size."""
    print(
        f"{size}: {throughput.tokens_per_second:,.0f} tokens/s, "
        f"starts in {throughput.start_seconds:.1f} s",
        file=sys.stderr,
        flush=True,
    )


def measure(
    config: RunsConfig, size: str, *, seconds: float, began: float, out: Path, gpu: bool = False
) -> int:
    """Write the throughput of one size: steps, states and evaluation of the real trainer.

    Training takes about `seconds` in all. `began` is the start of the process, in seconds since
    the epoch. With `gpu`, a CPU is refused unless the configuration names it. Returns the exit
    status.
    """
    from splitlaw.training.launcher import is_launched, launch

    execution = _execution(config, size, gpu=gpu)
    shape = config.shape_of(size)
    folder = out.with_suffix("")  # the same in all processes of a run
    sidecar = folder / "tokens" / GENERAL / "tokens.json"
    if not is_launched():
        write_random_tokens(sidecar, vocabulary=shape.vocabulary)
        if execution.processes > 1:
            return launch(execution.processes)
    from splitlaw.training.loop import Trainer
    from splitlaw.training.text import TrainingText

    trainer = Trainer(
        shape=shape,
        config=config.training,
        seed=0,
        text=TrainingText(sidecars={GENERAL: sidecar}),
        checkpoints=folder / "checkpoints",
        execution=execution,
        progress=Progress(size, quiet=True),
    )
    train_unsplit(trainer, WARMUP_STEPS)
    ready = time.time() - began
    tokens_per_second, run_seconds = measure_training(trainer, seconds)
    evaluated_tokens_per_second = measure_evaluation(trainer, sidecar)
    memory_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    throughput = Throughput(
        tokens_per_second=tokens_per_second,
        evaluated_tokens_per_second=evaluated_tokens_per_second,
        start_seconds=ready,
        run_seconds=run_seconds,
        memory_mb=memory_kb / 1024 * execution.processes,
    )
    if trainer.world.main:
        write_json(out, {"device": device_name(trainer), "throughput": asdict(throughput)})
    return 0


def _execution(config: RunsConfig, size: str, *, gpu: bool) -> ExecutionConfig:
    """The execution of a size, without trackers; with `gpu`, its device is not `auto`."""
    execution = config.execution_of(size).model_copy(update={"repeat": True, "trackers": ()})
    if gpu and execution.device == "auto":
        return execution.model_copy(update={"device": "cuda"})
    return execution


def measure_evaluation(trainer: Trainer, sidecar: Path) -> float:
    """Largest number of held-out tokens that are evaluated in a second."""
    from splitlaw.training.evaluation import cut_windows, evaluate

    windows = cut_windows(sidecar, context=trainer.shape.context, limit=DOCUMENT * DOCUMENTS)
    seconds = [seconds_of(lambda: evaluate(trainer.model, windows)) for _ in range(REPETITIONS)]
    return (DOCUMENT - 1) * DOCUMENTS / min(seconds)


def measure_training(trainer: Trainer, seconds: float) -> tuple[float, float]:
    """Largest tokens per second, and smallest duration of a run without its steps."""
    from splitlaw.training.loop import Usage

    trainer.usage = Usage()
    train_unsplit(trainer, 2 * WARMUP_STEPS)
    step_seconds = trainer.usage.seconds / trainer.usage.steps
    # All processes must train the same number of steps.
    steps = trainer.world.on_main(
        lambda: WARMUP_STEPS + round(seconds / step_seconds / REPETITIONS)
    )
    speeds, other_seconds = [], []
    for repetition in range(REPETITIONS):
        trainer.usage, start = Usage(), time.monotonic()
        train_unsplit(trainer, 2 * WARMUP_STEPS + (repetition + 1) * steps)
        speeds.append(trainer.tokens_per_second)
        other_seconds.append(time.monotonic() - start - trainer.usage.seconds)
    return max(speeds), max(0.0, min(other_seconds))


def train_unsplit(trainer: Trainer, steps: int) -> None:
    """Train an unsplit run of `steps` steps."""
    run = Run(domain=GENERAL, pretrain_steps=steps, specialize_steps=0)
    trainer.reach(run.lineage(trainer.config.cooldown_fraction))


def device_name(trainer: Trainer) -> str:
    """Name of the device."""
    if trainer.device.type != "cuda":
        return trainer.device.type
    import torch

    return torch.cuda.get_device_name(trainer.device)


def seconds_of(action: Callable[[], object]) -> float:
    """Wall time of `action`."""
    start = time.monotonic()
    action()
    return time.monotonic() - start


def write_random_tokens(sidecar: Path, *, vocabulary: int) -> None:
    """Write token files of random tokens and their sidecar, in the format of `tokenize`."""
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
