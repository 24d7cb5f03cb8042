"""Commands of the worker as people and programs run them: a process, its exit code, what it said."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.tools.process import ROOT, environment


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
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "worker", *arguments, cwd=directory, env=environment(folder, {"PYTHONPATH": str(ROOT)} | dict(variables or {}), **given),
        stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, err = await process.communicate(stdin)
    return Ended(process.returncode or 0, out.decode(), err.decode())
