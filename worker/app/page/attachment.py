"""A broker attachment of the status page's own, made when it is needed: what people look at never holds up the worker's messages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from worker.core.errors import BrokerError
from worker.core.ports import Broker, Clock
from worker.flows.waiting import race
from worker.state.keys import shared_key

IDLE = 120.0  # seconds without a question after which it is given up
LOOK_EVERY = 10.0
Attach = Callable[[], AbstractAsyncContextManager[Broker]]


class PageBroker:
    """`serve` keeps the attachment; `broker` waits for it. `key`: of the worker's headers, known with the first attachment."""

    def __init__(self, attach: Attach, clock: Clock) -> None:
        self._attach = attach
        self._clock = clock
        self._wanted = asyncio.Event()
        self._attached: asyncio.Future[Broker] | None = None
        self._used = 0.0
        self.key = b""

    async def broker(self) -> Broker:
        """Raises `BrokerError` when there is none."""
        self._used = self._clock.monotonic()
        if self._attached is None:
            self._attached = asyncio.get_running_loop().create_future()
            self._wanted.set()
        return await asyncio.shield(self._attached)

    async def serve(self) -> None:
        """Until it is cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                async with self._attach() as broker:
                    self.key = await shared_key(broker, self._clock)
                    self._answer(broker)
                    while self._clock.monotonic() - self._used < IDLE and await race(broker.wait_lost(), timeout=LOOK_EVERY) is None:
                        pass
                    self._attached = None
            except BrokerError as error:
                self._answer(error)
                self._attached = None

    def _answer(self, answer: Broker | BrokerError) -> None:
        waiting = self._attached
        if waiting is None or waiting.done():
            return
        if isinstance(answer, BrokerError):
            waiting.set_exception(answer)
            waiting.exception()  # retrieved, also where its caller has gone
        else:
            waiting.set_result(answer)
