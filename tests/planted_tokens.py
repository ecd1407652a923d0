"""Small planted token files, and configurations that train in about a second."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from splitlaw.experiment.grid import Grid
    from splitlaw.stages.job import Job

JOB = {
    "split": "fit",
    "shape": {
        "vocabulary": 32,
        "width": 8,
        "layers": 2,
        "heads": 2,
        "intermediate": 12,
        "context": 8,
    },
    "training": {
        "batch_tokens": 32,
        "warmup_tokens": 128,
        "cooldown_fraction": 0.2,
        "learning_rate": 0.003,
        "reference_params": 1000,
        "learning_rate_exponent": 0.0,
        "weight_decay": 0.1,
        "betas": [0.9, 0.95],
        "clip": 1.0,
    },
    "cells": [[20, 40]],
    "unsplit": [180],
    "test_tokens": 100,
}


def job_of(results: Path, split: str, *, grid: "Grid | None" = None) -> "Job":
    """A job that trains models of one layer on the planted tokens in `results`.

    Without `grid` it has no runs of a grid.
    """
    from splitlaw.experiment.grid import Grid
    from splitlaw.experiment.settings import TrainingConfig
    from splitlaw.experiment.shape import Shape
    from splitlaw.stages.job import Job  # imports torch, which most tests do not use

    return Job(
        size="tiny",
        split=split,
        seed=0,
        shape=Shape(vocabulary=32, width=8, layers=1, heads=2, intermediate=12, context=16),
        training=TrainingConfig(
            batch_tokens=64,
            warmup_tokens=128,
            cooldown_fraction=0.2,
            learning_rate=1e-2,
            reference_params=1000,
            learning_rate_exponent=0.0,
            weight_decay=0.1,
            betas=(0.9, 0.95),
            clip=1.0,
        ),
        grid=grid or Grid(batch_tokens=64, cells=(), unsplit=()),
        results=results,
        test_tokens=10**6,
    )


def write_tokens(folder: Path, *, train: int, documents: list[int], seed: int) -> Path:
    """Write token files of a first-order Markov chain over 31 tokens and the end of text, 0."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(seed)
    likely = generator.integers(1, 32, size=32)

    def text(length: int) -> np.ndarray:
        ids = generator.integers(1, 32, size=length)
        follow = generator.random(length) < 0.8
        for position in range(1, length):
            if follow[position]:
                ids[position] = likely[ids[position - 1]]
        ids[0] = 0
        return ids.astype("<u2")

    parts = [text(length) for length in documents]
    training = text(train)
    training.tofile(folder / "train.bin")
    np.concatenate(parts).tofile(folder / "test.bin")
    np.save(folder / "test_documents.npy", np.array([[n, 3 * (n - 1)] for n in documents]))
    entry = {"documents": 1, "bytes": 3 * train, "sha256": f"{folder.name}-{seed}-{train}"}
    sidecar = {
        "dtype": "uint16",
        "vocabulary": 32,
        "splits": {
            "train": {"file": "train.bin", "tokens": train, **entry},
            "test": {
                **entry,
                "file": "test.bin",
                "tokens": sum(documents),
                "documents": len(documents),
                "documents_file": "test_documents.npy",
            },
        },
    }
    (folder / "tokens.json").write_text(json.dumps(sidecar))
    return folder / "tokens.json"
