"""The messages of the waiting queue: their place in the order, and when they may run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256

from worker.config.routes import Publisher
from worker.core.delivery_state import DeliveryState, OrderStamp
from worker.core.errors import ExpressionError, Undecodable
from worker.core.header_codec import HeaderCodec
from worker.core.message import Delivery, DroppedBody, Message
from worker.core.outcome import DeadClass, Refused
from worker.core.ports import Clock, Evaluator
from worker.flows.evaluating import once_evaluated
from worker.flows.ordered.lanes import MessageKeys, QueuePlace
from worker.flows.writes.deduplicator import key_text
from worker.flows.writes.publisher import message_bindings
from worker.threads import read_body

MAX_KEY = 200  # characters: keys stay in memory while their messages wait, and a small compressed body can hold a long one


@dataclass(frozen=True, slots=True)
class WaitingMessage:
    """A delivery of the waiting queue. Implements `Delivery`, as the handler of the route's own queue knows it."""

    delivery: Delivery
    queue: str
    state: DeliveryState
    stamp: OrderStamp

    @property
    def message(self) -> Message:
        return self.delivery.message

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
    def place(self) -> QueuePlace:
        return self.stamp.sequence, self.message.message_id

    @property
    def dropped_body(self) -> DroppedBody | None:
        return self.delivery.dropped_body

    @property
    def digest(self) -> bytes:
        return self.delivery.digest

    async def ack(self) -> None:
        await self.delivery.ack()

    async def reject(self) -> None:
        await self.delivery.reject()

    async def give_back(self) -> None:
        await self.delivery.give_back()


def waiting_message(delivery: Delivery, queue: str, codec: HeaderCodec) -> WaitingMessage | None:
    """Return the message if a worker put it into the waiting queue of `queue`; None for any other."""
    state = codec.read(delivery, queue)
    return WaitingMessage(delivery, queue, state, state.order) if state.proven and state.order is not None else None


def state_in_waiting_queue(delivery: Delivery, state: DeliveryState, sequence: int, now: float) -> DeliveryState:
    """Return the state of a message that goes from the route's queue into the waiting queue.

    The previous consumer of a redelivered message may have moved it already. Without an id of its own the copies cannot be matched, so it is in doubt.
    """
    doubtful = state.doubtful or (state.redelivered and not delivery.message.message_id)
    return replace(state, doubtful=doubtful, order=OrderStamp(sequence, int(now)), death=None)


def state_at_the_end(item: WaitingMessage, now: float, *, started: bool = False) -> DeliveryState:
    """Return the state of the same message for a place at the end of the waiting queue.

    `started`: it is about to run, and a worker may have crashed on it before.
    """
    since = item.stamp.since if item.state.redelivered else int(now)
    return replace(item.state, order=replace(item.stamp, since=since, starts=item.stamp.starts + started))


async def keys_of(route: Publisher, delivery: Delivery, state: DeliveryState, evaluator: Evaluator, clock: Clock, largest: int) -> MessageKeys:
    """Return the keys of a message: its order key and its customer. 7, 7.0 and "7" are one key, as in Halo.

    Waits while no expression can be evaluated. `largest`: bytes of the largest body that is read.
    """
    try:
        message, bindings = delivery.message, message_bindings(route, delivery, state)
        document = await read_body(message, largest)
        order, customer = [
            None if template is None else bounded_key(key_text(await once_evaluated(partial(template.evaluate, document, bindings, evaluator), clock)))
            for template in (route.order_by, route.fair_by)
        ]
    except ExpressionError as error:
        return MessageKeys(refused=Refused(DeadClass.TRANSFORM, str(error)))
    except Undecodable as error:
        return MessageKeys(refused=Refused(DeadClass.DECODE, str(error)))
    if order == "":
        return MessageKeys(refused=Refused(DeadClass.TRANSFORM, "`order_by` yields nothing for this message: it cannot be kept in order"))
    return MessageKeys(order, customer or "")


def bounded_key(key: str) -> str:
    """The key itself, or the SHA-256 of a long one."""
    return key if len(key) <= MAX_KEY else f"sha256:{sha256(key.encode(errors='surrogatepass')).hexdigest()}"
