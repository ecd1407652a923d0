"""A results folder is writable and belongs to one configuration."""

import pytest

from splitlaw.common.errors import UserError
from splitlaw.experiment.config import ExperimentConfig
from splitlaw.workflow.results import check_results, first_difference, identity

IDENTITY = {"sizes": {"w16": {"width": 16}}, "training": {"clip": 1.0}}


def test_a_results_folder_of_another_configuration_is_refused(tmp_path):
    check_results(tmp_path / "r", IDENTITY)
    check_results(tmp_path / "r", IDENTITY)
    added = {**IDENTITY, "sizes": {**IDENTITY["sizes"], "w24": {"width": 24}}}
    check_results(tmp_path / "r", added)
    (tmp_path / "r/runs").mkdir()
    with pytest.raises(UserError, match=r"training.clip was 1.0, is 2.0\); give `experiment`"):
        check_results(tmp_path / "r", {**added, "training": {"clip": 2.0}})


def test_the_learning_rate_may_change_until_the_grid_is_trained(tmp_path):
    def at(rate, clip=1.0):
        return {**IDENTITY, "training": {"clip": clip, "learning_rate": rate}}

    check_results(tmp_path / "r", at(1e-3))
    check_results(tmp_path / "r", at(2e-3))
    with pytest.raises(UserError, match=r"training\.clip was 1\.0, is 2\.0"):
        check_results(tmp_path / "r", at(2e-3, clip=2.0))
    (tmp_path / "r/runs").mkdir()
    with pytest.raises(UserError, match=r"training\.learning_rate was 0\.002, is 0\.003"):
        check_results(tmp_path / "r", at(3e-3))


def test_a_results_folder_that_is_not_writable_is_refused(tmp_path):
    (tmp_path / "results").write_text("a file where a folder should be")
    with pytest.raises(UserError, match=r"results/x: cannot be written \(Not a directory\)"):
        check_results(tmp_path / "results/x", IDENTITY)


def test_the_identity_has_what_results_depend_on(config):
    before = identity(ExperimentConfig.read(config))
    assert set(before) == {"corpus", "sizes", "tokenizer", "model", "training"}
    config["law"]["draws"] += 1
    config["grid"]["seeds"] = [0, 1]
    assert identity(ExperimentConfig.read(config)) == before
    config["corpus"]["domains"]["faith"] = {"sources": [{"package": "king_james"}]}
    found = first_difference(before, identity(ExperimentConfig.read(config)))
    assert found.startswith("corpus.general.domains was "), "they are part of the general text"
    del config["corpus"]["domains"]["faith"]
    config["corpus"]["general"] = {"sources": [{"package": "king_james"}]}
    apart = identity(ExperimentConfig.read(config))
    assert apart["corpus"]["general"] == [{"package": "king_james"}]
    config["corpus"]["domains"]["more"] = {"sources": [{"package": "maths"}]}
    assert not first_difference(apart, identity(ExperimentConfig.read(config)))
    del config["corpus"]["domains"]["more"]
    config["corpus"]["general"] = {"includes_domains": True}
    config["corpus"]["seed"] = 7
    found = first_difference(before, identity(ExperimentConfig.read(config)))
    assert found == "corpus.seed was 0, is 7"
