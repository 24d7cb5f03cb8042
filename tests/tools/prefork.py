"""Starts commands of the worker, and its processes for expressions, as forks of processes that have imported everything: the imports take most of their time.

`python -m worker` itself is started by `tests/unit/test_command_line.py`, `tests/unit/test_early_end.py` and `tests/flows/integrations/test_call.py`,
processes for expressions as the worker starts them by `tests/evaluator`.
"""

from __future__ import annotations

import asyncio
import atexit
import errno
import gc
import os
import pkgutil
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, NoReturn

import orjson

from tests.tools.alone import alone
from worker.evaluator import process as evaluator_process
from worker.evaluator.limits import Limits

Kind = Literal["worker", "evaluator"]
ROOT = Path(__file__).parents[2]
NOTHING = os.open(os.devnull, os.O_RDONLY)
"""For a standard input at which nothing is typed."""
LARGEST = 1024 * 1024  # bytes of a request
NEVER = ("worker.__main__", "worker.evaluator.child", "worker.evaluator.jsonata")  # the engine stays in processes of its own


class ForkedProcess:
    """What tests use of `asyncio.subprocess.Process`."""

    def __init__(self, pid: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._writer = writer
        self._ending = asyncio.create_task(self._end(reader), name=f"process {pid}")

    async def _end(self, reader: asyncio.StreamReader) -> int:
        try:
            self.returncode = int(await reader.readline())
        finally:
            self._writer.close()
        return self.returncode

    async def wait(self) -> int:
        return await asyncio.shield(self._ending)

    def send_signal(self, number: signal.Signals) -> None:
        if self.returncode is not None:
            raise ProcessLookupError
        os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


async def start(
    arguments: Sequence[str], environment: Mapping[str, str], *, stdin: int, stdout: int, stderr: int, directory: Path = ROOT
) -> ForkedProcess | asyncio.subprocess.Process:
    """`python -m worker ARGUMENTS` in `directory`, as the leader of a session. The descriptors are inherited.

    With a `PYTHONPATH` it is a new interpreter, since a fork would not import what lies there.
    """
    if "PYTHONPATH" in environment:
        command = (sys.executable, "-m", "worker", *arguments)
        return await asyncio.create_subprocess_exec(*command, cwd=directory, env=environment, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True)
    return await forked(await started("worker"), arguments, environment, (stdin, stdout, stderr), directory)


async def forked(address: str, arguments: Sequence[str], environment: Mapping[str, str], descriptors: Sequence[int], directory: Path = ROOT) -> ForkedProcess:
    with ExitStack() as undo:
        connection = undo.enter_context(socket.socket(socket.AF_UNIX))
        connection.connect(address)
        request = orjson.dumps({"arguments": list(arguments), "environment": dict(environment), "directory": str(directory)})
        socket.send_fds(connection, [len(request).to_bytes(4) + request], descriptors)
        reader, writer = await asyncio.open_unix_connection(sock=connection)
        undo.callback(writer.close)
        pid = int(await reader.readline())
        undo.pop_all()
    return ForkedProcess(pid, reader, writer)


async def evaluator(connection: int, progress: int, stderr: int, limits: Limits) -> ForkedProcess:
    """In the place of `worker.evaluator.process.spawn`."""
    return await evaluator_at(await started("evaluator"), connection, progress, stderr, limits)


async def evaluator_at(address: str, connection: int, progress: int, stderr: int, limits: Limits) -> ForkedProcess:
    return await forked(address, [str(limits.memory), str(limits.seconds)], {}, (connection, progress, stderr))


LOCK = threading.RLock()
ADDRESSES: dict[Kind, str] = {}


async def started(kind: Kind) -> str:
    return ADDRESSES.get(kind) or await asyncio.to_thread(server, kind)


def server(kind: Kind) -> str:
    """The address of the one server for what is forked of it; it ends with this process and all others of its run that asked, at the latest."""
    with LOCK:  # two threads would each start one
        if kind not in ADDRESSES:
            ADDRESSES[kind] = new_server(kind)
        return ADDRESSES[kind]


def new_server(kind: Kind) -> str:
    """The processes of one run of the tests share it: the imports would be made in each."""
    run = os.environ.get(RUN, str(os.getpid()))[:12]
    folder = Path(tempfile.gettempdir()) / f"prefork-{os.getuid()}-{run}-{FORKED[kind]}"
    words = [f"{folder}/socket", *([server("evaluator")] if kind == "worker" else [])]
    with alone(f"prefork-{kind}"):
        if (running := joined(folder / "pipe")) is None:
            shutil.rmtree(folder, ignore_errors=True)
            start_server(kind, folder, words)
        else:
            KEPT.append(running)
    return words[0]


def joined(pipe: Path) -> int | None:
    """Our end of the pipe of a server that runs."""
    try:
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return None  # nobody reads it any more


def start_server(kind: Kind, folder: Path, words: Sequence[str]) -> None:
    given = {"PATH": os.environ.get("PATH", ""), "HOME": os.environ.get("HOME", "/"), "PYTHONUNBUFFERED": "1"}
    folder.mkdir(mode=0o700)
    os.mkfifo(folder / "pipe")
    reading = os.open(folder / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    KEPT.append(os.open(folder / "pipe", os.O_WRONLY))
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.tools.prefork", *words], cwd=ROOT, stdin=reading, stdout=subprocess.PIPE, start_new_session=True,
        env=given if kind == "worker" else evaluator_process.environment(),
    )  # fmt: skip
    os.close(reading)
    KEPT.append(process)
    assert process.stdout is not None
    with process.stdout as said:
        assert said.readline() == b"ready\n"


RUN = "PYTEST_XDIST_TESTRUNUID"
FORKED: dict[Kind, str] = {"worker": "commands", "evaluator": "expressions"}  # not as the processes are called: tests look for those by their name
KEPT: list[Any] = []
"""The pipe to a server closes when the last process that holds it ends, and the server ends with it."""


def serve(address: str) -> list[str]:
    """Fork for each request until standard input closes. Returns in the children only: the arguments."""
    gc.collect()
    gc.freeze()  # a collection in a child would otherwise copy all that it shares
    assert threading.active_count() == 1, "a fork would lose the other threads"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(128)
    waiting = selectors.DefaultSelector()
    waiting.register(listener, selectors.EVENT_READ)
    waiting.register(0, selectors.EVENT_READ)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        for key, _ in waiting.select():
            if key.fileobj == 0:
                end_with_children(address, waiting)
            if key.fileobj is listener:
                connection, _ = listener.accept()
                request, descriptors = received(connection)
                if not request:  # who asked is gone
                    connection.close()
                    continue
                if (pid := os.fork()) == 0:
                    open_sockets = [listener, connection, *(each.data[1] for each in waiting.get_map().values() if each.data)]
                    waiting.close()
                    for each in open_sockets:
                        each.close()
                    become(request, descriptors)
                    return list(request["arguments"])
                for number in descriptors:
                    os.close(number)
                with suppress(OSError):  # who asked is gone
                    connection.sendall(b"%d\n" % pid)
                waiting.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, connection))
            else:
                told(key, waiting)


def end_with_children(address: str, waiting: selectors.BaseSelector) -> NoReturn:
    """A child that still runs was asked for by a process that was killed."""
    for each in waiting.get_map().values():
        if each.data:
            os.kill(each.data[0], signal.SIGKILL)
    shutil.rmtree(Path(address).parent, ignore_errors=True)
    os._exit(0)


def received(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    data, descriptors, _, _ = socket.recv_fds(connection, LARGEST, 3)
    while len(data) < 4 + int.from_bytes(data[:4]):
        if not (more := connection.recv(LARGEST)):
            return {}, []
        data += more
    return orjson.loads(data[4:]), descriptors


def become(request: Mapping[str, Any], descriptors: Sequence[int]) -> None:
    """Nothing of the server is left in the child but what it imported."""
    os.setsid()
    for number, each in enumerate(descriptors):
        os.dup2(each, number)
    os.closerange(3, 1024)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["directory"])


def told(key: selectors.SelectorKey, waiting: selectors.BaseSelector) -> None:
    """Say how a child ended."""
    pid, connection = key.data
    waiting.unregister(key.fileobj)
    os.close(key.fd)
    _, status = os.waitpid(pid, 0)
    with connection, suppress(OSError):  # who asked is gone
        connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


def serve_workers(address: str, evaluators: str) -> None:
    for module in pkgutil.walk_packages([str(ROOT / "worker")], "worker."):
        if module.name not in NEVER:
            import_module(module.name)
    arguments = serve(address)
    evaluator_process.spawn = partial(evaluator_at, evaluators)
    sys.argv = [str(ROOT / "worker/__main__.py"), *arguments]
    end(import_module("worker.__main__").main)


def end(main: Callable[[], object]) -> NoReturn:
    """Run it and end as an interpreter does, without taking apart all that was imported: in a fork that copies it first, for longer than most commands run."""
    code: object = 0
    try:
        main()
    except SystemExit as ended:
        code = ended.code
    except BaseException:  # noqa: BLE001 - as an interpreter shows it
        sys.excepthook(*sys.exc_info())
        code = 1
    if isinstance(code, str):
        sys.stderr.write(f"{code}\n")
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  # what waits for threads that are no daemons
    atexit._run_exitfuncs()
    gc.collect()  # what was left open complains now
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads it any more, or it is closed
            stream.flush()
    os._exit(int(code or 0))


def serve_evaluators(address: str) -> None:
    child = import_module("worker.evaluator.child")
    limits = serve(address)
    inherited = [os.dup(number) for number in (0, 1)]
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):
        os.dup2(nothing, number)
    os.close(nothing)
    sys.argv = [str(child.__file__), *map(str, inherited), *limits]
    child.main()
    os._exit(0)  # it would only clear up


if __name__ == "__main__":
    (serve_workers if len(sys.argv) > 2 else serve_evaluators)(*sys.argv[1:])
