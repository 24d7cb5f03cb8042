"""A broker attachment beside the worker's own, made when it is needed: what befalls it never holds up the worker's messages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from worker.core.errors import BrokerError
from worker.core.message import Message
from worker.core.ports import Broker, Clock
from worker.flows.waiting import race

IDLE = 120.0  # seconds without a question after which it is given up
LOOK_EVERY = 10.0
Attach = Callable[[], AbstractAsyncContextManager[Broker]]


class SideBroker:
    """`serve` keeps the attachment; `broker` waits for it."""

    def __init__(self, attach: Attach, clock: Clock) -> None:
        self._attach = attach
        self._clock = clock
        self._wanted = asyncio.Event()
        self._attached: asyncio.Future[Broker] | None = None
        self._used = 0.0

    async def broker(self) -> Broker:
        """Raises `BrokerError` when there is none."""
        self._used = self._clock.monotonic()
        if self._attached is None or is_lost(self._attached):
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
                    await self.prepare(broker)
                    self._answer(broker)
                    answered = self._attached
                    while self._clock.monotonic() - self._used < IDLE and await race(broker.wait_lost(), timeout=LOOK_EVERY) is None:
                        pass
                    if self._attached is answered:  # no question has come since it was lost
                        self._attached = None
            except BrokerError as error:
                self._answer(error)
                self._attached = None

    async def prepare(self, broker: Broker) -> None:
        """What its users need before they get it. Raises `BrokerError`."""

    def _answer(self, answer: Broker | BrokerError) -> None:
        waiting = self._attached
        if waiting is None or waiting.done():
            return
        if isinstance(answer, BrokerError):
            waiting.set_exception(answer)
            waiting.exception()  # retrieved, also where its caller has gone
        else:
            waiting.set_result(answer)


class DirectReplies(SideBroker):
    """Publishes to addresses that senders name as their direct reply-to.

    RabbitMQ 3.10 ends the connection that publishes to a process of a node that it does not know, be it gone or made up. One reply after the other: none of them is
    on the connection that another one ends.
    """

    def __init__(self, attach: Attach, clock: Clock) -> None:
        super().__init__(attach, clock)
        self._one = asyncio.Lock()

    async def publish(self, message: Message, address: str) -> None:
        """Confirmed. Raises `BrokerError`."""
        async with self._one:
            await (await self.broker()).publish(message, routing_key=address)


def is_lost(attached: asyncio.Future[Broker]) -> bool:
    """Whether the attachment was made and has gone since."""
    return attached.done() and attached.exception() is None and bool(attached.result().lost)
