"""Applies changed route files while the worker runs: reads, checks and compiles them. After a mistake the worker keeps the old routes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from worker.config.routes import Routes
from worker.config.valid_routes import ValidRoutes
from worker.core.errors import ConfigError
from worker.core.ports import Clock
from worker.flows.waiting import race

logger = structlog.get_logger()
LOOK_EVERY = 5.0  # seconds between two looks at the directory
SETTLED = 0.5  # seconds without a further change, so that the worker does not read a half-written file or half of several files
Signature = Mapping[str, tuple[int, int, int]]


@dataclass(slots=True)
class Reloader:
    """Reloads route files. `load`: reads and compiles them, in a separate process. `on_loaded`: serves them. `on_refused`: gets the mistakes.

    `asked`: set to reload now. `watches`: whether the worker also looks for changes in the directory.
    """

    directory: Path
    load: Callable[[], Awaitable[ValidRoutes]]
    on_loaded: Callable[[Routes, Sequence[str]], Awaitable[None]]
    on_refused: Callable[[Sequence[str]], None]
    clock: Clock
    asked: asyncio.Event
    watches: bool = True
    _seen: Signature = field(default_factory=dict)

    async def run(self) -> None:
        """Reload until cancelled."""
        self._seen = await asyncio.to_thread(signature_of, self.directory)
        while True:
            await race(self.asked.wait(), timeout=LOOK_EVERY if self.watches else None)
            was_asked = self.asked.is_set()
            self.asked.clear()
            if await self._has_changed() or was_asked:
                await self.reload()

    async def _has_changed(self) -> bool:
        if not self.watches:
            return False
        found = await asyncio.to_thread(signature_of, self.directory)
        if found == self._seen:
            return False
        while True:
            await self.clock.sleep(SETTLED)
            later = await asyncio.to_thread(signature_of, self.directory)
            if later == found:
                self._seen = found
                return True
            found = later

    async def reload(self) -> None:
        """Apply the present files, or report why not."""
        try:
            loaded = await self.load()
        except ConfigError as error:
            problems = tuple(map(str, error.problems))
            self.on_refused(tuple(map(not_applied_sentence, problems)))
            for problem in problems:
                logger.error("routes.refused", problem=problem, then="the routes run on as they were")
            return
        await self.on_loaded(loaded.routes, tuple(left_out_sentence(str(problem)) for problem in loaded.problems))
        logger.info("routes.taken_over", subscribers=len(loaded.routes.subscribers), publishers=len(loaded.routes.publishers), problems=len(loaded.problems))


def not_applied_sentence(problem: str) -> str:
    """Return the text for `status` about a mistake that prevents a change."""
    return f"{problem} (the change is not taken over: the routes run on as they were)"


def left_out_sentence(problem: str) -> str:
    """Return the text for `status` about a mistake in a file that the worker leaves out."""
    return f"{problem} (its file is not run, and neither is what refers to it)"


def signature_of(directory: Path) -> Signature:
    """Return size, time and inode of each file in the directory and below. Links are followed: a volume of a Kubernetes ConfigMap consists of links."""
    found = {}
    for folder, folders, files in os.walk(directory):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            try:
                stat = (Path(folder) / name).stat()
            except OSError:
                continue
            found[str(Path(folder) / name)] = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
    return found
