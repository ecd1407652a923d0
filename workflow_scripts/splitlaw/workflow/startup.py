"""Checks before the first job of a workflow, and records after the last one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from splitlaw.common.errors import exit_status
from splitlaw.corpus.sources.availability import check_sources_exist
from splitlaw.experiment.config import ExperimentConfig, is_complete
from splitlaw.experiment.section import load_config
from splitlaw.scheduling import slurm
from splitlaw.tokens.existing import check_tokenizer
from splitlaw.workflow import late_stages, manifest, results, session

DEFAULT = "config.yaml"
"""The configuration that the Snakefile names."""

Result = TypeVar("Result")


def value_or_exit(
    action: Callable[[], Result], *, leave: Callable[[int], NoReturn] = sys.exit
) -> Result:
    """Return the value of `action`; after a `UserError`, print one line and end the process.

    `leave` ends it. With `sys.exit`, Snakemake removes its lock first. While Snakemake parses the
    rules it would report that as an error of the Snakefile; then use `os._exit`.
    """
    values: list[Result] = []
    status = exit_status(lambda: values.append(action()))
    if status:
        sys.stderr.flush()
        leave(status)
    return values[0]


def read_experiment(
    config: dict[str, Any],
    overrides: Mapping[str, Any],
    files: Sequence[str],
    *,
    only_keys: bool = False,
) -> ExperimentConfig:
    """Check Snakemake's configuration, and the sources and the tokenizer that it names.

    `overrides` are the contents of `--configfile` and `--config`, which are merged into `config`
    already, and `files` the names of the former. Where they have every section, they replace
    `config` instead. With `only_keys`, nothing that they name is checked.
    """
    for file in dict.fromkeys([*files, DEFAULT]):
        if Path(file).is_file():
            load_config(file)  # refuses a key that is given twice; Snakemake takes the last
    own = {key: value for key, value in overrides.items() if key != "text"}
    if is_complete(own):
        config.clear()
        config.update(own)
    elif DEFAULT not in files:
        files = [DEFAULT, *files]
    experiment = ExperimentConfig.read(config, where=" with ".join(files))
    if not only_keys:
        check_sources_exist(experiment.corpus)
        if experiment.base is None:  # that of a base is checked with the base
            check_tokenizer(experiment.tokenizer)
        late_stages.check_named(experiment)
    return experiment


def text_folder(value: Any, arguments: Sequence[str]) -> str:
    """The folder of text that `--config text=FOLDER` names, as it was typed.

    `value` is Snakemake's, which reads a name such as `no` or `1e3` as something else.
    """
    typed = [word.removeprefix("text=") for word in arguments if word.startswith("text=")]
    return typed[-1] if typed else str(value or "")


def begin(config: ExperimentConfig, folder: Path, workflow: Any, arguments: Sequence[str]) -> None:
    """Check the results folder, the cluster and the tasks, and record the session.

    `workflow` is Snakemake's, and `arguments` those of its command line.
    """
    results.check_results(folder, results.identity(config))
    if workflow.executor_plugin.name == "slurm":
        session.check_orphans(arguments)
        slurm.check(job_requests(workflow.dag), slurm.partitions())
    rules = {job.rule.name for job in workflow.dag.needrun_jobs()}
    late_stages.check_targets(config, rules)
    late_stages.check_foreign_tasks(config.benchmarks.tasks, rules)
    session.begin(["snakemake", *arguments])


def end(folder: Path) -> None:
    """Record the artifacts in the results folder, and remove the record of the session.

    If the artifacts cannot be recorded, because the disk is full, the record of the session stays,
    from which the next one determines the files that were written in this one.
    """
    manifest.record(folder, since=session.began())
    session.end()


def job_requests(dag: Any) -> Iterator[slurm.Request]:
    """The request of every job of Snakemake's graph that will be submitted; a group has one."""
    jobs = [job for job in dag.needrun_jobs() if not job.is_local]
    groups = {id(group): group for job in jobs if (group := dag.get_job_group(job))}
    for group in groups.values():
        name = " + ".join(sorted({job.rule.name for job in group}))
        yield slurm.request(name, group.resources)
    for job in jobs:
        if dag.get_job_group(job) is None:
            yield slurm.request(job.rule.name, job.resources)
