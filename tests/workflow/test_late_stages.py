"""Tasks and trackers are checked before anything is trained."""

import pytest
import yaml
from existing_models import write_files

from splitlaw.common.errors import UserError
from splitlaw.experiment.config import ExperimentConfig
from splitlaw.workflow import late_stages


def test_a_local_task_that_does_not_exist_is_refused(config, root, monkeypatch):
    monkeypatch.chdir(root)
    late_stages.check_named(ExperimentConfig.read(config))
    config["benchmarks"]["tasks"] = ["arc_easy", "local_arc_esy"]
    with pytest.raises(UserError, match="no task local_arc_esy; did you mean local_arc_easy"):
        late_stages.check_named(ExperimentConfig.read(config))


def test_a_tracker_that_is_not_installed_is_refused(config, root, monkeypatch):
    monkeypatch.chdir(root)
    monkeypatch.setattr(late_stages.importlib.util, "find_spec", lambda name: None)
    config["execution"] = {"by_size": {"w16": {"trackers": ["wandb"]}}}
    with pytest.raises(UserError, match=r"^execution\.trackers names wandb, which is no"):
        late_stages.check_named(ExperimentConfig.read(config))


def test_further_runs_are_not_chosen_with_a_base(config, root, tmp_path):
    rules = {"pretrain", "next_runs"}
    late_stages.check_targets(ExperimentConfig.read(config), rules)
    content = yaml.safe_load((root / "configs/base.yaml").read_text())
    content["base"]["path"] = str(write_files(tmp_path / "model"))
    base = ExperimentConfig.read(content)
    late_stages.check_targets(base, {"pretrain", "frontier", "scarcity"})
    with pytest.raises(UserError, match=r"^next_runs: does not plan with a base; make it"):
        late_stages.check_targets(base, rules)


def test_tasks_of_lm_eval_are_opened_only_for_the_stage_that_uses_them(
    tmp_path, monkeypatch, capsys
):
    """lm-eval issue 3171: the task has a loading script, which was noticed after the training.

    lm-eval takes 20 seconds to list its tasks; this program answers in its place.
    """
    program = tmp_path / "python"
    lines = ["#!/bin/sh", "echo warning >&2", 'echo "error: $5 has a script" >&2', "exit 2", ""]
    program.write_text("\n".join(lines))
    program.chmod(0o755)
    monkeypatch.setattr(late_stages.sys, "executable", str(program))
    late_stages.check_foreign_tasks(["local_arc_easy"], {"benchmark"})
    late_stages.check_foreign_tasks(["piqa"], {"report"})
    assert not capsys.readouterr().err
    with pytest.raises(UserError, match=r"^piqa has a script$"):
        late_stages.check_foreign_tasks(["local_arc_easy", "social_iqa", "piqa"], {"benchmark"})
    assert capsys.readouterr().err == "checking social_iqa, piqa, before anything is trained\n"
