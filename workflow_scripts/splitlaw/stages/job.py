"""A job of the workflow: the runs of one size and seed, and the locations of their files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from splitlaw.common.progress import Progress
from splitlaw.experiment.columns import LOSSES, REPLAY
from splitlaw.experiment.grid import Grid
from splitlaw.experiment.lineage import GENERAL, Lineage, Run
from splitlaw.experiment.settings import ExecutionConfig, TrainingConfig
from splitlaw.experiment.shape import BaseShape, Shape, shape_from
from splitlaw.training.evaluation import Windows, cut_windows
from splitlaw.training.loop import Trainer
from splitlaw.training.text import TrainingText


@dataclass(frozen=True, kw_only=True)
class Job:
    """All runs of one size and seed, and the locations of their files."""

    size: str
    """Name of the size."""
    split: str
    """`fit`, or `holdout` for a size that the law is tested on and not fitted to."""
    seed: int
    """Seed of initialisation and data order."""
    shape: Shape | BaseShape
    """Shape of the models."""
    training: TrainingConfig
    """How the models are trained."""
    grid: Grid
    """The runs."""
    results: Path
    """The experiment's folder."""
    test_tokens: int
    """Held-out tokens per domain to evaluate on."""
    base_tokens: int = 0
    """Tokens of the base, where they are known."""
    final_replay: Mapping[str, float] = field(default_factory=dict)
    """Share of replay by domain in final models, where the plan has none."""

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, size: str, seed: int, results: Path) -> Job:
        """A job from the part of the configuration that determines its results."""
        training = TrainingConfig.read(config["training"], where="--config", section="training")
        return cls(
            size=size,
            split=config["split"],
            seed=seed,
            shape=shape_from(config["shape"]),
            training=training,
            grid=Grid(
                batch_tokens=training.batch_tokens,
                cells=tuple((int(d), int(s)) for d, s in config["cells"]),
                unsplit=tuple(config["unsplit"]),
                replay=tuple(config.get("replay", (0,))),
                holdout_cells=tuple((int(d), int(s)) for d, s in config.get("holdout_cells", ())),
                holdout_replay=tuple(config.get("holdout_replay", ())),
                repeated=tuple((int(d), int(s), int(u)) for d, s, u in config.get("repeated", [])),
            ),
            results=results,
            test_tokens=config["test_tokens"],
            base_tokens=config.get("base_tokens", 0),
            final_replay=config.get("final_replay", {}),
        )

    def sidecar(self, domain: str) -> Path:
        """`tokens.json` of a domain."""
        return self.results / "tokens" / domain / "tokens.json"

    def trainer(
        self,
        domains: Sequence[str],
        execution: ExecutionConfig,
        label: str,
        mixtures: Mapping[str, Mapping[str, int]] | None = None,
        limits: Mapping[str, int] | None = None,
    ) -> Trainer:
        """A trainer that reads these domains and mixtures of them.

        `label` is shown in its progress. `mixtures` has the weight of each domain in the streams
        that mix several, by the name of the stream, and `limits` the tokens of a domain's text that
        they read, where these are not all.
        """
        return Trainer(
            shape=self.shape,
            config=self.training,
            seed=self.seed,
            text=TrainingText(
                sidecars={domain: self.sidecar(domain) for domain in domains},
                mixtures=mixtures or {},
                limits=limits or {},
            ),
            checkpoints=self.results / "checkpoints" / self.size / f"seed{self.seed}",
            execution=execution,
            progress=Progress(f"{self.size} {label}"),
        )

    def windows(self, domains: Sequence[str]) -> dict[str, Windows]:
        """Held-out text of these domains."""
        return {
            domain: cut_windows(
                self.sidecar(domain), context=self.shape.context, limit=self.test_tokens
            )
            for domain in domains
        }

    def evaluated(self, domain: str, domains: Sequence[str]) -> list[str]:
        """The domains, of `domains` and `general`, that the runs on `domain` are evaluated on."""
        if domain == GENERAL:
            return [GENERAL, *domains]
        return [domain, GENERAL] if self.measures_general else [domain]

    @property
    def measures_general(self) -> bool:
        """Whether branches are evaluated on general text: with replay, and with a base."""
        return any(self.grid.replay) or isinstance(self.shape, BaseShape)

    @property
    def columns(self) -> list[str]:
        """The columns of the job's table of losses."""
        return [*LOSSES, *REPLAY] if self.measures_general else LOSSES

    def lineage(self, run: Run) -> Lineage:
        """The lineage of a run with this job's schedule."""
        return run.lineage(self.training.cooldown_fraction)

    def tokens(self, steps: int) -> int:
        """Tokens in `steps` steps."""
        return steps * self.training.batch_tokens

    def folder_name(self, run: Run) -> str:
        """Name of a run's folder, from its tokens."""
        name = f"D{self.tokens(run.pretrain_steps)}-S{self.tokens(run.specialize_steps)}"
        name += f"-r{run.replay:g}" if run.replay else ""
        return f"{name}-U{run.unique_tokens}" if run.unique_tokens else name

    def folder(self, run: Run) -> Path:
        """Folder of a run of the grid."""
        runs = self.results / "runs" / self.size / f"seed{self.seed}"
        return runs / run.domain / self.folder_name(run)
