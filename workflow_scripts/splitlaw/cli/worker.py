"""Starting a worker for the commands of a workflow, and running a command in it.

Importing torch, transformers and the compiler, and compiling the model, takes a command several
seconds of a core. A workflow on one machine starts a worker (`splitlaw.cli.forking`), and its
commands send their arguments, working folder, environment and standard streams to it. The worker
forks; the child runs the command without importing or compiling anything again. The command that
has sent the request waits, passes signals on, and ends with the child's exit status. Without a
worker it does the work itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from splitlaw.cli.commands import WORKER as ADDRESS

COMMANDS = (
    "pretrain",
    "specialize",
    "sweep_learning_rate",
    "train_final",
    "train_frontier",
)
"""Commands that are sent to the worker: those whose time to start is that of importing torch."""
THREADS = (
    "OMP_NUM_THREADS",
    "GOTO_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
"""Variables that Snakemake sets to a job's number of threads, and that libraries read when they are
imported. The worker has one thread, and so have the commands that it runs."""
FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP)
"""Signals that a command passes on to the child that does its work."""
LONGEST_ADDRESS = 107 - 16
"""Bytes of the path of a socket on Linux (unix(7)), of which the worker's own ones take 16 more."""
_started: list[subprocess.Popen[bytes]] = []
"""Workers of this process; they end when this process does, because their standard input does."""


def start() -> None:
    """Start a worker for the commands that this process and its children will run.

    It ends when this process does and its last command has. None is started where forking a process
    that has imported torch is not safe: with a GPU, and on systems other than Linux.
    """
    from splitlaw.training.gpus import count_gpus

    python = shutil.which("python")  # as the commands of the rules
    if not sys.platform.startswith("linux") or python is None or count_gpus():
        return
    # Not in the results folder, whose path may be long. The worker removes it at its end.
    folder = Path(tempfile.mkdtemp(prefix="splitlaw-"))
    address = folder / "worker"
    if len(os.fsencode(address)) > LONGEST_ADDRESS:
        folder.rmdir()
        return
    package = Path(__file__).parents[2]
    environment = {**os.environ, **dict.fromkeys(THREADS, "1"), "PYTHONPATH": _search_path(package)}
    command = [python, "-P", "-c", "from splitlaw.cli.forking import main; main()", str(address)]
    _started.append(
        # Its own session: Ctrl-C reaches the commands, which pass it on. No standard output: a
        # pipe from this process must not wait for the worker's end.
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
    )
    os.environ[ADDRESS] = str(address)


def is_ready(address: str) -> bool:
    """Whether a worker accepts commands at this address."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        return connection.connect_ex(address) == 0


def _search_path(package: Path) -> str:
    given = os.environ.get("PYTHONPATH")
    return os.pathsep.join([str(package), given] if given else [str(package)])


def run(words: Sequence[str]) -> int | None:
    """Run a command in the worker and return its exit status; None where no worker can run it."""
    address = os.environ.get(ADDRESS)
    one_thread = all(os.environ.get(name) == "1" for name in THREADS)
    if not address or not words or words[0] not in COMMANDS or not one_thread:
        return None
    alive, held = os.pipe()  # the child reads the end of this process from `alive`
    try:
        accepted = _request(address, words, alive)
        if accepted is None:
            return None
        connection, child = accepted
        with connection:
            status = _line(connection)
    finally:
        os.close(alive)
        os.close(held)
    # Without a reply the worker was killed; its child goes on, so it is ended.
    if not status:
        _signal(child, signal.SIGKILL)
    return int(status) if status else 128 + signal.SIGKILL


def _request(address: str, words: Sequence[str], alive: int) -> tuple[socket.socket, int] | None:
    """Send a command to a worker; return the connection and the id of the process that runs it.

    From then on, signals to this process are sent to that one. They wait until its id is known.
    None where no worker has accepted the command.
    """
    request = {"words": list(words), "cwd": str(Path.cwd()), "environ": dict(os.environ)}
    data = json.dumps(request).encode()
    signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)
    try:
        connection, reply = _send(address, data, alive)
        if reply.startswith(b"/"):  # the address of a worker that has compiled the model
            connection.close()
            connection, reply = _send(os.fsdecode(reply.rstrip()), data, alive)
        child = int(reply)
        for number in FORWARDED:
            signal.signal(number, lambda received, _: _signal(child, received))
        signal.signal(signal.SIGTSTP, lambda *_: _pause(child))
    except (OSError, ValueError):  # the worker still imports, or has ended
        return None
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)
    return connection, child


def _send(address: str, data: bytes, alive: int) -> tuple[socket.socket, bytes]:
    """Send a request, with the standard streams of this process; return the first line of reply."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(address)
    socket.send_fds(connection, [len(data).to_bytes(4, "big")], [0, 1, 2, alive])
    connection.sendall(data)
    return connection, _line(connection)


def _line(connection: socket.socket) -> bytes:
    """The bytes up to the next end of line, or up to the end."""
    line = b""
    while not line.endswith(b"\n") and (byte := connection.recv(1)):
        line += byte
    return line


def _signal(child: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has just ended
        os.kill(child, number)


def _pause(child: int) -> None:
    """Stop the child and this process, as Ctrl-Z asks; both continue together."""
    _signal(child, signal.SIGSTOP)
    os.kill(os.getpid(), signal.SIGSTOP)
    _signal(child, signal.SIGCONT)
