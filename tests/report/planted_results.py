"""An experiment's results with a planted law, as the stages before the report write them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from splitlaw.common.files import write_json
from splitlaw.experiment.strategies import JOINT, model_domain
from splitlaw.laws import FitResult, fit_table
from splitlaw.planner import plan
from splitlaw.stages.gather import size_cost

SIZES = {"w16": 25_328, "w24": 42_792, "w32": 59_232, "w56": 151_816}
HELD_OUT = "w56"
DOMAINS = ("law", "medicine", "science", "code")
BATCH = 2048
GENERAL_TOKENS = (0, 524_288, 1_048_576, 2_097_152)
DOMAIN_TOKENS = (196_608, 393_216, 786_432)
BUDGET = 3_670_016
DOCUMENTS = 60


def true_loss(params, general, special, domain):
    """A two-skills law; domains differ in scale and in how much general text teaches."""
    k = DOMAINS.index(domain)
    worth = special + (0.05 + 0.02 * k) * general**0.95
    return (
        0.9
        + 0.1 * k
        + 18 * params**-0.3
        + (30 + 3 * k) * (general + special) ** -0.25
        + 42 * worth**-0.3
    )


def flops_per_token(params):
    return 7 * params


def losses_table(domains=DOMAINS, noise=0.002, seed=0):
    rng = np.random.default_rng(seed)
    rows = []
    for size, params in SIZES.items():
        general = GENERAL_TOKENS if size != HELD_OUT else GENERAL_TOKENS[2:]
        cells = [(d, s) for d in general for s in DOMAIN_TOKENS if d + s >= 5 * params]
        totals = sorted({d + s for d, s in cells} | {BUDGET})
        for domain in domains:
            rows += [_row(size, params, domain, d, s, domain) for d, s in cells]
            rows += [_row(size, params, "general", t, 0, domain) for t in totals]
        rows += [_row(size, params, "general", t, 0, "general") for t in totals]
    table = pd.DataFrame(rows)
    own = table["domain"].where(table["domain"] != "general", domains[0])
    points = zip(
        table["params"], table["pretrain_tokens"], table["specialize_tokens"], own, strict=True
    )
    table["loss"] = [true_loss(*point) * np.exp(rng.normal(0, noise)) for point in points]
    return table.assign(loss_stderr=0.03, bits_per_byte=table["loss"] * 0.5)


def _row(size, params, trained, general, special, domain):
    return {
        "run": f"{size}-seed0-{trained}-D{general}-S{special}",
        "stage": "branch" if special else "unsplit",
        "split": "holdout" if size == HELD_OUT else "fit",
        "size": size,
        "params": params,
        "flops_per_token": flops_per_token(params),
        "train_domain": trained,
        "domain": domain,
        "pretrain_tokens": general,
        "specialize_tokens": special,
        "trunk": f"{size}-seed0-D{general}",
        "seed": 0,
    }


def plant(folder: Path, *, domains=DOMAINS, draws=40, finals=True) -> Path:
    """Results of an experiment under `folder`: the table, a real fit, a real plan, final models."""
    folder.mkdir(parents=True, exist_ok=True)
    losses = losses_table(domains)
    losses.to_csv(folder / "losses.csv", index=False)
    cost = [
        row
        for size, part in losses.groupby("size", sort=False)
        for row in size_cost(size, part, 0.2, BATCH)
    ]
    pd.DataFrame(cost).to_csv(folder / "cost.csv", index=False)
    fit_table(folder / "losses.csv", draws=draws).save(folder / "law/fit.json")
    params = SIZES[HELD_OUT]
    made = plan(
        FitResult.load(folder / "law/fit.json"),
        flops=BUDGET * flops_per_token(params),
        params=params,
        flops_per_token=flops_per_token(params),
        domains=domains,
    )
    made.save(folder / "split/plan.json")
    for domain in ("general", *domains):
        plant_corpus(folder, domain)
    if finals:
        plant_finals(folder)
    return folder


def plant_corpus(folder, domain):
    splits = {
        name: {"documents": n, "bytes": 5000 * n, "tokens": 2000 * n}
        for name, n in (("train", 1000), ("validation", 50), ("test", 120))
    }
    dropped = {"near_duplicate": {"documents": 30, "bytes": 9000}}
    kept = {**splits, "train": {**splits["train"], "samples": ["Text & <b>its</b> start"]}}
    card = {"domain": domain, "sources": ["planted"], "dropped": dropped, "splits": kept}
    write_json(folder / "corpus" / domain / "card.json", card)
    write_json(folder / "tokens" / domain / "tokens.json", {"splits": splits})


def plant_finals(folder, seeds=(0,)):
    """Final models of every strategy: documents differ a lot, recipes little."""
    planned = json.loads((folder / "split/plan.json").read_text())
    entries = [{**planned, "strategy": "optimal"}, *planned["baselines"]]
    rows = [row for seed in seeds for entry in entries for row in plant_recipe(folder, entry, seed)]
    pd.DataFrame(rows).to_csv(folder / "final/comparison.csv", index=False)


def plant_recipe(folder, entry, seed):
    params, rows = SIZES[HELD_OUT], []
    total = entry["pretrain_tokens"] + sum(entry["specialize_tokens"].values())
    for domain, special in entry["specialize_tokens"].items():
        model = model_domain(entry["strategy"], domain, special)
        home = folder / "final" / HELD_OUT / str(BUDGET) / f"seed{seed}" / entry["strategy"] / model
        losses = plant_model(folder, home, entry, model, seed)
        rows.append(
            {
                "strategy": entry["strategy"],
                "seed": seed,
                "size": HELD_OUT,
                "budget": BUDGET,
                "domain": domain,
                "params": params,
                "flops": total * flops_per_token(params),
                "pretrain_tokens": entry["pretrain_tokens"],
                "specialize_tokens": special,
                "predicted_loss": entry["predicted_loss"][domain][0],
                **losses[domain],
            }
        )
    return rows


def plant_model(folder, home, entry, model, seed):
    """One final model: `run.json`, losses by document, and the logs of its training."""
    if (home / "run.json").exists():
        return json.loads((home / "run.json").read_text())["losses"]
    home.mkdir(parents=True)
    losses, arrays = {}, {}
    general = entry["pretrain_tokens"]
    for k, domain in enumerate(entry["specialize_tokens"]):
        special = entry["specialize_tokens"][domain] if domain == model else 0
        if entry["strategy"] == JOINT:  # less than a specialist learns from the same tokens
            special = entry["specialize_tokens"][domain] // 2
        rng = np.random.default_rng(k)
        tokens = rng.integers(100, 1500, DOCUMENTS).astype(float)
        rate = true_loss(SIZES[HELD_OUT], max(general, 1e5), special, domain)
        hard = np.exp(rng.normal(0, 0.2, DOCUMENTS))
        own = np.random.default_rng([k, seed, special]).normal(0, 0.01, DOCUMENTS)
        nats = rate * tokens * hard * (1 + own)
        arrays |= {
            f"{domain}/nats": nats,
            f"{domain}/tokens": tokens,
            f"{domain}/bytes": 2 * tokens,
        }
        mean = nats.sum() / tokens.sum()
        losses[domain] = {"loss": mean, "loss_stderr": 0.07, "bits_per_byte": mean / 2}
    losses["general"] = {"loss": 4.2, "loss_stderr": 0.05, "bits_per_byte": 2.1}
    np.savez_compressed(home / "documents.npz", **arrays)
    state = plant_logs(
        folder, general // BATCH, entry["specialize_tokens"].get(model, 0) // BATCH, model
    )
    run = {
        "git_commit": "0123456789abcdef0123",
        "git_dirty": False,
        "versions": {"python": "3.11", "torch": "2"},
        "device": "cpu",
        "machine": "x86_64",
        "wall_seconds": 30.0,
        "state": str(state.relative_to(folder)),
        "losses": losses,
    }
    write_json(home / "run.json", run)
    return losses


def plant_logs(folder, general, special, model):
    """Logs of a trunk and of its branch, and the state at the end of the branch."""
    root = folder / "checkpoints" / HELD_OUT / "seed0" / "0123abcd"
    trunk = root / "general-aaaa"
    _log(trunk, 0, max(general, 1792), "general")
    if not special:
        return trunk / f"{general:08d}.safetensors"
    branch = trunk / f"{general:08d}" / f"{model}-bbbb" if general else root / f"{model}-bbbb"
    _log(branch, general, general + special, model)
    return branch / f"{general + special:08d}.safetensors"


def _log(folder, begin, end, domain):
    folder.mkdir(parents=True, exist_ok=True)
    steps = np.arange(begin, end, 10)
    loss = 3 + 4 * (steps + 5.0) ** -0.3
    tokens = (steps + 1) * BATCH
    frame = pd.DataFrame({"step": steps, "tokens": tokens, "domain": domain, "loss": loss})
    frame.to_csv(folder / "train_log.csv", index=False)
