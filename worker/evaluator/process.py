"""One evaluator process, seen from the worker: start, write, read and reap."""

from __future__ import annotations

import asyncio
import mmap
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import worker
from worker.core.errors import EvaluatorUnavailable
from worker.evaluator.frames import PROGRESS, FrameKind, Frames
from worker.evaluator.limits import Limits

MODULE: Final = "worker.evaluator.child"
START_SECONDS: Final = 30.0
STDERR_BYTES: Final = 64 * 1024  # of standard error that the worker reads
PASSED_ON: Final = ("LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "TZ")
OUT_OF_MEMORY: Final = (b"memory allocation of", b"MemoryError", b"memory allocation failed")

OnAnswer = Callable[[int, int, bytes], None]


@dataclass(frozen=True, slots=True)
class ProcessExit:
    """The end of a process. `number`, `index`: the question that it evaluated last, and the index of the expression."""

    cause: Literal["time", "memory", "failed", "killed", "retired"]
    detail: str
    number: int
    index: int


class Process(asyncio.Protocol):
    """Made by `start_process`. Its lane sets `on_answer`, and `on_batch`, called after the answers of one read. `gone` is set when the process ends."""

    def __init__(self, progress: mmap.mmap, stderr: int) -> None:
        self._resources = ExitStack()
        self._progress = progress
        self._stderr = stderr
        self._frames = Frames()
        self._transport: asyncio.Transport | None = None
        self._process: asyncio.subprocess.Process | None = None
        self.ready = asyncio.Event()
        self.gone = asyncio.Event()
        self.defined: set[int] = set()
        self.on_answer: OnAnswer | None = None
        self.on_batch: Callable[[], None] | None = None

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    @property
    def progress(self) -> tuple[int, int]:
        """The number of the question under evaluation, and the index of the expression."""
        number, index = PROGRESS.unpack_from(self._progress)
        return number, index

    def attach(self, process: asyncio.subprocess.Process, resources: ExitStack) -> None:
        """Set the started process, and the resources to close with it."""
        self._process = process
        self._resources = resources

    def disconnect(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        for kind, number, rest in self._frames.feed(data):
            if kind == FrameKind.READY:
                self.ready.set()
            elif self.on_answer is not None:
                self.on_answer(kind, number, rest)
        if self.on_batch is not None:
            self.on_batch()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - `reap` finds the cause
        self.gone.set()
        self.ready.set()

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self.gone.is_set():
            self._transport.write(data)

    async def reap(self, *, stopped: bool = False) -> ProcessExit:
        """End the process unless it has ended, and return its end. `stopped`: the process made no progress."""
        with self._resources:
            number, index = self.progress
            status = 0
            if self._process is not None:
                if not self.gone.is_set() and self._process.returncode is None:
                    self._process.kill()
                status = await self._process.wait()
            stderr = os.pread(self._stderr, STDERR_BYTES, 0)
        return exit_of(status, stderr, number, index, stopped=stopped)


def exit_of(status: int, stderr: bytes, number: int, index: int, *, stopped: bool) -> ProcessExit:
    if status == -signal.SIGPROF or stopped:
        return ProcessExit("time", "over its time", number, index)
    if any(words in stderr for words in OUT_OF_MEMORY):
        return ProcessExit("memory", "over its memory", number, index)
    if status == 0:
        return ProcessExit("retired", "grown too large", number, index)
    if status == -signal.SIGKILL:
        return ProcessExit("killed", "killed from outside", number, index)
    return ProcessExit("failed", f"signal {-status}" if status < 0 else f"exit code {status}", number, index)


async def start_process(limits: Limits) -> Process:
    """Start a process, and return it when it is ready. Raises `EvaluatorUnavailable`."""
    try:
        process = await _started(limits)
    except OSError as error:
        raise EvaluatorUnavailable(f"a process for expressions cannot be started: {error.strerror or error}") from None
    try:
        async with asyncio.timeout(START_SECONDS):
            await process.ready.wait()
    except TimeoutError:
        await process.reap()
        raise EvaluatorUnavailable(f"a process for expressions was not ready after {START_SECONDS:g} seconds") from None
    except asyncio.CancelledError:
        await asyncio.shield(process.reap())
        raise
    if process.gone.is_set():
        how = await process.reap()
        raise EvaluatorUnavailable(f"a process for expressions ended before it was ready: {how.detail}")
    return process


async def _started(limits: Limits) -> Process:
    """Raises `OSError`."""
    with ExitStack() as of_the_child, ExitStack() as lasting:
        shared, stderr = memory_file("progress", of_the_child), memory_file("stderr", lasting)
        os.ftruncate(shared, PROGRESS.size)
        process = Process(lasting.enter_context(closing(mmap.mmap(shared, PROGRESS.size))), stderr)
        ours, theirs = socket.socketpair()
        of_the_child.enter_context(theirs)
        lasting.enter_context(ours)
        await asyncio.get_running_loop().create_unix_connection(lambda: process, sock=ours)
        lasting.callback(process.disconnect)
        process.attach(await spawn(theirs.fileno(), shared, stderr, limits), lasting.pop_all())
    return process


async def spawn(connection: int, progress: int, stderr: int, limits: Limits) -> asyncio.subprocess.Process:
    """Start the interpreter, which inherits the descriptors. Raises `OSError`."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", MODULE, str(connection), str(progress), str(limits.memory), str(limits.seconds)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=stderr,
        pass_fds=(connection, progress),
        env=environment(),
        start_new_session=True,  # so that a terminal's Ctrl-C reaches only the worker
    )


def memory_file(name: str, stack: ExitStack) -> int:
    """Return the descriptor of a file in memory; the stack closes it."""
    number = os.memfd_create(f"evaluator-{name}")
    stack.callback(os.close, number)
    return number


def environment() -> dict[str, str]:
    """Return only the variables that Python needs to start: no secrets."""
    ours = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return ours | {
        "PYTHONPATH": str(Path(worker.__file__).parents[1]),
        "RUST_BACKTRACE": "0",  # a backtrace takes memory, which a process at its limit does not have
        "MIMALLOC_ARENA_RESERVE": "0",  # otherwise the engine's allocator reserves 1 GiB, and the limit of the address space has no effect
        "MALLOC_ARENA_MAX": "1",
    }
