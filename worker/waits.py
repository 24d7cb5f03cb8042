"""Shows what a message or a poll waits for: once in the log after some seconds, and in a metric while it waits."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import structlog

from worker.metrics import Metrics

logger = structlog.get_logger()
LOG_AFTER = 5.0  # seconds


class WorkScope:
    """Encloses the work on one message or poll: its log lines name the route (and `more`), and each of its causes of waiting once.

    `logged`: the waits that are logged already. `waited`: seconds of all waits that have ended. It is a class since a generator costs twice the time.
    """

    __slots__ = ("_before", "_bound", "_names", "logged", "metrics", "route", "waited")

    def __init__(self, route: str, metrics: Metrics, **more: str) -> None:
        self.route = route
        self.metrics = metrics
        self.logged: set[str] = set()
        self.waited = 0.0
        self._names = more

    def __enter__(self) -> None:
        self._bound = structlog.contextvars.bind_contextvars(route=self.route, **self._names)
        self._before = SCOPE.set(self)

    def __exit__(self, *_: object) -> None:
        SCOPE.reset(self._before)
        structlog.contextvars.reset_contextvars(**self._bound)


SCOPE: ContextVar[WorkScope | None] = ContextVar("work_scope", default=None)


@contextmanager
def waiting_for(cause: str, detail: str = "", **fields: Any) -> Iterator[None]:
    """Enclose a wait. `cause`: budget, token, halo, claim, memory, retry, list or expressions; `detail`: the same for people, with names.

    Waits of one message or poll add up: a poll of many pages that waits a second for each page is late too.
    """
    scope = SCOPE.get()
    wait = _Wait(cause, detail or cause, scope, fields)
    loop = asyncio.get_running_loop()
    begun, waited = loop.time(), 0.0 if scope is None else scope.waited
    timer = loop.call_later(max(0.0, LOG_AFTER - waited), wait.log)  # it runs in the context of the message, so its log line names the message
    try:
        yield
    finally:
        timer.cancel()
        wait.end()
        if scope is not None:
            scope.waited += loop.time() - begun


@dataclass(slots=True, eq=False)
class _Wait:
    cause: str
    detail: str
    scope: WorkScope | None
    fields: dict[str, Any]
    counted: bool = False

    def log(self) -> None:
        scope = self.scope
        if scope is not None:
            self.counted = True
            scope.metrics.waiting.labels(scope.route, self.cause).inc()
            if self.detail in scope.logged:
                return
            scope.logged.add(self.detail)
        logger.warning("message.waiting", waits_for=self.detail, **self.fields)

    def end(self) -> None:
        if self.counted and self.scope is not None:
            self.scope.metrics.waiting.labels(self.scope.route, self.cause).dec()
