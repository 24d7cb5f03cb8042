"""Commands of the worker as people and programs run them: a process, its exit code, what it said."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.tools.prefork import ROOT, start
from tests.tools.process import environment
from tests.tools.waiting import SOON


@dataclass
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


async def run_command(
    folder: Path, *arguments: str, variables: Mapping[str, str] | None = None, stdin: bytes | None = None, directory: Path = ROOT, **settings: object
) -> Ended:
    """Run it in `directory` to its end; nothing is typed, unless `stdin` is given."""
    given = {"log_level": "info", "log_format": "console"} | settings
    with tempfile.TemporaryFile() as typed, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        typed.write(stdin or b"")
        typed.seek(0)
        seen = environment(folder, variables or {}, **given)
        process = await start(arguments, seen, stdin=typed.fileno(), stdout=out.fileno(), stderr=err.fileno(), directory=directory)
        try:
            async with asyncio.timeout(SOON):
                await process.wait()
        except TimeoutError:
            process.kill()
            raise
        return Ended(await process.wait(), *(text_of(file) for file in (out, err)))


def text_of(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()
