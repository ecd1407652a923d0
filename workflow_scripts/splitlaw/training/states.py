"""Training states on disk, stored under the history that made them.

A state is one safetensors file: no pickle, a checksum of its tensors in the header, written
atomically. The folders spell the path, so a listing reads like the tree of runs:

    general/00000512.safetensors                            the trunk after 512 steps
    general/00000512/law-1f3a/00000640.safetensors          a branch on law at constant rate
    general/00000512/law-1f3a/00000640/law-1f3a-to-00000800/00000800.safetensors   cooled down
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from splitlaw.common.errors import UserError
from splitlaw.common.files import atomic_path, canonical_json
from splitlaw.experiment.lineage import Lineage, Segment

State = dict[str, torch.Tensor]

RESUME = ".resume.safetensors"
STATE = ".safetensors"
HEADER = "splitlaw"
"""The one key of the file's metadata; with several, safetensors writes them in any order."""


@dataclass(frozen=True, kw_only=True)
class Store:
    """The states of one model, seed and training recipe."""

    root: Path
    """Folder of this identity; nothing else is stored there."""
    identity: str
    """Digest of all that decides a state besides its path; a state of another one is refused."""
    data: Mapping[str, str]
    """Digest of each stream's training tokens, by domain."""

    def folder(self, lineage: Lineage) -> Path:
        """Where the states of the last segment of `lineage` lie."""
        folder = self.root
        for segment in lineage[:-1]:
            folder = folder / self._segment_folder(segment) / f"{segment.stop:08d}"
        return folder / self._segment_folder(lineage[-1])

    def file(self, lineage: Lineage) -> Path:
        """The file of the state at the end of `lineage`."""
        return self.folder(lineage) / f"{lineage[-1].stop:08d}{STATE}"

    def has(self, lineage: Lineage) -> bool:
        """Whether the state at the end of `lineage` is stored."""
        return self.file(lineage).exists()

    def nearest(self, lineage: Lineage) -> list[tuple[Path, Lineage]]:
        """Stored states on the way to the end of `lineage`, the furthest first."""
        found: list[tuple[Path, Lineage]] = []
        for length in range(len(lineage), 0, -1):
            *before, segment = lineage[:length]
            for file in sorted(self.folder(lineage[:length]).glob(f"*{STATE}"), reverse=True):
                stop = int(file.name.split(".")[0])
                if stop <= segment.stop and file.name.endswith((RESUME, f"{stop:08d}{STATE}")):
                    reached = Segment(domain=segment.domain, total=segment.total, stop=stop)
                    found.append((file, (*before, reached)))
        return found

    def save(self, lineage: Lineage, state: State, *, resume: bool = False) -> Path:
        """Write the state at the end of `lineage`; with `resume`, as a resume state."""
        file = self.file(lineage)
        if resume:
            file = file.with_name(f"{lineage[-1].stop:08d}{RESUME}")
        header = {"identity": self.identity, "path": _spell(lineage), "sha256": checksum(state)}
        try:
            with atomic_path(file) as temporary:
                save_file(state, temporary, metadata={HEADER: canonical_json(header)})
        except SafetensorError as cause:  # it gives the words of the system alone
            if os.strerror(errno.ENOSPC) not in str(cause):
                raise
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file)) from None
        if resume:
            self.drop_resume(lineage, keep=2)
        return file

    def load(self, file: Path) -> State | None:
        """Read a state, or give None where the file is damaged.

        Raises `UserError` where the state is whole but of another recipe.
        """
        try:
            with safe_open(file, framework="pt") as opened:
                header = json.loads((opened.metadata() or {})[HEADER])
                state = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, KeyError, ValueError):
            return None
        if header["identity"] != self.identity:
            raise UserError(
                f"{file}: made by another configuration; move it away or restore that configuration"
            )
        return state if header["sha256"] == checksum(state) else None

    def drop_resume(self, lineage: Lineage, *, keep: int = 0) -> None:
        """Delete resume states of the last segment of `lineage`, all but the newest `keep`."""
        files = sorted(self.folder(lineage).glob(f"*{RESUME}"))
        for file in files[: len(files) - keep]:
            file.unlink(missing_ok=True)

    def _segment_folder(self, segment: Segment) -> str:
        name = segment.domain
        if name in self.data:
            name += f"-{self.data[name][:8]}"
        return name if segment.total is None else f"{name}-to-{segment.total:08d}"


def checksum(state: State) -> str:
    """SHA-256 over names and bytes of the tensors, in the order of their names."""
    total = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def _spell(lineage: Lineage) -> list[list[str | int | None]]:
    return [[segment.domain, segment.total, segment.stop] for segment in lineage]
