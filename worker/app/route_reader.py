"""Reads, checks and compiles the route files in a separate process: in a thread this blocked the event loop the whole time."""

from __future__ import annotations

import asyncio
import pickle
import sys
from collections.abc import Callable
from typing import Final

from worker.config.reload_protocol import ReloadRequest, ReloadResult, RouteSources, merge_result
from worker.config.routes import Routes
from worker.config.valid_routes import ValidRoutes
from worker.core.errors import ConfigError, Problem
from worker.evaluator.process import environment

MODULE: Final = "worker.config.reload_process"
READ_TIMEOUT: Final = 300.0  # seconds; 500 routes take about 3


class RouteReader:
    """Reads route files. `running`: returns the routes that the worker serves now."""

    def __init__(self, files: RouteSources, running: Callable[[], Routes]) -> None:
        self._files = files
        self._running = running

    async def read(self) -> ValidRoutes:
        """Return the routes of the present files. Unchanged definitions are the same objects. Raises `ConfigError`, also when the process fails."""
        before = self._running()
        try:
            async with asyncio.timeout(READ_TIMEOUT):
                data = await self._asked(pickle.dumps(ReloadRequest(self._files, dict(before.sources)), pickle.HIGHEST_PROTOCOL))
        except TimeoutError:
            raise self._failed(f"did not end within {READ_TIMEOUT:.0f} s") from None
        except OSError as error:
            raise self._failed(f"cannot be started: {error.strerror or error}") from None
        try:
            result = pickle.loads(data)  # noqa: S301  from a process of our own
        except (pickle.UnpicklingError, EOFError, AttributeError, ImportError):  # the process stopped in the middle, or runs other code than this one
            result = None
        if not isinstance(result, ReloadResult):
            raise self._failed("gave no answer")
        return merge_result(before, result)

    async def _asked(self, question: bytes) -> bytes:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", MODULE),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment(),
            start_new_session=True,  # so that a terminal's Ctrl-C reaches only the worker
        )
        try:
            data, _ = await process.communicate(question)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode or not data:
            raise self._failed(f"ended with exit code {process.returncode}")
        return data

    def _failed(self, how: str) -> ConfigError:
        return ConfigError(
            [Problem(str(self._files.directory), 0, 0, f"the process that reads the route files {how}; the files are read again at the next change")]
        )
