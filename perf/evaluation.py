"""Agreement with lm-eval on held-out documents and tokens per second of both, for one model.

python perf/evaluation.py --results results/default
"""

import argparse
import contextlib
import io
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "workflow_scripts"))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
import torch.nn.functional as F
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from transformers import AutoTokenizer

from splitlaw.common.files import read_json
from splitlaw.corpus.documents import read_documents
from splitlaw.training.evaluation import Windows, cut_windows, evaluate
from splitlaw.zero_shot.documents import window_requests
from splitlaw.zero_shot.models import open_model


def first_documents(windows: Windows, number: int) -> Windows:
    kept = windows.document < number
    return Windows(
        inputs=windows.inputs[kept],
        targets=windows.targets[kept],
        document=windows.document[kept],
        tokens=windows.tokens[:number],
        bytes=windows.bytes[:number],
    )


def separate_passes(model: torch.nn.Module, windows: Windows) -> np.ndarray:
    """Nats of each document, with one forward pass per window, without padding or batches."""
    nats = np.zeros(len(windows.tokens))
    pairs = window_requests(windows.inputs, windows.targets)
    for document, (before, answer) in zip(windows.document, pairs, strict=True):
        read = torch.tensor([*before, *answer])
        with torch.no_grad():
            logits = model(input_ids=read[None, :-1]).logits[0].double()
        losses = F.cross_entropy(logits, read[1:], reduction="none")
        nats[document] += float(losses[-len(answer) :].sum())
    return nats


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--documents", type=int, default=200)
    parser.add_argument("--model", type=Path, help="a final model (default: the first found)")
    options = parser.parse_args()
    folder = options.model or min(options.results.glob("final/*/*/*/*/*/config.json")).parent
    model = open_model(folder)
    context = model.config.max_position_embeddings
    reader = HFLM(pretrained=model, tokenizer=AutoTokenizer.from_pretrained(folder), batch_size=64)
    print(f"{folder}, context {context}")
    print("domain       documents  tokens   |ours - lm-eval|  |ours - separate|   ours  lm-eval")
    for sidecar in sorted(options.results.glob("tokens/*/tokens.json")):
        domain = sidecar.parent.name
        windows = cut_windows(sidecar, context=context, limit=10**9)
        windows = first_documents(windows, options.documents)
        cut = read_json(sidecar)["characters_per_held_out_document"]
        corpus = options.results / "corpus"
        texts = [t[:cut] for _, part in read_documents(corpus, domain, "test") for t in part]
        instances = [
            Instance(request_type="loglikelihood_rolling", doc={}, arguments=(text,), idx=0)
            for text in texts[: len(windows.tokens)]
        ]
        began = time.perf_counter()
        ours = evaluate(model, windows)
        middle = time.perf_counter()
        with contextlib.redirect_stderr(io.StringIO()):  # hides a progress bar for every batch
            theirs = -np.array(reader.loglikelihood_rolling(instances))
        ended = time.perf_counter()
        hand = separate_passes(model, windows)
        total = ours.tokens.sum()
        print(
            f"{domain:12} {len(instances):9} {total:7.0f} "
            f"{np.max(np.abs(ours.nats - theirs) / ours.tokens):18.1e} "
            f"{np.max(np.abs(ours.nats - hand) / ours.tokens):17.1e} "
            f"{total / (middle - began):6,.0f} {total / (ended - middle):8,.0f} tokens/s"
        )


if __name__ == "__main__":
    main()
