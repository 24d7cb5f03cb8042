"""What the status page may cost the worker, however many ask."""

from __future__ import annotations

import asyncio
import threading
import time
from types import SimpleNamespace
from typing import Any

from worker.app.page import backend
from worker.app.page.backend import ServicePageBackend
from worker.core.clock import SystemClock
from worker.settings import Settings


async def test_stories_are_searched_one_after_another(monkeypatch):
    running, most, guard = 0, 0, threading.Lock()

    def searched(*_: Any) -> list[dict[str, Any]]:
        nonlocal running, most
        with guard:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        with guard:
            running -= 1
        return []

    async def no_batches(_: ServicePageBackend) -> list[bytes]:
        return []

    monkeypatch.setattr(backend, "story_of", searched)
    monkeypatch.setattr(ServicePageBackend, "_batches", no_batches)
    page: Any = ServicePageBackend(SimpleNamespace(stop=asyncio.Event()), Settings(), None, SystemClock())  # type: ignore[arg-type]
    await asyncio.gather(*(page.story("m1", None) for _ in range(8)))
    assert most == 1
