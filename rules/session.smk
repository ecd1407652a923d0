# Checks before the first job of a workflow, and records after its last.

from splitlaw.cli import worker
from splitlaw.workflow import session

ARGUMENTS = sys.argv[1:]


def check_lock():
    session.check_lock(ARGUMENTS)


def begin_session():
    startup.begin(EXPERIMENT, Path(RESULTS), workflow, ARGUMENTS)
    # Jobs of a cluster run on other machines, and those of an environment have another torch.
    local = workflow.executor_plugin.name == "local"
    trains = any("execution" in job.rule.resources for job in workflow.dag.needrun_jobs())
    if trains and local and not workflow.deployment_settings.deployment_method:
        worker.start()


def end_session():
    startup.end(Path(RESULTS))


def print_findings():
    terminal.print_findings(shown, Path(RESULTS))


if workflow.is_main_process:
    startup.value_or_exit(check_lock, leave=os._exit)


onstart:
    if workflow.is_main_process:
        startup.value_or_exit(begin_session)


onsuccess:
    if workflow.is_main_process:
        startup.value_or_exit(end_session)
        print_findings()


onerror:
    if workflow.is_main_process:
        startup.value_or_exit(end_session)
        print("Finished jobs are kept: the same command resumes.", file=sys.stderr)
