"""Names of zero-shot tasks and of their metrics in figures and tables."""

from splitlaw.zero_shot.tables import (
    ACCURACY,
    ALL_DOMAINS,
    ALL_TASKS,
    BITS,
    HELD_OUT,
    LOSS,
    NORMALISED,
)

METRICS = {
    BITS: "bits per byte",
    LOSS: "loss",
    ACCURACY: "accuracy",
    NORMALISED: "normalised accuracy",
}
"""Names of metrics; a normalised accuracy compares log-probabilities divided by length."""

LOCAL = "local_"
"""Beginning of the names of the tasks whose items are on the machine."""

TASKS = {
    "arc_easy": "ARC-Easy",
    "arc_challenge": "ARC-Challenge",
    "hellaswag": "HellaSwag",
    "piqa": "PIQA",
    "winogrande": "WinoGrande",
    "openbookqa": "OpenBookQA",
    "socialiqa": "SocialIQA",
    "sciq": "SciQ",
    "csqa": "CommonsenseQA",
    "boolq": "BoolQ",
    "medmcqa": "MedMCQA",
    "medqa": "MedQA",
    ALL_TASKS: "all tasks",
    ALL_DOMAINS: "all domains",
}
"""Names as in the task_alias of the files in tasks/."""


def task_name(task: str) -> str:
    """The name of a task; that of another harness as it is."""
    short = task.removeprefix(LOCAL)
    if short.startswith(HELD_OUT):
        return f"held-out {short.removeprefix(HELD_OUT)}"
    return TASKS.get(short, task)


def metric_name(metric: str) -> str:
    """The name of a metric."""
    return METRICS.get(metric, metric.replace("_", " "))
