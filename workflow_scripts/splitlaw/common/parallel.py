"""Work spread over processes with results in order and a bounded number of tasks in memory."""

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import chain, islice
from typing import Any, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")
_TOO_FEW = 6
"""Up to this many tasks are done here: a process takes half a second to start."""


def ordered_map(
    function: Callable[[Task], Result], tasks: Iterable[Task], workers: int
) -> Iterator[Result]:
    """Yield `function(task)` in the order of the tasks, from `workers` processes.

    `function` is sent to each process once. At most `2 * workers` tasks are under way, so a stream
    of any length takes bounded memory.
    """
    remaining = iter(tasks)
    first = list(islice(remaining, _TOO_FEW + 1))
    if workers < 2 or len(first) <= _TOO_FEW:
        yield from map(function, chain(first, remaining))
        return
    # Spawned, not forked: threads of the libraries may hold locks.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _keep_function, (function,)) as pool:
        running: deque[Future[Result]] = deque()
        for task in chain(first, remaining):
            running.append(pool.submit(_call, task))
            if len(running) == 2 * workers:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


_function: Callable[[Any], Any]


def _keep_function(function: Callable[[Any], Any]) -> None:
    global _function
    _function = function


def _call(task: Any) -> Any:
    return _function(task)
