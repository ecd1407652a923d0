"""Measure on one GPU what docs/performance.md lists as not measured, in one command.

    python perf/gpu.py
    python perf/gpu.py --peak 989e12                # of a GPU that is not in the table of peaks
    python perf/gpu.py --device cpu --tiny          # the same steps on a CPU, in half a minute

A model of 350 million parameters with a context of 2,048 tokens in bf16:

1. the largest microbatch that fits in 85% of the memory, found by the training loop;
2. tokens per second, model FLOPs utilization (MFU) and peak memory of splitlaw and of a plain loop
   in the style of nanoGPT, which take turns (`perf/train_throughput.py`). It is not nanoGPT's code:
   the model is the same Llama in both, so that the loops are compared and not the models;
3. the shares of GPU time by kind of kernel, which say what limits the MFU;
4. a run that is killed by SIGKILL and resumed, compared byte by byte with an undisturbed one.

MFU is the training FLOPs of the model, the attention included, over the GPU's dense peak in bf16.
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflow_scripts"))

import kills
from train_throughput import Task, compare, matrix_rate, ours, plant_tokens

from splitlaw.experiment.lineage import GENERAL
from splitlaw.experiment.shape import Shape

PEAKS = {
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "A100": 312e12,
    "A10": 125e12,
    "L40S": 362e12,
    "L4": 121e12,
    "4090": 165e12,
    "3090": 71e12,
    "V100": 125e12,
}
"""Dense FLOPs per second in bf16 (fp16 for V100) by a part of the name, from the makers' data
sheets. The first name that occurs counts."""
LARGE = Shape(vocabulary=32768, width=1024, layers=24, heads=16, intermediate=2816, context=2048)
TINY = Shape(vocabulary=1024, width=16, layers=1, heads=2, intermediate=32, context=32)
KINDS = {
    "attention": re.compile("flash|fmha|attention|sdpa", re.IGNORECASE),
    "matrix products": re.compile("gemm|cutlass|nvjet|cublas|xmma", re.IGNORECASE),
    "optimizer": re.compile("adam|multi_tensor|foreach", re.IGNORECASE),
    "fused elementwise": re.compile("triton"),
}
"""Kinds of kernels by their names; the first that matches counts."""
LOOPS = ("ours", "nanogpt_style")
TARGET_MFU = 0.4


def peak_of(name: str, given: float | None) -> float:
    """FLOPs per second of a GPU; one that is not in the table must be given."""
    known = next((peak for part, peak in PEAKS.items() if part in name), None)
    if given is None and known is None:
        sys.exit(
            f"error: the peak of {name} is not known; give it with --peak, in FLOPs per second"
        )
    return float(given or known or 0)


def find_microbatch(task: Task, pipe: Any) -> None:
    """Send the largest microbatch that fits, which the training loop finds for `rows` sequences."""
    import torch

    if task.device == "cuda":  # the two loops that are compared hold their weights at the same time
        torch.cuda.set_per_process_memory_fraction(0.85)
    trainers: list[Any] = []
    steps = ours(task, trainers.append)
    next(steps)
    pipe.send(trainers[0].gradients.microbatch)


def in_process(measure: Callable[[Task, Any], None], task: Task) -> Any:
    """What `measure` sends from a process of its own, whose memory is then free again."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=measure, args=(task, there))
    process.start()
    process.join()
    if process.exitcode:
        sys.exit(process.exitcode)
    return here.recv()


def profile(task: Task, pipe: Any) -> None:
    """Send the GPU seconds of a round by kind of kernel, and under `wall` that of its steps.

    Copies are those of the state that the round stores, and are left out.
    """
    import torch

    steps = ours(task)
    next(steps)
    seconds = dict.fromkeys((*KINDS, "other"), 0.0)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
        taken = next(steps)
        seconds["wall"] = float(taken or 0)
    for event in profiler.key_averages():
        if event.key.startswith("Memcpy"):
            continue
        kind = next((kind for kind, names in KINDS.items() if names.search(event.key)), "other")
        seconds[kind] += event.self_device_time_total / 1e6
    pipe.send(seconds)


def print_profile(seconds: dict[str, float]) -> None:
    """Print the share of the duration that each kind of kernel takes."""
    wall = seconds.pop("wall")
    busy = sum(seconds.values())
    shares = [f"{kind} {part / wall:.1%}" for kind, part in seconds.items()]
    print(
        f"GPU time by kind of kernel: {', '.join(shares)}, idle {1 - busy / wall:.1%}", flush=True
    )


def logged_steps(results: Path) -> int:
    """The last step in the log of a run, which has every tenth; 0 before the first."""
    rows = [row for log in results.glob("checkpoints/**/train_log.csv") for row in read_rows(log)]
    return max((int(row["step"]) for row in rows if (row["step"] or "").isdigit()), default=0)


def read_rows(log: Path) -> list[dict[str, str]]:
    """The rows of a log."""
    with log.open(newline="") as stream:
        return list(csv.DictReader(stream))


def kill_and_resume(folder: Path, task: Task) -> bool:
    """Whether a trunk that is killed in the middle and resumed ends in the same bytes."""
    steps = task.steps
    config = {
        **kills.CONFIG,
        "shape": task.shape,
        "training": {**kills.CONFIG["training"], "batch_tokens": task.batch_tokens},
        "cells": [],
        "unsplit": [2 * steps],
    }
    runs = []
    for name in ("undisturbed", "killed"):
        results = folder / name
        (results / "tokens").mkdir(parents=True)
        shutil.copytree(Path(task.tokens).parent, results / "tokens" / GENERAL)
        runs.append(
            kills.Training(
                stage="trunk",
                processes=1,
                results=results,
                device=task.device,
                config=config,
                compile=task.compile,
                checkpoint_seconds=5.0,
            )
        )
    undisturbed, killed = runs
    undisturbed.finish()
    process = killed.start()
    while process.poll() is None:
        if logged_steps(killed.results) >= steps:  # half of them
            os.killpg(process.pid, signal.SIGKILL)
            break
        time.sleep(0.02)
    print(f"killed after step {logged_steps(killed.results)}: status {process.wait()}", flush=True)
    killed.finish()
    return bool(undisturbed.states()) and undisturbed.states() == killed.states()


def main() -> None:
    """Run the command; see --help."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--peak", type=float, help="FLOPs per second of the GPU in bf16")
    parser.add_argument("--rows", type=int, default=64, help="sequences to begin the search with")
    parser.add_argument("--steps", type=int, default=20, help="steps of a round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (%(default)s)")
    parser.add_argument("--kill-layers", type=int, help="layers of the run that is killed")
    parser.add_argument("--eager", action="store_true", help="do not compile")
    parser.add_argument("--tiny", action="store_true", help="a model of 17 thousand parameters")
    arguments = parser.parse_args()
    shape = TINY if arguments.tiny else LARGE
    name, peak = device_and_peak(arguments)
    print(f"{name}: {shape.params:,} parameters, context {shape.context:,}", flush=True)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "tokens").mkdir()
        task = Task(
            shape=asdict(shape),
            rows=arguments.rows,
            steps=arguments.steps,
            device=arguments.device,
            compile=not arguments.eager,
            threads=1,
            tokens=str(plant_tokens(folder / "tokens", shape.vocabulary)),
        )
        microbatch = in_process(find_microbatch, task)
        print(f"microbatch: {microbatch} of {task.rows} sequences fit in memory", flush=True)
        task = replace(task, rows=microbatch)
        result = compare(task, arguments.rounds, LOOPS)
        report(result, shape, peak)
        if arguments.device == "cuda":
            print_profile(in_process(profile, task))
        task = replace(
            task, shape=asdict(replace(shape, layers=arguments.kill_layers or shape.layers))
        )
        same = kill_and_resume(folder, task)
        print(f"killed and resumed: the final states are {'the same' if same else 'NOT the same'}")
    sys.exit(not same)


def device_and_peak(arguments: argparse.Namespace) -> tuple[str, float]:
    """The name of the device and its peak; of a CPU, that of a large matrix product."""
    import torch

    if arguments.device == "cpu":
        return "cpu", arguments.peak or matrix_rate("cpu", 1)
    if not torch.cuda.is_available():
        sys.exit("error: no GPU was found; --device cpu --tiny takes the same steps on a CPU")
    name = torch.cuda.get_device_name()
    return name, peak_of(name, arguments.peak)


def report(result: dict[str, Any], shape: Shape, peak: float) -> None:
    """Print the speed of both loops, and whether splitlaw reaches what was aimed at."""
    for loop in LOOPS:
        speed = result["speed"][loop]
        mfu = speed * shape.flops_per_token / peak
        print(
            f"{loop:14} {speed:12,.0f} tokens/s   MFU {mfu:6.1%} of {peak:.3g} FLOPs/s   "
            f"{result['memory'][loop] / 2**20:8,.0f} MiB   "
            f"start-up {result['startup'][loop]:5.1f} s",
            flush=True,
        )
    ratio = result["ratio"]["nanogpt_style"]
    mfu = result["speed"]["ours"] * shape.flops_per_token / peak
    print(f"splitlaw is {ratio:.2f} times as fast as the plain loop (aim: 1.00)")
    print(f"MFU {mfu:.1%} (aim: {TARGET_MFU:.0%})")
    print(json.dumps({"ratio": round(ratio, 3), "mfu": round(mfu, 4)}), flush=True)


if __name__ == "__main__":
    main()
