"""Training states: their files, stored by lineage, and saving and restoring a model.

A state is one safetensors file: it contains no pickle, its header has a checksum of its tensors,
and it is written atomically. The folders follow the lineage, so a listing shows the tree of runs:

    general/00000512.safetensors                            the trunk after 512 steps
    general/00000512/law-1f3a/00000640.safetensors          a branch on law at constant rate
    general/00000512/law-1f3a/00000640/law-1f3a-to-00000800/00000800.safetensors   cooled down
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch.distributed.fsdp import FSDPModule

from splitlaw.common.errors import Diverged, UserError
from splitlaw.common.files import atomic_path, canonical_json, digest
from splitlaw.common.progress import Progress
from splitlaw.experiment.lineage import Lineage, Segment, cut_at, trained_steps
from splitlaw.experiment.settings import TrainingConfig
from splitlaw.experiment.shape import BaseShape, Shape
from splitlaw.training.processes import World, gather_full, shard_like
from splitlaw.training.text import TrainingText

State = dict[str, torch.Tensor]

RESUME = ".resume.safetensors"
"""Suffix of resume states, which are deleted when their segment is complete."""
STATE = ".safetensors"
"""Suffix of the files of all states."""
HEADER = "splitlaw"
"""The only key of the file's metadata; several would be written in no fixed order."""
KEPT_RESUME_STATES = 2
"""Number of resume states: the last one, and the one before it in case the last is damaged."""
MOMENTS = ("exp_avg", "exp_avg_sq")
"""AdamW's moments, by the names that torch gives them."""


@dataclass(frozen=True, kw_only=True)
class Store:
    """The stored states of one model, seed and training configuration."""

    root: Path
    """Folder of the states with this identity; it contains no others."""
    identity: str
    """Digest of all that determines a state, except its lineage."""
    data: Mapping[str, str]
    """Digest of each stream's training tokens, by domain or by the name of a mixture."""

    def folder(self, lineage: Lineage) -> Path:
        """Folder of the states in the last segment of `lineage`."""
        folder = self.root
        for segment in lineage[:-1]:
            folder = folder / self._segment_name(segment) / f"{segment.stop:08d}"
        return folder / self._segment_name(lineage[-1])

    def file(self, lineage: Lineage) -> Path:
        """File of the state at the end of `lineage`."""
        return self.folder(lineage) / f"{lineage[-1].stop:08d}{STATE}"

    def has(self, lineage: Lineage) -> bool:
        """Whether the state at the end of `lineage` is stored."""
        return self.file(lineage).exists()

    def stored_on(self, lineage: Lineage) -> list[tuple[Path, Lineage]]:
        """Files of the stored states that `lineage` passes through, the furthest first."""
        found: list[tuple[Path, Lineage]] = []
        for length in range(len(lineage), 0, -1):
            prefix = lineage[:length]
            for file in sorted(self.folder(prefix).glob(f"*{STATE}"), reverse=True):
                stop = int(file.name.split(".")[0])
                if stop <= prefix[-1].stop and file.name.endswith((RESUME, f"{stop:08d}{STATE}")):
                    found.append((file, cut_at(prefix, stop)))
        return found

    def steps_left(self, lineages: Sequence[Lineage]) -> int:
        """Number of steps to train until all `lineages` are stored."""
        missing = [lineage for lineage in lineages if not self.has(lineage)]
        stored = {reached for lineage in missing for _, reached in self.stored_on(lineage)[:1]}
        return trained_steps([*missing, *stored]) - trained_steps(stored)

    def save(self, lineage: Lineage, state: State, *, resume: bool = False) -> Path:
        """Write the state at the end of `lineage`; with `resume`, as a resume state.

        Raises `Diverged` for a state that is not finite, from which no training can continue.
        """
        file = self.file(lineage)
        # The loss of most steps is not read, and is finite where only the update overflows.
        if (name := not_finite(state)) is not None:
            raise Diverged(
                f"{self.root}: {name} is not finite after step {lineage[-1].stop - 1}; the states "
                "before it are kept; lower training.learning_rate or lengthen "
                "training.warmup_tokens"
            )
        if resume:
            file = file.with_name(f"{lineage[-1].stop:08d}{RESUME}")
        path = [[segment.domain, segment.total, segment.stop] for segment in lineage]
        header = {"identity": self.identity, "path": path, "sha256": checksum(state)}
        with atomic_path(file) as temporary:
            save_file(state, temporary, metadata={HEADER: canonical_json(header)})
        if resume:
            self.drop_resume(lineage, keep=KEPT_RESUME_STATES)
        return file

    def load(self, file: Path) -> State | None:
        """Read a state; None if the file is damaged or the state is not finite.

        Raises `UserError` if the state is intact but belongs to another configuration.
        """
        try:
            with safe_open(file, framework="pt") as opened:
                header = json.loads((opened.metadata() or {})[HEADER])
                state = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, KeyError, ValueError):
            return None
        if header["identity"] != self.identity:
            raise UserError(
                f"{file}: written with another configuration; move the file away or restore that "
                "configuration"
            )
        return state if header["sha256"] == checksum(state) and not_finite(state) is None else None

    def drop_resume(self, lineage: Lineage, *, keep: int = 0) -> None:
        """Delete the resume states of the last segment of `lineage`, except the newest `keep`."""
        files = sorted(self.folder(lineage).glob(f"*{RESUME}"))
        for file in files[: len(files) - keep]:
            file.unlink(missing_ok=True)

    def _segment_name(self, segment: Segment) -> str:
        name = segment.domain
        if name in self.data:
            name += f"-{self.data[name][:8]}"
        if segment.unique_tokens:
            name += f"-unique-{segment.unique_tokens}"
        return name if segment.total is None else f"{name}-to-{segment.total:08d}"


def open_store(
    folder: Path,
    shape: Shape | BaseShape,
    config: TrainingConfig,
    seed: int,
    text: TrainingText,
) -> Store:
    """The store, inside `folder`, of the states with this shape, configuration, seed and text."""
    # The keys are part of the digest, so they are never renamed.
    identity = digest({"shape": shape.identity, "recipe": config.model_dump(), "seed": seed})
    return Store(root=folder / identity, identity=identity, data=text.digests())


def checksum(state: State) -> str:
    """SHA-256 over names and bytes of the tensors, in the order of their names."""
    total = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def not_finite(state: State) -> str | None:
    """Name of the first tensor with a value that is not finite; None if all values are finite."""
    return next((name for name, t in state.items() if not bool(torch.isfinite(t).all())), None)


@dataclass(kw_only=True)
class Checkpointer:
    """Saves model and optimizer to a store and restores them, in all processes of a run."""

    store: Store
    world: World
    module: torch.nn.Module
    """The model as it is called in training, possibly replicated or sharded."""
    parameters: Mapping[str, torch.nn.Parameter]
    """Parameters of the model by name, sharded if the module is."""
    optimizer: torch.optim.Optimizer
    initial: State
    """Weights before the first step."""
    progress: Progress

    def has(self, lineage: Lineage) -> bool:
        """Whether the state at the end of `lineage` is stored."""
        return self.world.on_main(lambda: self.store.has(lineage))

    def steps_left(self, lineages: Sequence[Lineage]) -> int:
        """Number of steps to train until all `lineages` are stored."""
        return self.world.on_main(lambda: self.store.steps_left(lineages))

    def weights(self) -> State:
        """The full weights on the CPU; every process must call this."""
        return {name: gather_full(parameter) for name, parameter in self.parameters.items()}

    def save(self, lineage: Lineage) -> None:
        """Store the state at the end of `lineage` and delete the resume states before it.

        At the end of a cooldown this is the weights alone, because no run continues from it.
        """
        cooled_down = lineage[-1].stop == lineage[-1].total
        state = self.weights() if cooled_down else self._full_state()

        def write() -> None:
            self.store.save(lineage, state)
            self.store.drop_resume(lineage)

        self.world.on_main(write)

    def save_resume(self, lineage: Lineage) -> None:
        """Store a resume state at the end of `lineage`, inside a segment."""
        state = self._full_state()
        self.world.on_main(lambda: self.store.save(lineage, state, resume=True))

    def restore(self, lineage: Lineage) -> int:
        """Load the furthest usable state that `lineage` passes through and return its step.

        If there is none, the initial weights are loaded, and the step is 0.
        """
        loaded: list[State] = []
        found = self.world.on_main(lambda: self._find(lineage, loaded))
        if found is None:
            self._load(self.initial, step=0)
            return 0
        file, step = found
        # The main process has loaded the state to check it; the other processes load it here.
        state = loaded[0] if loaded else self.store.load(file)
        assert state is not None, f"{file} was intact when the main process read it"
        self._load(state, step=step)
        return step

    def _find(self, lineage: Lineage, loaded: list[State]) -> tuple[Path, int] | None:
        """File and step of the furthest usable state, which is appended to `loaded`."""
        for file, reached in self.store.stored_on(lineage):
            state = self.store.load(file)
            if state is None:
                self.progress.say(f"{file}: damaged or not finite; using the state before it")
                file.unlink(missing_ok=True)
                continue
            if set(state) == set(self.parameters) and reached != lineage:
                continue  # weights of a cooled-down model: training cannot continue from them
            loaded.append(state)
            return file, reached[-1].stop
        return None

    def _full_state(self) -> State:
        """Full weights and moments on the CPU; every process must call this."""
        state = self.weights()
        for name, parameter in self.parameters.items():
            for moment in MOMENTS:
                state[f"{moment}/{name}"] = gather_full(self.optimizer.state[parameter][moment])
        return state

    @torch.no_grad()
    def _load(self, state: State, *, step: int) -> None:
        if isinstance(self.module, FSDPModule):
            self.module.reshard()  # an evaluation leaves the full weights in place
        self.optimizer.state.clear()
        for name, parameter in self.parameters.items():
            parameter.copy_(shard_like(state[name], parameter))
            if f"{MOMENTS[0]}/{name}" in state:
                moments = {m: shard_like(state[f"{m}/{name}"], parameter) for m in MOMENTS}
                count = torch.tensor(float(step), device=self.world.device)
                self.optimizer.state[parameter] = {"step": count, **moments}
