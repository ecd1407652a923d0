"""The interface to `lm-eval`: its tasks, requests, tokenization and metrics.

`lm-eval` builds the requests from a task's YAML file and computes the metrics from log-likelihoods.
The forward passes are done here (`splitlaw.zero_shot.scoring`), because every system combines token
log-likelihoods of the same few models.
"""

from __future__ import annotations

import contextlib
import difflib
import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from splitlaw.common.errors import UserError
from splitlaw.common.network import is_network_error
from splitlaw.zero_shot.scoring import sums
from splitlaw.zero_shot.tables import ACCURACY, NORMALISED

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

try:
    import datasets
    from lm_eval.api.instance import Instance
    from lm_eval.api.model import LM
    from lm_eval.evaluator import evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager
except ImportError as cause:
    raise UserError(
        f"lm-eval: {cause}; run: pip install --no-deps -r envs/benchmarks.lock"
    ) from None

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
METRICS = (ACCURACY, NORMALISED)
_LOCAL = "local_"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress progress bars and messages of `lm-eval` and `datasets`."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(before)


def load_tasks(names: Sequence[str], *, folder: Path, items: Path, cache: Path) -> dict[str, Any]:
    """Load tasks by name: those of `folder` read the items in `items`, others are from the hub.

    Raises `UserError` for an unknown task, a local task without items, a task that requires the hub
    while it cannot be reached, and a task that is not multiple choice.
    """
    local = TaskManager(include_path=str(folder), include_defaults=False)
    foreign = [name for name in names if name not in local.all_subtasks]
    for name in foreign:
        if name.startswith(_LOCAL):
            raise UserError(f"benchmarks.tasks: {_unknown(name, local.all_subtasks)}")
    # lm-eval has 14,000 task files, so they are read only if one of them is required.
    everywhere = TaskManager(include_path=str(folder)) if foreign else local
    loaded: dict[str, Any] = {}
    for name in names:
        if name not in everywhere.all_subtasks:
            raise UserError(f"benchmarks.tasks: {_unknown(name, everywhere.all_subtasks)}")
        spec: Any = name
        if name in local.all_subtasks:
            spec = _with_items(local.task_index[name].cfg, items, cache)
        loaded |= _load(everywhere, name, spec)
    for name, task in loaded.items():
        if task.OUTPUT_TYPE != "multiple_choice":
            raise UserError(
                f"benchmarks.tasks: {name} has the output type {task.OUTPUT_TYPE}; "
                "choose multiple-choice tasks"
            )
    return loaded


def _unknown(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else "run lm-eval ls tasks for a list"
    return f"there is no task {name}; {hint}"


def _with_items(config: Mapping[str, Any], items: Path, cache: Path) -> dict[str, Any]:
    path = items / f"{config['task']}.jsonl"
    if not path.is_file():
        raise UserError(f"{path}: not found; run benchmark_items with {config['task']}")
    data = {"data_files": {"test": str(path)}, "cache_dir": str(cache)}
    return {**config, "dataset_kwargs": data}


def _load(manager: TaskManager, name: str, spec: Any) -> dict[str, Any]:
    try:
        with _quiet():
            return dict(manager.load([spec])["tasks"])
    except datasets.exceptions.DatasetGenerationError as cause:
        reason = _first_line(cause.__cause__ or cause)
        raise UserError(
            f"{name}: its items cannot be read ({reason}); run benchmark_items again"
        ) from None
    except IndexError:  # lm-eval reads the answer of the first item when it opens a task
        raise UserError(
            f"{name}: item 1 has no right answer (gold is not one of its choices); correct or "
            "remove the item"
        ) from None
    except (RuntimeError, ValueError) as cause:
        reason = " ".join(str(cause).split())[:200]
        if "script" in reason:
            reason = f"its data set has a loading script, which `datasets` does not run: {reason}"
        raise UserError(f"{name}: cannot be opened ({reason}); choose another task") from None
    except Exception as cause:  # raised by the libraries of the hub when it does not respond
        if not isinstance(cause, OSError) and not is_network_error(cause):
            raise
        reason = _first_line(cause)
        raise UserError(
            f"{name}: requires the hub, which does not respond ({reason}); go online, or choose a "
            "task with local items"
        ) from None


def _first_line(cause: BaseException) -> str:
    """First line of the message of an error; the name of its type if the message is empty."""
    return (str(cause).strip() or type(cause).__name__).splitlines()[0]


@dataclass(frozen=True, kw_only=True)
class Questions:
    """All items of all tasks as requests, in the order of the tasks."""

    tasks: Mapping[str, Any]
    """The tasks of `lm-eval` by name."""
    requests: Sequence[Instance]
    """Requests of all items, those of an item one after another."""
    item: Indices
    """(requests,) number of the item of each request, counted over all tasks."""
    gold: Indices
    """(items,) number of the request with the right answer."""
    bytes: Array
    """(items,) UTF-8 bytes of the right answer."""
    choices: Indices
    """(items,) number of choices."""
    task: Indices
    """(items,) number of the task of each item."""

    @property
    def texts(self) -> list[str]:
        """Text of each item for the router: the question and all choices, without preference."""
        parts: list[dict[str, None]] = [{} for _ in self.gold]
        for number, request in zip(self.item, self.requests, strict=True):
            parts[number].update(dict.fromkeys(request.args))
        return ["".join(part) for part in parts]


def build_questions(tasks: Mapping[str, Any]) -> Questions:
    """Build the requests of all tasks with `lm-eval`, without examples (zero-shot)."""
    requests: list[Instance] = []
    item: list[int] = []
    gold: list[int] = []
    choices: list[int] = []
    owner: list[int] = []
    for number, (name, task) in enumerate(tasks.items()):
        task.set_config(key="num_fewshot", value=0)
        with _quiet():
            task.build_all_requests()
        last = -1
        for request in task.instances:
            if request.doc_id != last:
                last = request.doc_id
                gold.append(len(requests) + _right_answer(name, task, request))
                choices.append(0)
                owner.append(number)
            choices[-1] += 1
            item.append(len(gold) - 1)
            requests.append(request)
    return Questions(
        tasks=tasks,
        requests=requests,
        item=np.array(item),
        gold=np.array(gold),
        bytes=np.array([len(requests[g].args[1].strip().encode("utf-8")) for g in gold], float),
        choices=np.array(choices),
        task=np.array(owner),
    )


def _right_answer(name: str, task: Any, request: Instance) -> int:
    """Number of the right choice. Items without one are refused; `lm-eval` counts them as wrong."""
    choices = task.doc_to_choice(request.doc)
    gold = task.doc_to_text(request.doc) if task.multiple_input else task.doc_to_target(request.doc)
    if isinstance(gold, str) and gold in choices:
        gold = choices.index(gold)
    if not isinstance(gold, int) or not 0 <= gold < len(choices):
        raise UserError(
            f"{name}: item {request.doc_id + 1} has no right answer (gold is {gold!r}, with "
            f"{len(choices)} choices); correct the item or remove it"
        )
    return gold


class _Encoder(HFLM):
    """`HFLM` without the forward passes: it stores the tokens that would be scored."""

    def _loglikelihood_tokens(
        self, requests: list[Any], *_: object, **__: object
    ) -> list[tuple[float, bool]]:
        self.encoded = [(before, answer) for _, before, answer in requests]
        return [(0.0, False)] * len(requests)


def encode(
    questions: Questions, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> list[tuple[list[int], list[int]]]:
    """Context tokens and tokens to score of every request, as encoded by `HFLM`."""
    with _quiet():
        encoder = _Encoder(pretrained=model, tokenizer=tokenizer)
        encoder.loglikelihood(list(questions.requests), disable_tqdm=True)
    longest = encoder.max_length
    for request, (_, answer) in zip(questions.requests, encoder.encoded, strict=True):
        if not answer:
            raise UserError(
                f"{request.task_name}: item {(request.doc_id or 0) + 1} has an answer without "
                "tokens of its own: the tokenizer joins it with the end of the question; remove "
                "the item, or set target_delimiter of the task"
            )
        if len(answer) > longest:
            raise UserError(
                f"{request.task_name}: item {(request.doc_id or 0) + 1} has an answer of "
                f"{len(answer)} tokens, but the model reads only {longest}; remove the item"
            )
    return encoder.encoded


class _Answers(LM):
    """A model that returns log-likelihoods computed beforehand."""

    def __init__(self, answers: Mapping[tuple[Any, ...], float]) -> None:
        super().__init__()
        self.answers = answers

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        return [(self.answers[_key(request)], False) for request in requests]

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        raise NotImplementedError

    def generate_until(self, requests: list[Instance]) -> list[str]:
        raise NotImplementedError


def _key(request: Instance) -> tuple[Any, ...]:
    return request.task_name, request.doc_id, request.idx


def hits(questions: Questions, values: Array, bounds: Indices) -> dict[str, dict[str, Array]]:
    """Whether `lm-eval` counts each item as right, `[items]`, by task and metric of `METRICS`.

    `values` are log-likelihoods of tokens; those of request r are at `bounds[r]:bounds[r + 1]`.
    """
    answers = dict(zip(map(_key, questions.requests), sums(values, bounds).tolist(), strict=True))
    with _quiet():
        found = evaluate(
            _Answers(answers), {"tasks": dict(questions.tasks)}, bootstrap_iters=0, log_samples=True
        )
    return {
        name: {
            metric: np.array([sample[metric] for sample in samples], dtype=float)
            for metric in METRICS
            if metric in samples[0]
        }
        for name, samples in found["samples"].items()
    }
