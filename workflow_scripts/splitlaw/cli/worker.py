"""A process that has imported torch, and forks to run the commands of a workflow.

Importing torch, transformers and the compiler takes a command several seconds of a core. A workflow
on one machine starts a worker, and its commands send their arguments, working folder, environment
and standard streams to it. The worker forks; the child runs the command without importing anything
again. The command that has sent the request waits, passes signals on, and ends with the child's
exit status. Without a worker it does the work itself.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import IO, Any, NoReturn

ADDRESS = "SPLITLAW_WORKER"
"""Environment variable with the path of the worker's socket."""
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
LONGEST_ADDRESS = 107
"""Bytes of the path of a socket on Linux (unix(7))."""
IMPORTED = (
    "torch._inductor.compile_fx",
    "transformers.models.llama.modeling_llama",
    "splitlaw.stages.final",
    "splitlaw.stages.frontier",
    "splitlaw.stages.grid",
    "splitlaw.stages.learning_rates",
)
"""Modules that the commands would import: the compiler of torch, the model, and their own."""
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
    command = [python, "-P", "-c", f"from {__name__} import main; main()", str(address)]
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
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            child = _request(connection, address, words, alive)
            if child is None:
                return None
            status = _line(connection)
    finally:
        os.close(alive)
        os.close(held)
    # Without a reply the worker was killed; its child goes on, so it is ended.
    if not status:
        _signal(child, signal.SIGKILL)
    return int(status) if status else 128 + signal.SIGKILL


def _request(
    connection: socket.socket, address: str, words: Sequence[str], alive: int
) -> int | None:
    """Send a command to the worker; return the id of the process that runs it, or None.

    From then on, signals to this process are sent to that one. They wait until its id is known.
    """
    request = {"words": list(words), "cwd": str(Path.cwd()), "environ": dict(os.environ)}
    data = json.dumps(request).encode()
    signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)
    try:
        connection.connect(address)
        socket.send_fds(connection, [len(data).to_bytes(4, "big")], [0, 1, 2, alive])
        connection.sendall(data)
        child = int(_line(connection))
        for number in FORWARDED:
            signal.signal(number, lambda received, _: _signal(child, received))
        signal.signal(signal.SIGTSTP, lambda *_: _pause(child))
    except (OSError, ValueError):  # the worker still imports, or has ended
        return None
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, FORWARDED)
    return child


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


@dataclass(kw_only=True)
class Worker:
    """Accepts requests and forks for each; its own threads are never more than one."""

    listener: socket.socket
    parent: IO[bytes]
    """Ends when the process that has started this one does."""
    children: dict[int, socket.socket] = field(default_factory=dict)
    """Connection of each running child, by process id."""
    closing: bool = False

    def serve(self) -> None:
        """Run until the parent has ended, and then until the last child has."""
        woken, wake = socket.socketpair()
        wake.setblocking(False)
        signal.set_wakeup_fd(wake.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)  # so that `select` is interrupted
        with selectors.DefaultSelector() as selector:
            for source in (self.listener, self.parent, woken):
                selector.register(source, selectors.EVENT_READ)
            while not (self.closing and not self.children):
                for key, _ in selector.select():
                    if key.fileobj is self.listener:
                        self._accept()
                    elif key.fileobj is self.parent:
                        self.closing = True
                        selector.unregister(self.parent)
                        selector.unregister(self.listener)
                        self.listener.close()
                    else:
                        woken.recv(4096)
                self._reap()

    def _accept(self) -> None:
        connection, _ = self.listener.accept()
        received = _receive(connection)
        if received is None:
            connection.close()
            return
        request, streams = received
        child = os.fork()
        if not child:
            self.listener.close()
            for other in self.children.values():
                other.close()
            connection.close()  # so that the end of the worker alone ends it
            _run_child(request, streams)
        for stream in streams:
            os.close(stream)
        self.children[child] = connection
        with contextlib.suppress(OSError):  # the command was killed; its child notices it too
            connection.sendall(b"%d\n" % child)

    def _reap(self) -> None:
        while self.children:
            child, status = os.waitpid(-1, os.WNOHANG)
            if not child:
                return
            code = os.waitstatus_to_exitcode(status)
            with self.children.pop(child) as connection, contextlib.suppress(OSError):
                # As a shell reports a signal.
                connection.sendall(b"%d\n" % (code if code >= 0 else 128 - code))


def _receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """A request with the descriptors of its command; None if the command was killed.

    They are its standard streams and a pipe that ends with it.
    """
    head, streams, _, _ = socket.recv_fds(connection, 4, 4)
    size = int.from_bytes(head, "big")
    with connection.makefile("rb") as data:
        request = data.read(size)
    if not size or len(request) < size or len(streams) != 4:
        for stream in streams:
            os.close(stream)
        return None
    return json.loads(request), streams


def _run_child(request: dict[str, Any], descriptors: list[int]) -> NoReturn:
    """Run the command of a request in this process, and end it."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        *streams, alive = descriptors
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        os.environ.clear()
        os.environ.update(request["environ"])
        os.chdir(request["cwd"])
        sys.argv = ["splitlaw", *request["words"]]
        threading.Thread(target=_follow, args=(alive,), name="command", daemon=True).start()
        code = _exit_code(request["words"])
    finally:
        # The child must not return to the loop of the worker, whatever happens.
        os._exit(code)


def _follow(alive: int) -> None:
    """Kill this process when the command that it works for is killed."""
    os.read(alive, 1)
    os.kill(os.getpid(), signal.SIGKILL)


def _exit_code(words: list[str]) -> int:
    """Run a command as the interpreter would, and return its exit status."""
    from splitlaw.cli.commands import run_command

    try:
        code: object = run_command(words)
    except SystemExit as left:
        code = left.code
        if isinstance(code, str):
            print(code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else int(code is not None)


def main() -> None:
    """Import what training needs, and serve requests at the socket that the command line names."""
    address = Path(sys.argv[1])
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        try:
            listener.bind(str(address))
            for module in IMPORTED:
                import_module(module)
            assert threading.active_count() == 1, "a process with several threads must not fork"
            listener.listen()  # before, commands are refused and do the work themselves
            Worker(listener=listener, parent=sys.stdin.buffer).serve()
        finally:
            shutil.rmtree(address.parent, ignore_errors=True)
