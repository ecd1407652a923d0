"""The door to `lm-eval`: its tasks, its requests, its tokenisation, its metrics.

`lm-eval` builds every request from a task's YAML and scores every answer that we give; only the
forward passes are ours (`splitlaw.zero_shot.scoring`), because every system is a combination of
token log-likelihoods of the same few models.
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
from splitlaw.zero_shot.scoring import sums

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

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
METRICS = ("acc", "acc_norm")
_LOCAL = "local_"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep progress bars and notices of `lm-eval` and `datasets` off the terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(before)


def load_tasks(names: Sequence[str], *, folder: Path, items: Path, cache: Path) -> dict[str, Any]:
    """Tasks by name: those of `folder` read the items in `items`, others come from the hub.

    Raises `UserError` for an unknown task, a local one without items, a task that needs the hub
    where it cannot be reached, and one that is not multiple choice.
    """
    local = TaskManager(include_path=str(folder), include_defaults=False)
    foreign = [name for name in names if name not in local.all_subtasks]
    for name in foreign:
        if name.startswith(_LOCAL):
            raise UserError(f"benchmarks.tasks: {_unknown(name, local.all_subtasks)}")
    # lm-eval has 14,000 task files; they are read only where one of them is wanted.
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
                f"benchmarks.tasks: {name} is of the kind {task.OUTPUT_TYPE}; "
                "give tasks of multiple choice"
            )
    return loaded


def _unknown(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else "lm-eval ls tasks lists what it has"
    return f"no task {name}; {hint}"


def _with_items(config: Mapping[str, Any], items: Path, cache: Path) -> dict[str, Any]:
    path = items / f"{config['task']}.jsonl"
    if not path.is_file():
        raise UserError(f"{path}: no such file; run benchmark_items with {config['task']}")
    data = {"data_files": {"test": str(path)}, "cache_dir": str(cache)}
    return {**config, "dataset_kwargs": data}


def _load(manager: TaskManager, name: str, spec: Any) -> dict[str, Any]:
    try:
        with _quiet():
            return dict(manager.load([spec])["tasks"])
    except datasets.exceptions.DatasetGenerationError as cause:
        reason = str(cause.__cause__ or cause).splitlines()[0]
        raise UserError(f"{name}: its items cannot be read ({reason}); make them again") from None
    except IndexError:  # lm-eval looks up the answer of the first item while it opens a task
        raise UserError(
            f"{name}: item 1 has no right answer (gold is beyond its choices); mend the item or "
            "remove it"
        ) from None
    except OSError as cause:  # what the hub's libraries raise, offline or unanswered
        reason = str(cause).splitlines()[0]
        raise UserError(
            f"{name}: needs the hub, which does not answer ({reason}); go online, or take a task "
            "on local items"
        ) from None


@dataclass(frozen=True, kw_only=True)
class Questions:
    """All items of all tasks as requests, in the order of the tasks."""

    tasks: Mapping[str, Any]
    """The tasks of `lm-eval`."""
    requests: Sequence[Instance]
    """Their requests, the choices of an item one after another."""
    item: Indices
    """(requests,) which item a request is of, counted over all tasks."""
    gold: Indices
    """(items,) the request of the right answer."""
    bytes: Array
    """(items,) UTF-8 bytes of the right answer."""
    choices: Indices
    """(items,) number of choices."""
    task: Indices
    """(items,) which task an item is of."""

    @property
    def texts(self) -> list[str]:
        """What the router sees of each item: its question and all its choices, alike."""
        parts: list[dict[str, None]] = [{} for _ in self.gold]
        for number, request in zip(self.item, self.requests, strict=True):
            parts[number].update(dict.fromkeys(request.args))
        return ["".join(part) for part in parts]


def ask(tasks: Mapping[str, Any]) -> Questions:
    """Let `lm-eval` build the requests of all tasks, without examples."""
    requests: list[Instance] = []
    item: list[int] = []
    gold: list[int] = []
    choices: list[int] = []
    owner: list[int] = []
    for place, (name, task) in enumerate(tasks.items()):
        task.set_config(key="num_fewshot", value=0)
        with _quiet():
            task.build_all_requests()
        last = -1
        for request in task.instances:
            if request.doc_id != last:
                last = request.doc_id
                gold.append(len(requests) + _right_answer(name, task, request))
                choices.append(0)
                owner.append(place)
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
    """Which choice of an item is right; `lm-eval` itself would count it as never answered."""
    choices = task.doc_to_choice(request.doc)
    gold = task.doc_to_text(request.doc) if task.multiple_input else task.doc_to_target(request.doc)
    if isinstance(gold, str) and gold in choices:
        gold = choices.index(gold)
    if not isinstance(gold, int) or not 0 <= gold < len(choices):
        raise UserError(
            f"{name}: item {request.doc_id + 1} has no right answer (gold is {gold!r}, with "
            f"{len(choices)} choices); mend the item or remove it"
        )
    return gold


class _Encoder(HFLM):
    """`HFLM` up to the model: it keeps the tokens that would have been scored."""

    def _loglikelihood_tokens(
        self, requests: list[Any], *_: object, **__: object
    ) -> list[tuple[float, bool]]:
        self.encoded = [(before, answer) for _, before, answer in requests]
        return [(0.0, False)] * len(requests)


def encode(
    questions: Questions, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase
) -> list[tuple[list[int], list[int]]]:
    """Tokens in front and tokens to score of every request, as `HFLM` encodes them."""
    with _quiet():
        encoder = _Encoder(pretrained=model, tokenizer=tokenizer)
        encoder.loglikelihood(list(questions.requests), disable_tqdm=True)
    longest = encoder.max_length
    for request, (_, answer) in zip(questions.requests, encoder.encoded, strict=True):
        if len(answer) > longest:
            raise UserError(
                f"{request.task_name}: item {(request.doc_id or 0) + 1} has an answer of "
                f"{len(answer)} tokens, the model reads {longest}; remove the item"
            )
    return encoder.encoded


class _Answers(LM):
    """A model that answers with log-likelihoods computed before."""

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
    """By task and metric of `METRICS`, whether `lm-eval` counts each item as right, `[items]`.

    `values` are log-likelihoods of tokens, those of request r between `bounds[r]` and
    `bounds[r + 1]`.
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
