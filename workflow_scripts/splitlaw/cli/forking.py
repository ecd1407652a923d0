"""The worker: a process that has imported torch, and forks to run the commands of a workflow.

For each shape of model it forks a worker of its own, which compiles the training step once and
forks for all commands with this shape. `splitlaw.cli.worker` starts it and sends commands to it.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import selectors
import shutil
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from splitlaw.cli.compiled import Step

IMPORTED = (
    "torch._inductor.compile_fx",
    "transformers.models.llama.modeling_llama",
    "splitlaw.cli.compiled",
    "splitlaw.stages.final",
    "splitlaw.stages.frontier",
    "splitlaw.stages.grid",
    "splitlaw.stages.learning_rates",
)
"""Modules that the commands would import: the compiler of torch, the model, and their own."""
MOST_COMPILED = 4
"""Workers that have compiled a shape and wait for commands: the sizes of the default experiment.
Each has about 100 MB of memory of its own."""


@dataclass(kw_only=True)
class Compiled:
    """A worker that has compiled the training step of a shape."""

    process: int
    address: bytes
    """Path of its socket."""
    held: int
    """A pipe; the worker ends when it is closed."""


@dataclass(kw_only=True)
class Worker:
    """Accepts requests and forks for each; its own threads are never more than one."""

    listener: socket.socket
    parent: IO[bytes]
    """Ends when the process that has started this one does."""
    folder: Path | None = None
    """Folder of the sockets of workers that this one forks; None where it forks none."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Variables of the compiler that a command must have to use what is compiled here."""
    children: dict[int, socket.socket] = field(default_factory=dict)
    """Connection of each running child, by process id."""
    compiled: dict[str, Compiled | None] = field(default_factory=dict)
    """Workers by the key of the step that they have compiled, the least recently used first; None
    if it has ended, so that its commands are run by this one."""
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
                        self._refuse()
                    else:
                        woken.recv(4096)
                self._reap()
        signal.set_wakeup_fd(-1)  # workers that this one has forked may still end

    def _accept(self) -> None:
        from splitlaw.cli.compiled import Step

        connection, _ = self.listener.accept()
        received = _receive(connection)
        if received is None:
            connection.close()
            return
        request, streams = received
        shared = self.folder and compiler_settings(request["environ"]) == self.settings
        step = Step.of(request) if shared else None
        if step is None or self.compiled.get(step.key, "new") is None:
            self._fork(connection, request, streams)
            return
        for stream in streams:
            os.close(stream)
        address = self._compiled_worker(step, connection).address
        with connection, contextlib.suppress(OSError):  # the command was killed
            connection.sendall(address + b"\n")

    def _fork(self, connection: socket.socket, request: dict[str, Any], streams: list[int]) -> None:
        """Run a request in a child."""
        child = os.fork()
        if not child:
            self._leave()
            connection.close()  # so that the end of the worker alone ends it
            _run_child(request, streams)
        for stream in streams:
            os.close(stream)
        self.children[child] = connection
        with contextlib.suppress(OSError):  # the command was killed; its child notices it too
            connection.sendall(b"%d\n" % child)

    def _refuse(self) -> None:
        """Accept no more requests, here and in the workers that this one has forked."""
        self.listener.close()
        for other in filter(None, self.compiled.values()):
            os.close(other.held)
        self.compiled.clear()

    def _leave(self) -> None:
        """Close, in a child, its copies of what belongs to this worker."""
        self._refuse()
        for connection in self.children.values():
            connection.close()

    def _compiled_worker(self, step: Step, connection: socket.socket) -> Compiled:
        """The worker that has compiled a step, or begins to; a request of `connection` needs it."""
        found = self.compiled.pop(step.key, None) or self._fork_worker(step, connection)
        self.compiled[step.key] = found  # the last in order
        running = [(key, other) for key, other in self.compiled.items() if other is not None]
        for key, other in running[:-MOST_COMPILED]:
            os.close(other.held)
            del self.compiled[key]
        return found

    def _fork_worker(self, step: Step, connection: socket.socket) -> Compiled:
        """Fork a worker that compiles a step. Requests wait at its socket until it has."""
        assert self.folder is not None
        address = self.folder / step.key
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        address.unlink(missing_ok=True)
        listener.bind(str(address))
        listener.listen()
        parent, held = os.pipe()
        process = os.fork()
        if not process:
            os.close(held)
            connection.close()
            self._leave()
            _serve_compiled(step, listener, parent)
        listener.close()
        os.close(parent)
        return Compiled(process=process, address=os.fsencode(address), held=held)

    def _reap(self) -> None:
        while True:
            try:
                child, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not child:
                return
            if child not in self.children:
                self._forget(child)
                continue
            code = os.waitstatus_to_exitcode(status)
            with self.children.pop(child) as connection, contextlib.suppress(OSError):
                # As a shell reports a signal.
                connection.sendall(b"%d\n" % (code if code >= 0 else 128 - code))

    def _forget(self, process: int) -> None:
        """Send no more commands to a worker that has ended."""
        for key, other in self.compiled.items():
            if other is not None and other.process == process:
                os.close(other.held)
                self.compiled[key] = None


def _serve_compiled(step: Step, listener: socket.socket, parent: int) -> NoReturn:
    """Compile a step in this process, serve requests until `parent` is closed, and end."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if _is_compiled(step):
            _check_threads()
            gc.collect()
            gc.freeze()  # the collector of a child would copy the memory of these objects
            with os.fdopen(parent, "rb") as closed:
                Worker(listener=listener, parent=closed).serve()
            code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        # This process must not return to the loop of the worker that has forked it.
        os._exit(code)


def _is_compiled(step: Step) -> bool:
    """Compile a step, and return whether it can be; otherwise its commands report the error."""
    try:
        step.compile()
    except Exception:  # compilers and libraries raise errors of many types
        return False
    return True


def _check_threads() -> None:
    """Require that this process has no thread but the main one, because it forks."""
    tasks = [file for file in Path("/proc/self/task").iterdir() if file.name != str(os.getpid())]
    names = [(file / "comm").read_text().strip() for file in tasks]
    # The allocator of pyarrow expects forks, and starts its thread again.
    others = [name for name in names if name != "jemalloc_bg_thd"]
    assert not others, f"a process with the threads {', '.join(others)} must not fork"


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
        # Those of the worker have the position in its own file, which a pipe does not have.
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
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


def compiler_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment variables that torch and its compiler read."""
    return {name: value for name, value in environ.items() if name.startswith("TORCH")}


def main() -> None:
    """Import what training needs, and serve requests at the socket that the command line names."""
    address = Path(sys.argv[1])
    settings = compiler_settings(os.environ)  # before the compiler adds its own
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        try:
            listener.bind(str(address))
            for module in IMPORTED:
                import_module(module)
            _check_threads()
            gc.freeze()  # the collector of a child would copy the memory of these objects
            listener.listen()  # before, commands are refused and do the work themselves
            Worker(
                listener=listener,
                parent=sys.stdin.buffer,
                folder=address.parent,
                settings=settings,
            ).serve()
        finally:
            shutil.rmtree(address.parent, ignore_errors=True)
