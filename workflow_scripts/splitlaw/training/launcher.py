"""Starting the processes of a run; the one that waits for them imports no model and no data."""

from __future__ import annotations

import logging
import os
import sys
import uuid

from splitlaw.common.errors import UserError


def batch_slice(windows: int, size: int, rank: int = 0) -> slice:
    """The windows of a batch that process `rank` of `size` trains on.

    Raises `UserError` if `size` does not divide `windows`.
    """
    each, remainder = divmod(windows, size)
    if remainder or not each:
        raise UserError(
            f"execution.processes is {size}, which does not divide the {windows} windows of a "
            "batch (training.batch_tokens / model.context); give a divisor of that number"
        )
    return slice(rank * each, (rank + 1) * each)


def is_launched() -> bool:
    """Whether `launch` or torchrun has started this process."""
    return "WORLD_SIZE" in os.environ


def launch(processes: int) -> int:
    """Run the command of this process in `processes` processes and return the exit status.

    A signal to this process is passed on to all of them.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        run_id=uuid.uuid4().hex,
        max_restarts=0,
        signals_to_handle="SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1",
    )
    try:
        elastic_launch(config, sys.executable)(*sys.orig_argv[1:])
    except SignalException as signalled:
        return 128 + int(signalled.sigval)  # as a shell reports a signal
    except ChildFailedError as failed:
        _, first = failed.get_first_failure()
        return first.exitcode if first.exitcode > 0 else 128 - first.exitcode
    return 0
