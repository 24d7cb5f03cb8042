"""What the messages of the waiting room say: their place in the order, and when they may run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from worker.config.routes import Publisher
from worker.core.errors import ExpressionError, Undecodable
from worker.core.jsontext import decode
from worker.core.message import Delivery, Message, Unread
from worker.core.outcome import DeadClass, Refused
from worker.flows.consuming.envelope import DOUBTFUL, EXCHANGE, REDELIVERED, ROUTING_KEY, Envelope, again, counter, own_headers
from worker.flows.ordered.lanes import Place
from worker.flows.writes.keys import key_text
from worker.flows.writes.publisher import message_bindings

SEQUENCE = "halo-order"
DUE = "halo-order-due"
SINCE = "halo-order-since"
STARTS = "halo-order-starts"
MARKER = "halo-order-marker"
STAMPS = frozenset((SEQUENCE, DUE, SINCE, STARTS))


@dataclass(frozen=True, slots=True)
class Stamp:
    """`sequence`: larger than that of every message that came before. Seconds since 1970: may run from `due` on, and nobody can have started it before `since`.

    `starts`: how often somebody died with it, or may have.
    """

    sequence: int
    since: int
    due: float = 0.0
    starts: int = 0

    @classmethod
    def of(cls, headers: Mapping[str, Any]) -> Self:
        return cls(counter(headers, SEQUENCE), counter(headers, SINCE), counter(headers, DUE) / 1000, counter(headers, STARTS))

    def on(self, message: Message) -> Message:
        """The message as it goes into the room."""
        stamp = {SEQUENCE: self.sequence, SINCE: self.since, DUE: round(self.due * 1000), STARTS: self.starts}
        return replace(message, headers=dict(message.headers) | {name: value for name, value in stamp.items() if value})


@dataclass(frozen=True, slots=True)
class Roomed:
    """A delivery of the waiting room; a `Delivery` as the handler of the route's own queue knows it."""

    delivery: Delivery
    message: Message
    queue: str
    stamp: Stamp

    @property
    def exchange(self) -> str:
        return self.delivery.exchange

    @property
    def routing_key(self) -> str:
        return self.delivery.routing_key

    @property
    def redelivered(self) -> bool:
        return self.delivery.redelivered

    @property
    def offset(self) -> int | None:
        return None

    @property
    def place(self) -> Place:
        return self.stamp.sequence, self.message.message_id

    @property
    def unread(self) -> Unread | None:
        return self.delivery.unread

    async def ack(self) -> None:
        await self.delivery.ack()

    async def reject(self) -> None:
        await self.delivery.reject()

    async def give_back(self) -> None:
        await self.delivery.give_back()


def roomed(delivery: Delivery, queue: str) -> Roomed:
    """Read the stamp of a message that is for `queue`."""
    headers = {name: value for name, value in delivery.message.headers.items() if name not in STAMPS}
    return Roomed(delivery, replace(delivery.message, headers=headers), queue, Stamp.of(delivery.message.headers))


def moved(delivery: Delivery, envelope: Envelope, sequence: int, now: float) -> Message:
    """The message as it goes from the route's queue into the room.

    Whoever had a redelivered one before may have moved it already. Without an id of its own the copies cannot be told to be the same, so that it is in doubt.
    """
    headers = {name: value for name, value in own_headers(delivery.message).items() if name not in STAMPS}
    headers |= {EXCHANGE: envelope.exchange, ROUTING_KEY: envelope.routing_key}
    if envelope.redelivered:
        headers[REDELIVERED] = True
    if envelope.redelivered and not delivery.message.message_id:
        headers[DOUBTFUL] = True
    return Stamp(sequence, int(now)).on(again(delivery.message, envelope, headers))


def moved_on(item: Roomed, envelope: Envelope, now: float, *, started: bool = False) -> Message:
    """The same message for a place at the end of the room; `started`: it is about to be run, and somebody may have died with it before."""
    headers = own_headers(item.message) | ({REDELIVERED: True} if envelope.redelivered else {})
    since = item.stamp.since if envelope.redelivered else int(now)
    return replace(item.stamp, since=since, starts=item.stamp.starts + started).on(again(item.message, envelope, headers))


def key_of(route: Publisher, delivery: Delivery, envelope: Envelope) -> str | Refused:
    """What keeps this message in order with others: 7, 7.0 and "7" are one key, as Halo takes them."""
    if route.order_by is None:
        raise ValueError(f"the route {route.name} has no `order_by`")
    try:
        key = key_text(route.order_by.evaluate(decode(delivery.message.body), message_bindings(route, delivery, envelope)))
    except ExpressionError as error:
        return Refused(DeadClass.TRANSFORM, str(error))
    except Undecodable as error:
        return Refused(DeadClass.DECODE, str(error))
    return key or Refused(DeadClass.TRANSFORM, "`order_by` yields nothing for this message: it cannot be kept in order")
