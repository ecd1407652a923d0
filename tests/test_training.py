"""Training compares bits: sharing, order and interruption change nothing."""

import os
import signal
from dataclasses import replace

import pytest
import torch

from splitlaw.errors import UserError
from splitlaw.model import Shape
from splitlaw.paths import GENERAL, Run
from splitlaw.progress import Progress
from splitlaw.training import Execution, Recipe, Stopped, Trainer

SHAPE = Shape(vocabulary=32, width=8, layers=1, heads=2, intermediate=12, context=8)
RECIPE = Recipe(
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


def trainer(tokens, store="checkpoints", recipe=RECIPE, **execution) -> Trainer:
    return Trainer(
        shape=SHAPE,
        recipe=recipe,
        seed=0,
        sidecars={d: tokens / "tokens" / d / "tokens.json" for d in (GENERAL, "law", "medicine")},
        checkpoints=tokens / store,
        execution=Execution(compile=False, **execution),
        progress=Progress("test", quiet=True),
    )


def weights(trained: Trainer) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in trained.named.items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_shared_training_gives_the_bits_of_independent_training(tokens):
    shared = trainer(tokens)
    for number, run in enumerate(RUNS):
        alone = trainer(tokens, store=f"alone{number}")
        alone.reach(run.path(0.2))
        shared.reach(run.path(0.2))
        assert same(weights(shared), weights(alone)), run
    independent = sum(run.total for run in RUNS)
    assert shared.cost.steps < 0.8 * independent


def test_training_lowers_the_loss(tokens):
    trained = trainer(tokens, repeat=True)
    trained.reach(Run(domain="law", pretrain_steps=0, specialize_steps=300).path(0.2))
    batch = trained.streams["law"].read(0)
    assert float(trained._accumulate_gradients(batch)) < 2.5  # 3.43 at first, entropy about 1.4


def test_the_microbatch_changes_no_more_than_rounding(tokens):
    whole, parts = trainer(tokens, store="a"), trainer(tokens, store="b", microbatch=1)
    for trained in (whole, parts):
        trained.reach(RUNS[1].path(0.2))
    for one, other in zip(weights(whole).values(), weights(parts).values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("at", [3, 19, 25, 37])
def test_a_killed_run_ends_in_the_same_bits(tokens, at):
    run = RUNS[2]
    undisturbed = trainer(tokens, store="undisturbed")
    undisturbed.reach(run.path(0.2))

    killed = trainer(tokens)
    killed._find_microbatch()  # its trial step is not one of the run's
    plain, steps = killed._accumulate_gradients, iter(range(1000))

    def kill_at(batch):
        if next(steps) == at:
            os.kill(os.getpid(), signal.SIGTERM)
        return plain(batch)

    killed._accumulate_gradients = kill_at
    with pytest.raises(Stopped):
        killed.reach(run.path(0.2))
    again = trainer(tokens)
    again.reach(run.path(0.2))
    assert same(weights(again), weights(undisturbed))
    assert again.cost.steps == run.total - at - 1, "nothing before the kill is trained twice"
    assert not list(tokens.glob("checkpoints/**/*.resume.safetensors"))


def test_a_longer_trunk_goes_on_from_the_last_state(tokens):
    trainer(tokens).reach(RUNS[1].path(0.2))
    longer = trainer(tokens)
    longer.reach(Run(domain="law", pretrain_steps=60, specialize_steps=60).path(0.2))
    assert longer.cost.steps == 120 - 20


def test_a_damaged_state_is_replaced(tokens):
    whole = trainer(tokens)
    whole.reach(RUNS[1].path(0.2))
    before = weights(whole)
    file = whole.store.file(RUNS[1].path(0.2)[:2])
    damaged = bytearray(file.read_bytes())
    damaged[-5] ^= 1
    file.write_bytes(damaged)
    whole.store.file(RUNS[1].path(0.2)).unlink()
    again = trainer(tokens)
    again.reach(RUNS[1].path(0.2))
    assert same(weights(again), before)


def test_another_configuration_finds_none_of_the_states(tokens):
    trainer(tokens).reach(RUNS[1].path(0.2))
    other = trainer(tokens, recipe=replace(RECIPE, learning_rate=0.02))
    other.reach(RUNS[1].path(0.2))
    assert other.cost.steps == RUNS[1].total


def test_a_state_of_another_configuration_is_refused(tokens):
    first = trainer(tokens)
    first.reach(RUNS[1].path(0.2))
    other = trainer(tokens, recipe=replace(RECIPE, learning_rate=0.02))
    with pytest.raises(UserError, match="another configuration"):
        other.store.load(first.store.file(RUNS[1].path(0.2)))


def test_a_token_file_too_short_is_told(tokens):
    with pytest.raises(UserError, match="5992 training tokens of law"):
        trainer(tokens).reach(Run(domain="law", pretrain_steps=0, specialize_steps=190).path(0.2))


def test_a_loss_that_is_not_finite_stops_with_its_step(tokens):
    broken = trainer(tokens, recipe=replace(RECIPE, learning_rate=1e30))
    with pytest.raises(UserError, match="the loss at step 9 is"):
        broken.reach(RUNS[0].path(0.2))
