"""Training, compared bit by bit: sharing, order and interruption change nothing."""

import os
import signal
import subprocess
import sys
from contextlib import suppress

import numpy as np
import psutil
import pytest
import torch
from planted_tokens import write_tokens

from splitlaw.common.errors import Diverged, UserError, exit_status
from splitlaw.common.progress import Progress
from splitlaw.experiment.lineage import GENERAL, Run, Segment
from splitlaw.experiment.settings import ExecutionConfig, TrainingConfig
from splitlaw.experiment.shape import Shape
from splitlaw.training.evaluation import cut_windows
from splitlaw.training.loop import Trainer
from splitlaw.training.signals import Stopped
from splitlaw.training.text import TrainingText

SHAPE = Shape(vocabulary=32, width=8, layers=1, heads=2, intermediate=12, context=8)
CONFIG = TrainingConfig(
    batch_tokens=32,
    warmup_tokens=128,
    cooldown_fraction=0.2,
    learning_rate=0.01,
    reference_params=1000,
    learning_rate_exponent=0.0,
    weight_decay=0.1,
    betas=(0.9, 0.95),
    clip=1.0,
)
RUNS = [
    Run(domain=GENERAL, pretrain_steps=40, specialize_steps=0),
    Run(domain="law", pretrain_steps=20, specialize_steps=20),
    Run(domain="law", pretrain_steps=20, specialize_steps=40),
    Run(domain="law", pretrain_steps=36, specialize_steps=4),
    Run(domain="medicine", pretrain_steps=36, specialize_steps=4),
    Run(domain="medicine", pretrain_steps=0, specialize_steps=20),
]


MIXTURES = {"joint-mixture": {GENERAL: 20, "law": 15, "medicine": 5}}
MIXED = Run(domain="joint-mixture", pretrain_steps=0, specialize_steps=40)


def trainer(tokens, store="checkpoints", config=CONFIG, mixtures=MIXTURES, **execution) -> Trainer:
    sidecars = {d: tokens / "tokens" / d / "tokens.json" for d in (GENERAL, "law", "medicine")}
    return Trainer(
        shape=SHAPE,
        config=config,
        seed=0,
        text=TrainingText(sidecars=sidecars, mixtures=mixtures),
        checkpoints=tokens / store,
        execution=ExecutionConfig(compile=False, **execution),
        progress=Progress("test", quiet=True),
    )


def weights(trained: Trainer) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in trained.model.named_parameters()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_shared_training_gives_the_bits_of_independent_training(tokens):
    shared = trainer(tokens)
    for number, run in enumerate(RUNS):
        alone = trainer(tokens, store=f"alone{number}")
        alone.reach(run.lineage(0.2))
        shared.reach(run.lineage(0.2))
        assert same(weights(shared), weights(alone)), run
    independent = sum(run.total for run in RUNS)
    assert shared.usage.steps < 0.8 * independent


def test_training_lowers_the_loss(tokens):
    trained = trainer(tokens, repeat=True)
    trained.reach(Run(domain="law", pretrain_steps=0, specialize_steps=300).lineage(0.2))
    batch = trained.streams.of("law").read(0)
    assert float(trained.gradients.accumulate(batch)) < 2.5  # 3.43 at first, entropy about 1.4


def test_the_microbatch_changes_no_more_than_rounding(tokens):
    whole, parts = trainer(tokens, store="a"), trainer(tokens, store="b", microbatch=1)
    for trained in (whole, parts):
        trained.reach(RUNS[1].lineage(0.2))
    for one, other in zip(weights(whole).values(), weights(parts).values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("run", "at"),
    [(RUNS[2], 3), (RUNS[2], 19), (RUNS[2], 25), (RUNS[2], 37), (MIXED, 13), (MIXED, 35)],
)
def test_a_killed_run_ends_in_the_same_bits(tokens, run, at):
    undisturbed = trainer(tokens, store="undisturbed")
    undisturbed.reach(run.lineage(0.2))

    killed = trainer(tokens)
    step, numbers = killed._step, iter(range(1000))

    def kill_at(batch, rate):
        if next(numbers) == at:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(batch, rate)

    killed._step = kill_at
    with pytest.raises(Stopped):
        killed.reach(run.lineage(0.2))
    again = trainer(tokens)
    again.reach(run.lineage(0.2))
    assert same(weights(again), weights(undisturbed))
    assert again.usage.steps == run.total - at - 1, "nothing before the kill is trained twice"
    assert not list(tokens.glob("checkpoints/**/*.resume.safetensors"))


def test_a_mixture_shares_no_state_with_one_of_other_weights(tokens):
    trained = trainer(tokens)
    trained.reach(MIXED.lineage(0.2))
    trained.reach(RUNS[1].lineage(0.2))
    alone = trainer(tokens, store="alone", mixtures={})
    alone.reach(RUNS[1].lineage(0.2))
    assert same(weights(trained), weights(alone)), "a mixture leaves other streams as they are"
    other = {"joint-mixture": {**MIXTURES["joint-mixture"], "law": 16}}
    again = trainer(tokens, mixtures=other)
    again.reach(MIXED.lineage(0.2))
    assert again.usage.steps == MIXED.total


def test_a_mixture_of_more_text_than_there_is_is_refused(tokens):
    long = trainer(tokens, mixtures={"joint-mixture": {"law": 190, GENERAL: 20}})
    with pytest.raises(UserError, match="5992 training tokens of law, but a run requires 6080"):
        long.reach(Run(domain="joint-mixture", pretrain_steps=0, specialize_steps=210).lineage(0.2))


def test_a_longer_trunk_continues_from_the_last_state(tokens):
    trainer(tokens).reach(RUNS[1].lineage(0.2))
    longer = trainer(tokens)
    longer.reach(Run(domain="law", pretrain_steps=60, specialize_steps=60).lineage(0.2))
    assert longer.usage.steps == 120 - 20


def test_a_damaged_state_is_replaced(tokens):
    whole = trainer(tokens)
    whole.reach(RUNS[1].lineage(0.2))
    before = weights(whole)
    file = whole.store.file(RUNS[1].lineage(0.2)[:2])
    damaged = bytearray(file.read_bytes())
    damaged[-5] ^= 1
    file.write_bytes(damaged)
    whole.store.file(RUNS[1].lineage(0.2)).unlink()
    again = trainer(tokens)
    again.reach(RUNS[1].lineage(0.2))
    assert same(weights(again), before)


def test_another_configuration_uses_none_of_the_states(tokens):
    trainer(tokens).reach(RUNS[1].lineage(0.2))
    other = trainer(tokens, config=CONFIG.model_copy(update={"learning_rate": 0.02}))
    other.reach(RUNS[1].lineage(0.2))
    assert other.usage.steps == RUNS[1].total


def test_a_state_of_another_configuration_is_refused(tokens):
    first = trainer(tokens)
    first.reach(RUNS[1].lineage(0.2))
    other = trainer(tokens, config=CONFIG.model_copy(update={"learning_rate": 0.02}))
    with pytest.raises(UserError, match="another configuration"):
        other.store.load(first.store.file(RUNS[1].lineage(0.2)))


def test_a_token_file_that_is_too_short_is_refused(tokens):
    with pytest.raises(UserError, match="5992 training tokens of law"):
        trainer(tokens).reach(
            Run(domain="law", pretrain_steps=0, specialize_steps=190).lineage(0.2)
        )


def test_a_loss_that_does_not_recover_stops_the_run_with_its_step(tokens):
    """The warmup passes good learning rates and reaches one that is far too large."""
    config = CONFIG.model_copy(update={"learning_rate": 30.0, "warmup_tokens": 32 * 2000})
    broken = trainer(tokens, config=config, repeat=True)
    with pytest.raises(
        Diverged, match=r"at step \d+ the loss has stayed above its lowest value, 2"
    ):
        broken.reach(Run(domain="law", pretrain_steps=0, specialize_steps=5000).lineage(0.2))
    assert 300 < broken.usage.steps < 3000


def test_a_full_disk_is_reported_and_the_last_state_still_opens(tokens, small_disk, capsys):
    full = trainer(tokens, store=small_disk / "checkpoints")
    full.reach(RUNS[1].lineage(0.2))
    before = weights(full)
    rest = small_disk / "rest"
    with suppress(OSError), rest.open("wb") as stream:
        stream.write(bytes(1 << 20))
    assert exit_status(lambda: full.reach(RUNS[2].lineage(0.2))) == 2
    (message,) = capsys.readouterr().err.splitlines()
    assert "No space left on device; finished files are complete" in message
    again = trainer(tokens, store=small_disk / "checkpoints")
    assert again.states.restore(RUNS[1].lineage(0.2)) == RUNS[1].total
    assert same(weights(again), before)
    rest.unlink()
    again.reach(RUNS[2].lineage(0.2))
    alone = trainer(tokens, store="alone")
    alone.reach(RUNS[2].lineage(0.2))
    assert same(weights(again), weights(alone))


def test_two_runs_write_the_same_bytes(tokens):
    for store in ("one", "other"):
        trainer(tokens, store=store).reach(RUNS[1].lineage(0.2))
    files = sorted((tokens / "one").rglob("*.safetensors"))
    assert len(files) == 3
    for file in files:
        assert (
            file.read_bytes() == (tokens / "other" / file.relative_to(tokens / "one")).read_bytes()
        )


def test_memory_does_not_grow_with_the_length_of_a_run(tokens):
    long = trainer(tokens, repeat=True)
    rises = []
    for stop in (300, 1500, 2700):
        long.reach((Segment(domain="law", total=None, stop=stop),))
        rises.append(psutil.Process().memory_info().rss)
    assert rises[2] - rises[1] < 2 << 20


def test_a_microbatch_that_fits_is_found(tokens):
    """In a process with a memory limit in which a part of the batch fits, but not all of it."""
    script = f"""
import resource, sys, psutil
sys.path[:0] = {sys.path!r}
from pathlib import Path
import test_loop as t
from dataclasses import replace
t.SHAPE = replace(t.SHAPE, width=64, intermediate=256, context=512)
t.CONFIG = t.CONFIG.model_copy(update={{"batch_tokens": 512 * 64}})
wide = t.trainer(Path({str(tokens)!r}), config=t.CONFIG, repeat=True, device="cpu")
wide.gradients.microbatch = 1
assert wide.gradients.try_step(wide.optimizer) is None
now = psutil.Process().memory_info().vms
resource.setrlimit(resource.RLIMIT_AS, (now + (300 << 20), -1))
wide.gradients.find_microbatch(wide.optimizer, limit=None)
print(wide.gradients.microbatch)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) in (2, 4, 8, 16, 32)


def test_tokens_of_a_vocabulary_larger_than_the_models_are_refused(tokens):
    file = tokens / "tokens" / "law" / "tokens.json"
    file.write_text(file.read_text().replace('"vocabulary": 32', '"vocabulary": 40'))
    with pytest.raises(UserError, match="the vocabulary has 40 tokens, but the model has 32"):
        trainer(tokens).reach(RUNS[1].lineage(0.2))


def test_a_loss_that_is_not_finite_stops_the_run_with_its_step(tokens):
    broken = trainer(tokens, config=CONFIG.model_copy(update={"learning_rate": 1e30}))
    with pytest.raises(UserError, match="the loss at step 9 is"):
        broken.reach(RUNS[0].lineage(0.2))


@pytest.mark.parametrize("rate", [1e30, 1e38])
def test_a_state_that_is_not_finite_is_never_stored(tokens, rate):
    """A resume state is due after every step, and the loss is read after every tenth.

    kyutai-labs/pocket-tts issue 262; torchtitan pull request 3863.
    """
    config = CONFIG.model_copy(update={"learning_rate": rate})
    broken = trainer(tokens, config=config, checkpoint_seconds=1e-9)
    with pytest.raises(Diverged, match=r"is not finite after step \d;"):
        broken.reach(RUNS[0].lineage(0.2))
    stored = list(tokens.glob("checkpoints/**/*.safetensors"))
    assert stored and all(broken.store.load(file) is not None for file in stored)


def test_a_stored_state_that_is_not_finite_is_not_resumed_from(tokens, monkeypatch):
    """Earlier versions stored such resume states."""
    from splitlaw.training import states

    lineage = RUNS[0].lineage(0.2)
    sound = trainer(tokens)
    sound.reach(RUNS[1].lineage(0.2))
    sound.states.restore(RUNS[1].lineage(0.2)[:1])
    with torch.no_grad():
        next(sound.model.parameters())[0, 0] = torch.nan
    with monkeypatch.context() as patch:
        patch.setattr(states, "not_finite", lambda state: None)
        sound.states.save_resume((Segment(domain=GENERAL, total=None, stop=25),))
    again = trainer(tokens)
    assert again.states.restore(lineage) == 20


@pytest.mark.parametrize("split", ["train", "test"])
def test_damaged_token_files_are_named(tokens, split):
    """OLMo-core pull request 619: a device-side assert, far from its cause."""
    file = tokens / f"tokens/law/{split}.bin"
    ids = np.fromfile(file, "<u2")
    ids[::3] = 60000
    ids.tofile(file)
    sidecar = tokens / "tokens/law/tokens.json"
    with pytest.raises(UserError, match=r"tokens\.json: a token file beside it has the token 6000"):
        if split == "train":
            trainer(tokens).reach(RUNS[1].lineage(0.2))
        else:
            cut_windows(sidecar, context=8, limit=100)


@pytest.mark.parametrize("repeat", [False, True])
def test_text_that_is_shorter_than_one_window_is_refused(tokens, repeat):
    """nanoGPT pull request 379 and RWKV-PEFT issue 52: `ValueError: high <= 0`."""
    write_tokens(tokens / "short" / "law", train=5, documents=[9], seed=0)
    small = trainer(tokens, repeat=repeat)
    small.text.sidecars["law"] = tokens / "short" / "law" / "tokens.json"
    with pytest.raises(UserError, match="5 training tokens are fewer than one window of 8"):
        small.reach(RUNS[1].lineage(0.2))


def test_the_learning_rate_continues_where_it_was(tokens):
    """Transformers issues 23099 and 34053, litgpt pull request 1160: it began again."""
    run = Run(domain=GENERAL, pretrain_steps=60, specialize_steps=0)
    whole, parts = trainer(tokens, store="whole"), trainer(tokens)
    whole.reach(run.lineage(0.2))
    for stop in (25, 48):
        parts.reach((Segment(domain=GENERAL, total=None, stop=stop),))
    trainer(tokens).reach(run.lineage(0.2))
    rates = [[row[:4] for row in rows_of(tokens / store)] for store in ("whole", "checkpoints")]
    assert {row[0]: row[3] for row in rates[0]}.items() <= {r[0]: r[3] for r in rates[1]}.items()


def rows_of(folder):
    files = sorted(folder.rglob("train_log.csv"))
    return [line.split(",") for file in files for line in file.read_text().splitlines()[1:]]
