"""The path of one message through the files of the worker, from its delivery to the first byte of its request: who calls whom."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import worker

ROOT = f"{Path(worker.__file__).parent}/"
FIRST = ("broker/rabbitmq/channel.py", "on_delivered")
OWNER = "Consumer._run_delivery"
LAST = ("halo/transport.py", "begin")
VALUES = "core/"
"""The room of values and pure functions: they return before the message goes on."""
RECORDS = ("flows/tracing.py", "state/trace_stream.py", "waits.py")
"""These only record what happens to the message, as logs and metrics do."""


@dataclass
class Traced:
    """`files` in the order in which the message meets them; `hops` from file to file. Values are left out."""

    files: list[str] = field(default_factory=list)
    hops: set[tuple[str, str]] = field(default_factory=set)
    begun: bool = False
    ended: bool = False


@contextmanager
def traced(queue: str) -> Iterator[Traced]:
    """Follow the first message of `queue` that arrives within this block."""
    found = Traced()
    tasks: set[Any] = set()

    def profile(frame: FrameType, event: str, _: Any) -> None:
        file = inside(frame)
        if event != "call" or file is None or found.ended:
            return
        task = current()
        if (file, frame.f_code.co_name) == FIRST and not found.begun and named(frame) == queue:
            found.begun = True
            tasks.add(task)
        if found.begun and task is not None and task.get_coro().__qualname__ == OWNER:
            tasks.add(task)
        if task not in tasks:
            return
        if (file, frame.f_code.co_name) == LAST:
            found.ended = True
        note(found, caller(frame), file)

    sys.setprofile(profile)
    try:
        yield found
    finally:
        sys.setprofile(None)


def note(found: Traced, calling: str | None, file: str) -> None:
    if file.startswith(VALUES) or file in RECORDS:
        return
    if file not in found.files:
        found.files.append(file)
    if calling is not None and calling != file and not calling.startswith(VALUES) and calling not in RECORDS:
        found.hops.add((calling, file))


def inside(frame: FrameType) -> str | None:
    name = frame.f_code.co_filename
    return name.removeprefix(ROOT) if name.startswith(ROOT) else None


def caller(frame: FrameType) -> str | None:
    """The file of the worker that called, past libraries."""
    above = frame.f_back
    while above is not None and inside(above) is None:
        above = above.f_back
    return None if above is None else inside(above)


def current() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def named(frame: FrameType) -> Any:
    """The queue of a delivery: a variable of the function around."""
    return frame.f_locals.get("queue")
