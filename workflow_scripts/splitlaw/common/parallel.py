"""An ordered map over processes that holds a bounded number of tasks in memory."""

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import chain, islice
from typing import Any, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")
_MAX_TASKS_WITHOUT_POOL = 6
"""Up to this many tasks run in this process, because starting another takes half a second."""


def ordered_map(
    function: Callable[[Task], Result], tasks: Iterable[Task], workers: int
) -> Iterator[Result]:
    """Yield `function(task)` in the order of the tasks, computed by `workers` processes.

    `function` is sent to each process once. At most `2 * workers` tasks are in progress, so a
    stream of any length takes bounded memory.
    """
    remaining = iter(tasks)
    first = list(islice(remaining, _MAX_TASKS_WITHOUT_POOL + 1))
    if workers < 2 or len(first) <= _MAX_TASKS_WITHOUT_POOL:
        yield from map(function, chain(first, remaining))
        return
    # Spawned, not forked: another thread of a library may hold a lock.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _set_function, (function,)) as pool:
        running: deque[Future[Result]] = deque()
        for task in chain(first, remaining):
            running.append(pool.submit(_call_function, task))
            if len(running) == 2 * workers:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


_function: Callable[[Any], Any]


def _set_function(function: Callable[[Any], Any]) -> None:
    global _function
    _function = function


def _call_function(task: Any) -> Any:
    return _function(task)
