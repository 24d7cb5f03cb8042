"""Asking somebody at a terminal, while the connections go on living."""

from __future__ import annotations

import asyncio
import sys

from worker.cli.console import errors


def is_interactive() -> bool:
    """Whether an answer can be typed."""
    return sys.stdin.isatty()


async def confirm(question: str) -> bool:
    """Waits for a line on standard input; an end of it is no."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[str] = loop.create_future()

    def read() -> None:
        if not answer.done():
            answer.set_result(sys.stdin.readline())

    errors().print(f"{question} [y/N] ", end="", soft_wrap=True)
    loop.add_reader(sys.stdin.fileno(), read)
    try:
        return (await answer).strip().lower() in {"y", "yes"}
    finally:
        loop.remove_reader(sys.stdin.fileno())
