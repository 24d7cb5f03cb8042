"""Routes and deliveries for tests, with templates and conditions in Python."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from worker.catalogue.operation import Body, Listing, Operation
from worker.config.compiled import Find
from worker.config.routes import Publisher, Subscriber
from worker.core.clock import SystemClock
from worker.core.errors import ChannelLost
from worker.core.exchange import Exchange, Priority, Request, RequestResult
from worker.core.ledger import Claim, Key
from worker.core.message import DroppedBody, Message, digest_of

ASSETS = Operation("POST", "/Asset", query_parameters={"returnall": "bool"}, body=Body.ARRAY)
DELETE = Operation("DELETE", "/Asset/{id}", path_parameters={"id": "int"}, query_parameters={"reason": "string"})
LOOKUP = Operation(
    "GET", "/Asset", query_parameters=dict.fromkeys(("search", "pageinate", "page_size", "page_no"), "any"), listing=Listing("assets", paged=True)
)
TICKETS = Operation("GET", "/Tickets", listing=Listing("tickets", paged=True, dated=True, ordered=True))


@dataclass(frozen=True)
class Given:
    """A template that yields this value, or what this function makes of the message."""

    value: Any

    async def evaluate(self, context: Any, bindings: Mapping[str, Any], evaluator: Any) -> Any:
        return self.value(context) if callable(self.value) else self.value


@dataclass(frozen=True)
class Holding:
    """A condition."""

    test: Callable[[Any], bool]

    async def holds(self, context: Any, bindings: Mapping[str, Any], evaluator: Any) -> bool:
        return self.test(context)


def publisher(**fields: Any) -> Publisher:
    return Publisher("assets", "main", "erp.assets", **({"operation": ASSETS} | fields))


def subscriber(**fields: Any) -> Subscriber:
    return Subscriber("tickets", "main", **({"operation": TICKETS, "changes": "by_date"} | fields))


def find(**fields: Any) -> Find:
    serial = Given(lambda message: message.get("serial"))
    return Find(LOOKUP, **({"query": {"search": serial}, "match": {"inventory_number": serial}} | fields))


@dataclass
class Arrived:
    """A delivery."""

    message: Message
    redelivered: bool = False
    queue: str = "erp.assets"
    exchange: str = "erp"
    routing_key: str = "asset.new"
    offset: int | None = None
    dropped_body: DroppedBody | None = None

    @property
    def digest(self) -> bytes:
        return digest_of(self.message, self.dropped_body)

    async def ack(self) -> None:
        """Nothing is behind it."""

    async def reject(self) -> None:
        """As `ack`."""

    async def give_back(self) -> None:
        """As `ack`."""


@dataclass
class ScriptedHalo:
    """Answers with these exchanges, one after the other; the last one again and again."""

    answers: list[Exchange]
    requests: list[Request] = field(default_factory=list)
    name: str = "main"
    timeout: float = 30.0
    waits: bool = False
    """Every request waits for its turn."""

    async def send(self, request: Request, *, priority: Priority) -> Exchange:
        async with self.reserve(request, priority=priority) as slot:
            return slot if isinstance(slot, Exchange) else await slot.send()

    @asynccontextmanager
    async def reserve(self, request: Request, *, priority: Priority, after: Exchange | None = None) -> AsyncIterator[ScriptedSlot | Exchange]:
        assert priority is Priority.WRITE
        for _ in range(5 if self.waits else 0):
            await asyncio.sleep(0)
        yield self.take(request) if self.answers[0].down else ScriptedSlot(self, request)

    def take(self, request: Request) -> Exchange:
        self.requests.append(request)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@dataclass
class ScriptedSlot:
    halo: ScriptedHalo
    request: Request

    async def send(self, until: float | None = None) -> Exchange:
        return self.halo.take(self.request)


@dataclass
class Ledger:
    """A ledger in memory."""

    owners: dict[Key, str] = field(default_factory=dict)
    waited: list[float] = field(default_factory=list)
    lost: bool = False
    at: float | None = None

    async def claim(self, key: Key, owner: str) -> Claim:
        if self.lost:
            raise ChannelLost("no claims")
        if key not in self.owners:
            self.owners[key] = owner
            return Claim.WON
        return Claim.AGAIN if self.owners[key] == owner else Claim.TAKEN

    async def knows(self, key: Key, *, within: float = 0.0) -> bool:
        self.waited.append(within)
        return key in self.owners

    async def claimed_at(self, key: Key) -> float | None:
        return self.at if key in self.owners else None


class Impatient(SystemClock):
    async def sleep(self, seconds: float) -> None:
        """Time does not pass here."""


def answered(body: Any, status: int = 200) -> Exchange:
    return Exchange(RequestResult.DONE, status, body=body)
