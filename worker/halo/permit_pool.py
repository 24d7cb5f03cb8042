"""The permits that this replica has in its hands, and those that it owes for requests that run long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from worker.core.allowance import Permit
from worker.core.ports import Clock, Permits


class PermitPool:
    """One question at a time goes out, while a sender waits or permits are owed. `filled` is called when a permit has come in."""

    def __init__(self, permits: Permits, renewal: float, clock: Clock, filled: Callable[[], None]) -> None:
        self._permits = permits
        self._renewal = renewal
        self._clock = clock
        self._filled = filled
        self._held: list[Permit] = []
        self._owed = 0
        self._withdraw: Callable[[], None] | None = None

    def available(self) -> bool:
        """Whether a request may start now; when not, a permit is asked for. What is owed is paid first, and permits that were kept too long are thrown away."""
        self._pay()
        if not self._held:
            self._ask()
        return bool(self._held)

    def consume(self) -> None:
        """For a request that starts now, right after `has_one`."""
        self._spend()

    @contextmanager
    def running(self) -> Iterator[None]:
        """While a request runs: a further permit falls due each `renewal` seconds, since Halo may count it late."""
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
        """No sender waits any more."""
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
