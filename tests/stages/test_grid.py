import pandas as pd
import pytest
from planted_tokens import job_of

from splitlaw.experiment.columns import LOSSES, REPLAY
from splitlaw.experiment.grid import Grid
from splitlaw.experiment.lineage import GENERAL, Run
from splitlaw.experiment.settings import ExecutionConfig
from splitlaw.laws.read import read_table
from splitlaw.stages.gather import gather
from splitlaw.stages.grid import pretrain, specialize

EXECUTION = ExecutionConfig(compile=False, device="cpu")
REPLAYED = Grid(batch_tokens=64, cells=((4, 10),), unsplit=(14,), replay=(0, 0.25))


@pytest.fixture
def tables(tokens):
    """The tables of a small grid with replay, by domain."""
    job = job_of(tokens, "fit", grid=REPLAYED)
    pretrain(job, execution=EXECUTION, out=tokens / "trunk.json")
    files = {name: tokens / f"{name}.csv" for name in (GENERAL, "law")}
    for name, file in files.items():
        specialize(job, name, ["law"], execution=EXECUTION, out=file)
    return files


def test_branches_with_replay_are_evaluated_on_general_text_too(tables):
    table = pd.read_csv(tables["law"])
    assert list(table.columns) == [*LOSSES, *REPLAY]
    assert set(zip(table["replay"], table["domain"], strict=True)) == {
        (share, domain) for share in (0, 0.25) for domain in (GENERAL, "law")
    }
    assert (table["train_domain"] == "law").all() and (table["pretrain_tokens"] == 256).all()
    amounts = table.set_index("replay")[["specialize_tokens", "replay_tokens"]].drop_duplicates()
    assert amounts.loc[0].to_list() == [640, 0] and amounts.loc[0.25].to_list() == [480, 160]
    assert table.groupby("domain")["loss"].nunique().to_list() == [2, 2]


def test_the_cost_and_the_law_read_a_table_with_replay(tables, tokens):
    losses, cost = tokens / "losses.csv", tokens / "cost.csv"
    gather(
        list(tables.values()),
        losses_out=losses,
        cost_out=cost,
        cooldown_fraction=0.2,
        batch_tokens=64,
    )
    by_stage = pd.read_csv(cost).set_index("stage")
    assert by_stage["runs"].to_dict() == {"pretrain": 1, "specialize": 2}
    assert by_stage["tokens_independent"].to_dict() == {"pretrain": 64 * 22, "specialize": 64 * 20}
    reading = read_table(losses)
    assert list(reading.fit.domains) == ["law"] and len(reading.fit.loss) == 3
    assert reading.after is not None and len(reading.after.loss) == 3, "the rows of general"


def test_replayed_text_continues_the_general_text_of_the_trunk(tokens):
    job = job_of(tokens, "fit", grid=REPLAYED)
    run = Run(domain="law", pretrain_steps=4, specialize_steps=10, replay=0.25)
    trainer = job.trainer([GENERAL, "law"], EXECUTION, "law", {run.stream: run.mixture})
    stream = trainer.streams.for_last_segment(job.lineage(run))
    read = [tuple(row) for step in range(10) for row in stream.read(step)]
    general = trainer.streams.of(GENERAL)
    after_trunk = [tuple(general.window(4 * 4 + number)) for number in range(10)]
    assert [row for row in read if row in set(after_trunk)] == after_trunk
    assert len(read) == 40
