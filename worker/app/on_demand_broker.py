"""A second broker attachment, opened when it is needed: its failures never delay the worker's messages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from worker.core.errors import BrokerError
from worker.core.message import Message
from worker.core.ports import Broker, Clock
from worker.flows.waiting import race

IDLE = 120.0  # seconds without use after which the attachment closes
LOOK_EVERY = 10.0
Attach = Callable[[], AbstractAsyncContextManager[Broker]]


class OnDemandBroker:
    """`serve` keeps the attachment; `broker` waits for it."""

    def __init__(self, attach: Attach, clock: Clock) -> None:
        self._attach = attach
        self._clock = clock
        self._wanted = asyncio.Event()
        self._attached: asyncio.Future[Broker] | None = None
        self._used = 0.0

    async def broker(self) -> Broker:
        """Return the attached broker. Raises `BrokerError` when the broker cannot be reached."""
        self._used = self._clock.monotonic()
        if self._attached is None or is_lost(self._attached):
            self._attached = asyncio.get_running_loop().create_future()
            self._wanted.set()
        return await asyncio.shield(self._attached)

    async def serve(self) -> None:
        """Keep the attachment until cancelled."""
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
                    if self._attached is answered:  # no caller has asked since the attachment was lost
                        self._attached = None
            except BrokerError as error:
                self._answer(error)
                self._attached = None

    async def prepare(self, broker: Broker) -> None:
        """Prepare the attachment before its users get it. Raises `BrokerError`."""

    def _answer(self, answer: Broker | BrokerError) -> None:
        waiting = self._attached
        if waiting is None or waiting.done():
            return
        if isinstance(answer, BrokerError):
            waiting.set_exception(answer)
            waiting.exception()  # marks the error as retrieved, also when its caller has gone
        else:
            waiting.set_result(answer)


class DirectReplies(OnDemandBroker):
    """Publishes to addresses that senders name as their direct reply-to.

    RabbitMQ 3.10 closes the connection that publishes to a process of an unknown node, be the node gone or invented. Replies go out one after the other,
    so that none is on a connection that another one makes the broker close.
    """

    def __init__(self, attach: Attach, clock: Clock) -> None:
        super().__init__(attach, clock)
        self._one = asyncio.Lock()

    async def publish(self, message: Message, address: str) -> None:
        """Publish with a confirmation. Raises `BrokerError`."""
        async with self._one:
            await (await self.broker()).publish(message, routing_key=address)


def is_lost(attached: asyncio.Future[Broker]) -> bool:
    """Whether the attachment was opened and has been lost since."""
    return attached.done() and attached.exception() is None and bool(attached.result().lost)
