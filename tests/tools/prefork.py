"""Starts commands of the worker as forks of one process that has imported everything: a process of its own for each, without the second that the imports take.

`python -m worker` itself is started by `tests/unit/test_command_line.py`, `tests/unit/test_early_end.py` and `tests/flows/integrations/test_call.py`.
"""

from __future__ import annotations

import asyncio
import os
import pkgutil
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import orjson

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
        self.returncode = int(await reader.readline())
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
    address = await asyncio.to_thread(server)
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(address)
    request = orjson.dumps({"arguments": list(arguments), "environment": dict(environment), "directory": str(directory)})
    socket.send_fds(connection, [len(request).to_bytes(4) + request], [stdin, stdout, stderr])
    reader, writer = await asyncio.open_unix_connection(sock=connection)
    return ForkedProcess(int(await reader.readline()), reader, writer)


LOCK = threading.Lock()


def server() -> str:
    """The address of the one server of this process; it ends with this process, at the latest."""
    with LOCK:
        return _server()  # two threads would each start one


@cache
def _server() -> str:
    folder = tempfile.TemporaryDirectory(prefix="prefork-")
    address = f"{folder.name}/socket"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.tools.prefork", address], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
        env={"PATH": os.environ.get("PATH", ""), "HOME": os.environ.get("HOME", "/"), "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    KEPT.extend((folder, process))
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return address


KEPT: list[Any] = []
"""The pipe to the server closes when this process ends, and the server with it."""


def serve(address: str) -> list[str]:
    """Fork for each request until standard input closes. Returns in the children only: the arguments of the command."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(128)
    waiting = selectors.DefaultSelector()
    waiting.register(listener, selectors.EVENT_READ)
    waiting.register(0, selectors.EVENT_READ)
    sys.stdout.write("ready\n")
    while True:
        for key, _ in waiting.select():
            if key.fileobj == 0:
                os._exit(0)
            if key.fileobj is listener:
                connection, _ = listener.accept()
                request, descriptors = received(connection)
                if (pid := os.fork()) == 0:
                    open_sockets = [listener, connection, *(each.data[1] for each in waiting.get_map().values() if each.data)]
                    waiting.close()
                    for each in open_sockets:
                        each.close()
                    become(request, descriptors)
                    return list(request["arguments"])
                for number in descriptors:
                    os.close(number)
                connection.sendall(b"%d\n" % pid)
                waiting.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, connection))
            else:
                told(key, waiting)


def received(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    data, descriptors, _, _ = socket.recv_fds(connection, LARGEST, 3)
    while len(data) < 4 + int.from_bytes(data[:4]):
        data += connection.recv(LARGEST)
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
    with connection:
        connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


def main() -> None:
    for module in pkgutil.walk_packages([str(ROOT / "worker")], "worker."):
        if module.name not in NEVER:
            import_module(module.name)
    assert threading.active_count() == 1, "a fork would lose the other threads"
    arguments = serve(sys.argv[1])
    sys.argv = [str(ROOT / "worker/__main__.py"), *arguments]
    import_module("worker.__main__").main()


if __name__ == "__main__":
    main()
