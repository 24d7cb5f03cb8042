"""The permits that this replica holds, and those that it owes for long requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from worker.core.allowance import Permit
from worker.core.ports import Clock, Permits


class PermitPool:
    """Asks for one permit at a time while a sender waits or the pool owes permits. It calls `filled` when a permit has arrived."""

    def __init__(self, permits: Permits, renewal: float, clock: Clock, filled: Callable[[], None]) -> None:
        self._permits = permits
        self._renewal = renewal
        self._clock = clock
        self._filled = filled
        self._held: list[Permit] = []
        self._owed = 0
        self._withdraw: Callable[[], None] | None = None

    def available(self) -> bool:
        """Whether a request may start now; if not, ask for a permit. The pool first pays the permits that it owes, and drops expired ones."""
        self._pay()
        if not self._held:
            self._ask()
        return bool(self._held)

    def consume(self) -> None:
        """Take a permit for a request that starts now. Call it right after `available`."""
        self._spend()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Owe a further permit each `renewal` seconds while a request runs in the block: Halo may count it late."""
        loop = asyncio.get_running_loop()
        timer: asyncio.TimerHandle

        def renew() -> None:
            nonlocal timer
            self._owed += 1
            self._pay()
            timer = loop.call_later(self._renewal, renew)

        timer = loop.call_later(self._renewal, renew)
        try:
            yield
        finally:
            timer.cancel()

    def cancel_pending(self) -> None:
        """Withdraw the question when no sender waits any more, unless the pool owes permits."""
        if self._withdraw is not None and not self._owed:
            self._withdraw()
            self._withdraw = None

    def throttled(self, seconds: float) -> None:
        self._permits.throttled(seconds)

    def _ask(self) -> None:
        if self._withdraw is None:
            self._withdraw = self._permits.ask(self._granted)

    def _granted(self, permit: Permit) -> None:
        self._withdraw = None
        self._held.append(permit)
        self._pay()
        self._filled()

    def _pay(self) -> None:
        now = self._clock.monotonic()
        self._held = [permit for permit in self._held if now < permit.until]
        while self._owed and self._held:
            self._spend()
            self._owed -= 1
        if self._owed:
            self._ask()

    def _spend(self) -> None:
        first = self._held.pop(0)
        if first.requests > 1:
            self._held.insert(0, Permit(first.requests - 1, first.until))
