"""Compare the tokens per second of three training loops on the same model, data and batch.

The loops are ours, one in the style of nanoGPT, and `transformers.Trainer`, written from public
descriptions: nanoGPT's README and the documentation of `Trainer`. They alternate; each runs in its
own process, which waits while another one works. Start-up (imports, building, compilation and the
first steps) is measured separately.

    python perf/train_throughput.py --sizes w16 w56
    python perf/train_throughput.py --device cuda --width 768 --layers 12 --heads 12 \\
        --intermediate 2048 --context 1024 --vocabulary 32768 --rows 32
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "workflow_scripts"))
WARMUP = 20
"""Steps before the first measurement, for compilation and caches."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """The training that every loop runs."""

    shape: dict[str, int]
    rows: int
    steps: int
    device: str
    compile: bool
    threads: int
    tokens: str

    @property
    def batch_tokens(self) -> int:
        return self.rows * self.shape["context"]


def ours(task: Task, inspect: Callable[[Any], object] = id) -> Iterator[float | None]:
    """Train with splitlaw; `inspect` is called with the trainer.

    Yields the seconds that the steps of a round took on a GPU, and None on a CPU.
    """
    from splitlaw.common.progress import Progress
    from splitlaw.experiment.lineage import GENERAL, Segment
    from splitlaw.experiment.settings import ExecutionConfig, TrainingConfig
    from splitlaw.experiment.shape import Shape
    from splitlaw.training.loop import Trainer
    from splitlaw.training.text import TrainingText

    trainer = Trainer(
        shape=Shape(**task.shape),
        config=TrainingConfig(
            batch_tokens=task.batch_tokens,
            warmup_tokens=100 * task.batch_tokens,
            cooldown_fraction=0.2,
            learning_rate=1e-3,
            reference_params=1_000_000,
            learning_rate_exponent=0.0,
            weight_decay=0.1,
            betas=(0.9, 0.95),
            clip=1.0,
        ),
        seed=0,
        text=TrainingText(sidecars={GENERAL: Path(task.tokens)}),
        checkpoints=Path(task.tokens).parent / "a" / "b" / "checkpoints",
        execution=ExecutionConfig(device=task.device, compile=task.compile, repeat=True),
        progress=Progress("ours", quiet=True),
    )
    inspect(trainer)
    done, before = WARMUP, None
    while True:
        trainer.reach((Segment(domain=GENERAL, total=None, stop=done),))
        # Every call stores the model. That of a GPU is large, and takes longer than the steps.
        steps_alone = task.device == "cuda" and before is not None
        yield trainer.usage.seconds - before if steps_alone else None
        done, before = done + task.steps, trainer.usage.seconds


def nanogpt_style(task: Task) -> Iterator[None]:
    """Train as nanoGPT does: random crops of a memory map, clipping, AdamW (fused on a GPU)."""
    import numpy as np
    import torch
    import torch.nn.functional as F

    from splitlaw.experiment.shape import Shape
    from splitlaw.training.model import build_model, use_causal_attention

    shape = Shape(**task.shape)
    device = torch.device(task.device)
    data = np.memmap(Path(task.tokens).with_name("train.bin"), dtype=np.uint16, mode="r")
    autocast = torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()

    class WithLoss(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = build_model(shape, seed=0)

        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            logits = self.model(input_ids=x).logits
            return F.cross_entropy(logits.view(-1, logits.size(-1)), y.reshape(-1))

    def batch() -> tuple[torch.Tensor, torch.Tensor]:
        places = torch.randint(len(data) - shape.context, (task.rows,))
        crops = [data[i : i + shape.context + 1].astype(np.int64) for i in places.tolist()]
        rows = torch.stack([torch.from_numpy(crop) for crop in crops])
        x, y = rows[:, :-1].contiguous(), rows[:, 1:].contiguous()
        if device.type == "cuda":
            x, y = (part.pin_memory().to(device, non_blocking=True) for part in (x, y))
        return x, y

    plain = WithLoss().to(device)
    use_causal_attention(plain.model)  # nanoGPT's own model has no mask either
    decayed = [p for p in plain.parameters() if p.dim() >= 2]
    others = [p for p in plain.parameters() if p.dim() < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}],
        lr=1e-3,
        betas=(0.9, 0.95),
        fused=device.type == "cuda",
    )
    model = torch.compile(plain) if task.compile else plain
    x, y = batch()
    step, until = 0, WARMUP
    while True:
        while step < until:
            for group in optimizer.param_groups:
                group["lr"] = 1e-3 * min(1.0, (step + 1) / 100)
            with autocast:
                loss = model(x, y)
            x, y = batch()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            if step % 10 == 0:
                loss.item()
            step += 1
        if device.type == "cuda":
            torch.cuda.synchronize()
        yield
        until += task.steps


def hf_trainer(task: Task, pause: Callable[[], None]) -> None:
    """Train with `transformers.Trainer`: defaults except for batch, learning rate and clipping."""
    import numpy as np
    import torch
    import transformers

    from splitlaw.experiment.shape import Shape
    from splitlaw.training.model import build_model

    shape = Shape(**task.shape)
    data = np.memmap(Path(task.tokens).with_name("train.bin"), dtype=np.uint16, mode="r")

    class Windows(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return (len(data) - 1) // shape.context

        def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
            begin = index * shape.context
            row = torch.from_numpy(data[begin : begin + shape.context].astype(np.int64))
            return {"input_ids": row, "labels": row}

    class Pause(transformers.TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step >= WARMUP and (state.global_step - WARMUP) % task.steps == 0:
                pause()

    arguments = transformers.TrainingArguments(
        output_dir=str(Path(task.tokens).parent / "hf"),
        per_device_train_batch_size=task.rows,
        max_steps=10**9,
        learning_rate=1e-3,
        weight_decay=0.1,
        adam_beta2=0.95,
        max_grad_norm=1.0,
        logging_steps=10,
        logging_strategy="steps",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=task.device == "cpu",
        bf16=task.device == "cuda",
        torch_compile=task.compile,
    )
    transformers.logging.set_verbosity_error()
    model = build_model(shape, seed=0)
    transformers.Trainer(
        model=model,
        args=arguments,
        train_dataset=Windows(),
        callbacks=[Pause()],
    ).train()


LOOPS: dict[str, Any] = {"ours": ours, "nanogpt_style": nanogpt_style}
NAMES = (*LOOPS, "hf_trainer")


def work(name: str, task: Task, pipe: Any) -> None:
    """Start a loop; then, at each request, train `task.steps` steps and send the seconds."""
    began = time.perf_counter()
    import torch

    torch.set_num_threads(task.threads)
    sys.stdout = open("/dev/null", "w")  # noqa: PTH123, SIM115 - Trainer prints its losses

    def pause(seconds: float | None = None) -> None:
        nonlocal began
        pipe.send(time.perf_counter() - began if seconds is None else seconds)
        if task.device == "cuda":  # the other loop needs the memory
            torch.cuda.empty_cache()
        if pipe.recv() == "stop":
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            if task.device == "cuda":
                memory = torch.cuda.max_memory_allocated()
            pipe.send(memory)
            raise SystemExit
        began = time.perf_counter()

    if name == "hf_trainer":
        hf_trainer(task, pause)
    for seconds in LOOPS[name](task):
        pause(seconds)


def matrix_rate(device: str, threads: int) -> float:
    """Return the FLOPs per second of a large matrix product: bf16 on a GPU, float32 on a CPU."""
    import torch

    torch.set_num_threads(threads)
    side, kind = (8192, torch.bfloat16) if device == "cuda" else (1024, torch.float32)
    a = torch.randn(side, side, device=device, dtype=kind)
    best = 0.0
    for _ in range(12):
        began = time.perf_counter()
        a @ a
        if device == "cuda":
            torch.cuda.synchronize()
        best = max(best, 2 * side**3 / (time.perf_counter() - began))
    return best


def plant_tokens(folder: Path, vocabulary: int, count: int = 4_000_000) -> Path:
    """Write a token file of random tokens and its sidecar."""
    import numpy as np

    tokens = np.random.default_rng(0).integers(1, vocabulary, size=count).astype("<u2")
    tokens.tofile(folder / "train.bin")
    entry = {"file": "train.bin", "tokens": count, "documents": 1, "bytes": count, "sha256": "x"}
    content = {"dtype": "uint16", "vocabulary": vocabulary, "splits": {"train": entry}}
    (folder / "tokens.json").write_text(json.dumps(content))
    return folder / "tokens.json"


def compare(task: Task, rounds: int, loops: Sequence[str] = NAMES) -> dict[str, Any]:
    """Run the loops in turn; returns medians over the rounds, and of the ratios in each round."""
    context = multiprocessing.get_context("spawn")
    pipes, startup = {}, {}
    for name in loops:
        pipes[name], other = context.Pipe()
        context.Process(target=work, args=(name, task, other), daemon=True).start()
        startup[name] = pipes[name].recv()
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for number in range(rounds):
        for name in loops if number % 2 else reversed(loops):
            pipes[name].send("go")
            seconds[name].append(pipes[name].recv())
    memory = {}
    for name in loops:
        pipes[name].send("stop")
        memory[name] = pipes[name].recv()
    tokens = task.steps * task.batch_tokens
    speed = {name: tokens / statistics.median(times) for name, times in seconds.items()}
    ratios = {
        name: statistics.median(
            other / own for other, own in zip(seconds[name], seconds["ours"], strict=True)
        )
        for name in loops
    }
    return {"speed": speed, "ratio": ratios, "startup": startup, "memory": memory}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", nargs="*", default=[], help="sizes of config.yaml")
    for name in ("vocabulary", "width", "layers", "heads", "intermediate", "context", "rows"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--eager", action="store_true", help="do not compile")
    parser.add_argument("--steps", type=int, default=200, help="steps per round")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    for name, shape, rows in shapes(arguments):
        with tempfile.TemporaryDirectory() as folder:
            task = Task(
                shape=asdict(shape),
                rows=rows,
                steps=arguments.steps,
                device=arguments.device,
                compile=not arguments.eager,
                threads=arguments.threads,
                tokens=str(plant_tokens(Path(folder), shape.vocabulary)),
            )
            result = compare(task, arguments.rounds)
        rate = matrix_rate(arguments.device, arguments.threads)
        how = "eager" if arguments.eager else "compiled"
        print(f"{name}: {shape.params:,} parameters, batch {task.batch_tokens:,} tokens, {how}")
        for loop in NAMES:
            speed, memory = result["speed"][loop], result["memory"][loop] / 2**20
            mfu = speed * shape.flops_per_token / rate
            print(
                f"  {loop:14} {speed:10,.0f} tokens/s   MFU {mfu:6.1%}"
                f"   {memory:7,.0f} MiB   start-up {result['startup'][loop]:5.1f} s   "
                f"ours is {result['ratio'][loop]:.2f} times as fast",
                flush=True,
            )


def shapes(arguments: argparse.Namespace) -> Iterator[tuple[str, Any, int]]:
    """Yield the shapes to measure, with the number of windows per batch."""
    from splitlaw.experiment.config import ExperimentConfig
    from splitlaw.experiment.shape import Shape

    config = ExperimentConfig.load(str(ROOT / "config.yaml"))
    for size in arguments.sizes:
        yield size, config.shape_of(size), config.training.batch_tokens // config.model.context
    if arguments.width:
        names = ("vocabulary", "width", "layers", "heads", "intermediate", "context")
        shape = Shape(**{name: getattr(arguments, name) for name in names})
        yield f"width {shape.width}", shape, arguments.rows


if __name__ == "__main__":
    main()
