"""The files of states: which are found, kept and deleted."""

import pytest
import torch

from splitlaw.experiment.lineage import GENERAL, Run, cut_at
from splitlaw.training.states import Store

LINEAGE = Run(domain="law", pretrain_steps=20, specialize_steps=20).lineage(0.2)
STATE = {"weight": torch.arange(6.0)}


@pytest.fixture
def store(tmp_path):
    return Store(root=tmp_path / "abc", identity="abc", data={"law": "0123456789"})


def test_folders_follow_the_lineage(store):
    folder = store.root / "general/00000020/law-01234567/00000032/law-01234567-to-00000040"
    assert store.file(LINEAGE) == folder / "00000040.safetensors"


def test_stored_states_are_found_the_furthest_first(store):
    assert store.stored_on(LINEAGE) == []
    trunk, branch = LINEAGE[:1], LINEAGE[:2]
    store.save(trunk, STATE)
    store.save(cut_at(branch, 25), STATE, resume=True)
    assert [reached for _, reached in store.stored_on(LINEAGE)] == [cut_at(branch, 25), trunk]
    longer = Run(domain=GENERAL, pretrain_steps=60, specialize_steps=0).lineage(0.2)
    assert [reached for _, reached in store.stored_on(longer)] == [trunk]


def test_steps_left_are_counted_from_the_furthest_state(store):
    shorter = Run(domain="law", pretrain_steps=20, specialize_steps=10).lineage(0.2)
    assert store.steps_left([LINEAGE, shorter]) == 20 + 20 + 6
    store.save(LINEAGE[:1], STATE)
    assert store.steps_left([LINEAGE, shorter]) == 20 + 6
    store.save(LINEAGE, STATE)
    assert store.steps_left([LINEAGE, shorter]) == 10


def test_the_last_two_resume_states_are_kept_until_the_segment_is_complete(store):
    for step in (5, 10, 15):
        store.save(cut_at(LINEAGE[:1], step), STATE, resume=True)
    assert len(list(store.root.rglob("*.resume.safetensors"))) == 2
    store.drop_resume(LINEAGE[:1])
    assert not list(store.root.rglob("*.resume.safetensors"))


def test_a_damaged_state_is_not_loaded(store):
    file = store.save(LINEAGE, STATE)
    assert torch.equal(store.load(file)["weight"], STATE["weight"])
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert store.load(file) is None
