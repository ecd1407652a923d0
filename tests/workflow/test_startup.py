"""The configuration is checked before anything is planned, and requests before anything runs."""

import copy
from types import SimpleNamespace

import pytest

from splitlaw.common.errors import UserError
from splitlaw.workflow import startup


def test_a_mistake_ends_the_process_with_status_2(capsys):
    def mistake():
        raise UserError("config.yaml: law has no form; add it")

    with pytest.raises(SystemExit) as end:
        startup.value_or_exit(mistake)
    assert end.value.code == 2
    assert capsys.readouterr().err == "error: config.yaml: law has no form; add it\n"
    assert startup.value_or_exit(dict) == {}


def test_some_sections_change_the_configuration(config):
    config["law"] |= {"draws": 7}
    written = copy.deepcopy(config)
    experiment = startup.read_experiment(config, {"law": {"draws": 7}, "text": "folder"}, [])
    assert experiment.law.draws == 7
    assert config == written


def test_a_whole_configuration_replaces_the_default(config):
    whole = copy.deepcopy(config)
    whole.pop("compare")
    whole["experiment"] = "another"
    experiment = startup.read_experiment(config, {**whole, "text": "folder"}, ["own.yaml"])
    assert config == whole
    assert experiment.experiment == "another"
    assert experiment.compare.sizes == ("w56",), "not the sizes of config.yaml"


def test_a_mistake_names_the_files(config):
    config["law"]["draws"] = -1
    with pytest.raises(UserError, match=r"^config\.yaml with own\.yaml: law\.draws is -1"):
        startup.read_experiment(config, {"law": {"draws": -1}}, ["own.yaml"])


@pytest.mark.parametrize("name", ["no", "1e3", "007", "1_2", "a b", "{x}", "[1, 2]", ""])
def test_the_folder_of_text_is_taken_as_it_was_typed(name):
    """Snakemake issue 3650: `123_456` becomes a number, and quotes do not help."""
    assert startup.text_folder(True, ["snakemake", "--config", f"text={name}"]) == name


def test_a_workflow_can_be_unlocked_while_its_text_is_missing(config):
    """ncov issue 578 and pling issue 51: `--unlock` required all input files."""
    config["corpus"]["domains"]["law"] = {"sources": [{"files": "gone/*.txt"}]}
    with pytest.raises(UserError, match="matches no file"):
        startup.read_experiment(copy.deepcopy(config), {}, [])
    assert startup.read_experiment(config, {}, [], only_keys=True).experiment == "default"


def test_a_key_that_is_given_twice_is_refused(config, tmp_path, monkeypatch):
    """lm-eval issue 2234: YAML takes the last one, and the first is lost without a message."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text("law: {form: auto}\nfinal: {size: a}\nlaw: {seed: 1}\n")
    (tmp_path / "own.json").write_text('{"law": {"seed": 1, "seed": 2}}')
    for file, key, files in (("config.yaml", "law", []), ("own.json", "seed", ["own.json"])):
        with pytest.raises(UserError, match=rf"^{file}: cannot be read as .* key {key} occurs tw"):
            startup.read_experiment(config, {}, files)


class Graph:
    """Jobs of Snakemake's graph, of which two share a group."""

    def __init__(self, jobs, group):
        self.jobs, self.group = jobs, group

    def needrun_jobs(self):
        return self.jobs

    def get_job_group(self, job):
        return self.group if job in self.group else None


class Group(list):
    """Jobs that are submitted together."""

    def __init__(self, *jobs):
        super().__init__(jobs)
        self.resources = {"slurm_partition": "gpu", "runtime": 50, "gres": "gpu:1"}


def job(rule, *, local=False, **resources):
    name = SimpleNamespace(name=rule)
    return SimpleNamespace(rule=name, is_local=local, resources=resources)


def test_jobs_of_a_group_have_one_request():
    """Slurm plugin issue 456: the runtime of a group is a sum, above the limit of the partition."""
    together = Group(job("specialize_domain"), job("pretrain_size"), job("specialize_domain"))
    alone = job("report", slurm_partition="cpu", runtime=60, mem_mb=2000)
    jobs = [*together, alone, job("evaluate", local=True)]
    group, single = startup.job_requests(Graph(jobs, together))
    assert (group.job, group.minutes, group.gpus) == ("pretrain_size + specialize_domain", 50, 1)
    assert (single.job, single.partition, single.memory_mb) == ("report", "cpu", 2000)
