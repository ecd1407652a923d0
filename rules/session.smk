# Around the jobs: what must hold before any is submitted, and what is recorded when all have ended.

from splitlaw.scheduling import slurm as cluster
from splitlaw.workflow import manifest
from splitlaw.workflow import session

WORDS = sys.argv[1:]


def stop_at_mistake(action):
    """End with exit status 2 after a user's mistake, the lock released."""
    status = exit_status(action)
    if status:
        sys.stderr.flush()
        sys.exit(status)


def identity():
    """The part of the configuration that another value of which makes other results.

    Domains, sizes and tokens may be added; what is there stays.
    """
    corpus = config["corpus"]
    return {
        "corpus": {
            "seed": corpus.get("seed", 0),
            "general": corpus["general"]["sources"],
            "domains": corpus["domains"],
        },
        "sizes": config["sizes"],
        **{key: config[key] for key in ("tokenizer", "model", "training")},
    }


def requests():
    """What every job that has to run asks for, those that share a job together."""
    jobs = [job for job in workflow.dag.needrun_jobs() if not job.is_local]
    shared = {id(group): group for job in jobs if (group := workflow.dag.get_job_group(job))}
    alone = [job for job in jobs if workflow.dag.get_job_group(job) is None]
    for group in shared.values():
        rules_in_it = sorted({job.rule.name for job in group})
        yield cluster.request(" + ".join(rules_in_it), group.resources)
    for job in alone:
        yield cluster.request(job.rule.name, job.resources)


def start():
    session.check_results(Path(RESULTS), identity())
    if workflow.executor_plugin.name == "slurm":
        session.check_orphans(WORDS)
        cluster.check(requests(), cluster.partitions())
    session.begin(["snakemake", *WORDS])


def finish():
    manifest.record(Path(RESULTS), since=session.since())
    session.end()


if workflow.is_main_process:
    if exit_status(lambda: session.check_lock(WORDS)):
        sys.stderr.flush()
        os._exit(2)


onstart:
    if workflow.is_main_process:
        stop_at_mistake(start)


onsuccess:
    if workflow.is_main_process:
        finish()
        where_to_look()


onerror:
    if workflow.is_main_process:
        finish()
        print(
            "What was finished is kept: the same command goes on from there.", file=sys.stderr
        )
