"""The manifest covers every artifact and reports those that the workflow did not write."""

import os
import time

import pytest
from torch import zeros

from splitlaw.common.errors import UserError
from splitlaw.experiment.lineage import Segment
from splitlaw.training.states import Store
from splitlaw.workflow import manifest


@pytest.fixture
def results(tmp_path):
    (tmp_path / "law").mkdir()
    (tmp_path / "logs").mkdir()
    (tmp_path / "losses.csv").write_text("loss\n3.1\n")
    (tmp_path / "law/fit.json").write_text("{}")
    (tmp_path / "logs/fit.log").write_text("not an artifact")
    store = Store(root=tmp_path / "checkpoints/w16/seed0/abc", identity="abc", data={})
    store.save((Segment(domain="general", total=None, stop=1),), {"weight": zeros(3)})
    manifest.record(tmp_path, since=0)
    return tmp_path


def change(file, text, *, seconds):
    file.write_text(text)
    os.utime(file, (time.time() + seconds,) * 2)


def test_unchanged_artifacts_pass(results):
    assert manifest.check(results) == []


def test_changed_missing_and_unknown_files_are_reported(results):
    (results / "losses.csv").write_text("loss\n2.9\n")
    (results / "law/fit.json").unlink()
    (results / "extra.csv").write_text("")
    assert set(manifest.check(results)) == {
        f"{results}/law/fit.json: is missing",
        f"{results}/losses.csv: differs from the file that the workflow wrote",
        f"{results}/extra.csv: was not written by a workflow",
    }


def test_a_file_changed_between_workflows_is_reported_after_the_next(results):
    began = time.time()
    change(results / "losses.csv", "tampered", seconds=-60)
    change(results / "law/fit.json", "made again", seconds=60)
    manifest.record(results, since=began)
    assert manifest.check(results) == [
        f"{results}/losses.csv: differs from the file that the workflow wrote"
    ]


def test_a_damaged_state_is_reported(results):
    (file,) = manifest.states(results)
    damaged = bytearray(file.read_bytes())
    damaged[-2] ^= 1
    file.write_bytes(damaged)
    assert manifest.check(results) == [f"{file}: is damaged"]


def test_without_a_manifest_there_is_nothing_to_check(tmp_path):
    with pytest.raises(UserError, match=r"manifest.json: no such file"):
        manifest.check(tmp_path)
