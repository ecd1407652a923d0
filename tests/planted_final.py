"""A small experiment with artificial words, from its corpus to its final models."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from planted_tokens import JOB
from transformers import PreTrainedModel

from splitlaw.corpus.documents import split_path, write_documents
from splitlaw.corpus.domains.router import make_router
from splitlaw.experiment.columns import COMPARISON
from splitlaw.experiment.settings import HeldOutConfig
from splitlaw.experiment.shape import Shape
from splitlaw.tokens import tokenizer as tokenizers
from splitlaw.tokens.writing import tokenize_domain
from splitlaw.training.evaluation import DocumentLosses, cut_windows, evaluate, save_documents
from splitlaw.training.model import build_model
from splitlaw.zero_shot.items import Item

DOMAINS = ("law", "medicine")
CONTEXT = 32
SHAPE = Shape(vocabulary=300, width=16, layers=2, heads=2, intermediate=24, context=CONTEXT)
FINALS = "final/tiny/1000/seed0"
ITEMS = [
    Item(id="a", query="Question: which herb heals?\nAnswer:", choices=("sage", "oak"), gold=0),
    Item(id="b", query="Question: who judges?\nAnswer:", choices=("a cook", "a judge"), gold=1),
    Item(id="c", query="So long a question " * 9, choices=("yes indeed", "no"), gold=1),
    Item(id="d", query="Question: what is signed?\nAnswer:", choices=("a deed", "a leaf"), gold=0),
    Item(id="e", query="Question: which is oldest?\nAnswer:", choices=("law", "pill"), gold=1),
]


def documents(domain: str, count: int, seed: int) -> list[bytes]:
    """Sentences of 3 to 60 words, most of which occur in one domain only."""
    random = np.random.default_rng([seed, len(domain)])
    words = np.array([f"{domain}{i}" for i in range(30)] + ["the", "of", "and"])
    return [" ".join(random.choice(words, random.integers(3, 60))).encode() for _ in range(count)]


def llama(seed: int, shape: Shape = SHAPE) -> PreTrainedModel:
    """An untrained model."""
    return build_model(shape, seed=seed)


def export(
    folder: Path, results: Path, model: PreTrainedModel, *, shard: str = "50GB"
) -> dict[str, DocumentLosses]:
    """Write a final model, in files of at most the size `shard`, with its losses by document."""
    model.eval()
    # Larger weights, so that predictions differ between models and tokens.
    for parameter in model.parameters():
        parameter.data *= 8 if parameter.ndim > 1 else 1
    model.save_pretrained(folder, max_shard_size=shard)
    for file in (results / "tokenizer").iterdir():
        shutil.copyfile(file, folder / file.name)
    losses = {}
    for domain in ("general", *DOMAINS):
        sidecar = results / "tokens" / domain / "tokens.json"
        losses[domain] = evaluate(model, cut_windows(sidecar, context=CONTEXT, limit=10**6))
    save_documents(folder / "documents.npz", losses)
    training = {**JOB["training"], "batch_tokens": 4 * CONTEXT}
    config = {"training": training, "shape": {"context": CONTEXT}}
    (folder / "run.json").write_text(json.dumps({"config": config}))
    (folder / "README.md").write_text(f"# {folder.name}")
    return losses


def plant(results: Path) -> None:
    """Write corpus, tokenizer, tokens, router and final models into `results`."""
    plant_text(results)
    plant_finals(results)


def plant_text(results: Path) -> None:
    """Write corpus, tokenizer, tokens and router into `results`."""
    for seed, (split, count) in enumerate({"train": 60, "validation": 12, "test": 24}.items()):
        batches = []
        for domain in DOMAINS:
            names = [f"{domain}{i}" for i in range(count)]
            batches.append((names, [domain] * count, documents(domain, count, seed)))
            write_documents(split_path(results / "corpus", domain, split), batches[-1:])
        write_documents(split_path(results / "corpus", "general", split), batches)  # a mixture
    texts = [text.decode() for domain in DOMAINS for text in documents(domain, 60, 0)]
    texts += [item.text for item in ITEMS]
    tokenizers.save_tokenizer(
        tokenizers.train_bpe(iter(texts), SHAPE.vocabulary), results / "tokenizer"
    )
    cut = HeldOutConfig(minimum_tokens=1)
    for domain in ("general", *DOMAINS):
        out = results / "tokens" / domain
        tokenize_domain(results / "corpus", results / "tokenizer", domain, cut, out)
    make_router(results / "corpus", DOMAINS)


def plant_finals(
    results: Path, build: Callable[[int], PreTrainedModel] = llama, *, shard: str = "50GB"
) -> None:
    """Write final models, which `build` makes from a seed, into `results`."""
    trained = {"optimal": DOMAINS, "joint": ("general",), "no_split": ("general",)}
    for kind, (strategy, models) in enumerate(trained.items()):
        folder = results / FINALS / strategy
        losses = {
            name: export(folder / name, results, build(number + 10 * kind), shard=shard)
            for number, name in enumerate(models)
        }
        tokens = 0 if strategy == "no_split" else 500
        row = {"strategy": strategy, "seed": 0, "size": "tiny", "budget": 1000}
        row |= {"params": SHAPE.params, "flops": 1e6, "pretrain_tokens": 500}
        row |= {"specialize_tokens": tokens, "predicted_loss": 2.5}
        rows = []
        for domain in DOMAINS:
            own = losses.get(domain, losses[models[-1]])[domain]
            found = {
                "loss": own.loss,
                "loss_stderr": own.stderr,
                "bits_per_byte": own.bits_per_byte,
            }
            rows.append({**row, "domain": domain, **found})
        pd.DataFrame(rows, columns=COMPARISON).to_csv(folder / "losses.csv", index=False)
