"""Show and replace a baton for an operator. The new baton has a higher epoch, so that the successor of a turn in flight does not outrank it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from worker.core.errors import WorkerError
from worker.core.message import Delivery
from worker.core.ports import Broker, Channel, Clock
from worker.core.topology import bootstrap_marker, state_queue, wait_queue
from worker.state.baton import Baton, BatonUnreadable, KnownRef, highest
from worker.state.baton_lease import forward_due, put_baton
from worker.state.bootstrap import ensure_baton
from worker.state.known_stream import KnownLost, KnownStream

RETRY = 0.2

BatonPlace = Literal["waiting", "due", "away"]
Successor = Callable[[Baton | None], Baton]


class CannotReplaceBaton(WorkerError):
    """The baton belongs to a newer worker."""


@dataclass(frozen=True, slots=True)
class BatonStatus:
    """Where the baton is: it waits until it is due, is due, or is away (a replica holds it, or it is lost). `bootstrapped`: the subscriber has run before."""

    baton: Baton | None
    place: BatonPlace
    bootstrapped: bool


async def read_status(broker: Broker, clock: Clock, subscriber: str) -> BatonStatus:
    """Read the baton and leave it in its place."""
    if not await broker.queue_exists(state_queue(subscriber)):
        return BatonStatus(None, "away", bootstrapped=False)
    born = await broker.queue_exists(bootstrap_marker(subscriber))
    async with broker.channel(publishing=True) as channel:
        taken = await get_batons(broker, channel, subscriber)
        batons = decode_batons(taken, clock.now())
        if not batons:
            return BatonStatus(None, "away", born)
        waiting = all(delivery.queue == wait_queue(subscriber) for delivery in taken)
        return BatonStatus(highest(batons), "waiting" if waiting else "due", born)


async def replace_baton(broker: Broker, clock: Clock, subscriber: str, successor: Successor, *, max_wait: float) -> Baton:
    """Replace the baton by `successor(baton)`. Wait up to `max_wait` seconds while a replica holds it; then put `successor(None)`.

    If `successor` raises, the exception propagates and the baton stays in its place.
    """
    await ensure_baton(broker, clock, subscriber)
    until = clock.monotonic() + max_wait
    while True:
        async with broker.channel(publishing=True) as channel:
            taken = await get_batons(broker, channel, subscriber)
            if taken or clock.monotonic() >= until:
                batons = decode_batons(taken, clock.now())
                baton = outranking(successor(highest(batons) if batons else None), batons, clock.now())
                await put_baton(channel, clock, subscriber, baton)
                for delivery in taken:
                    await delivery.ack()
                return baton
        await clock.sleep(RETRY)


def outranking(baton: Baton, others: list[Baton], now: float) -> Baton:
    """The baton in an epoch above those of `others`, and above that of a baton that is away and may come back."""
    return replace(baton, epoch=max([int(now), *(other.epoch + 1 for other in others)]), generation=0, due=now, poll_due=0.0)


def with_cursor(baton: Baton | None, moment: datetime) -> Baton:
    """The baton with its cursor at `moment`: the next scan publishes every record updated since then, known or not. For a lost baton, a new one."""
    return replace(baton or Baton(), cursor=moment, again=moment, learnt=True, scan=None)


async def without_lost_records(broker: Broker, subscriber: str, baton: Baton | None) -> Baton | None:
    """The baton, without its known records if their stream no longer holds them."""
    if baton is None:
        return None
    try:
        await KnownStream(broker, subscriber).load(baton.known)
    except KnownLost:
        return replace(baton, known=KnownRef())
    return baton


async def get_batons(broker: Broker, channel: Channel, subscriber: str) -> list[Delivery]:
    """Take every message of the baton's queues; they return when the channel closes. If there is none, forward a baton that became due meanwhile."""
    taken = []
    for queue in (wait_queue(subscriber), state_queue(subscriber)):
        while (delivery := await channel.get(queue)) is not None:
            taken.append(delivery)
    if not taken:
        await forward_due(broker, subscriber)
    return taken


def decode_batons(taken: list[Delivery], now: float) -> list[Baton]:
    """The plausible batons. Raises `CannotReplaceBaton` for the baton of a newer worker."""
    batons = []
    for delivery in taken:
        try:
            baton = Baton.decode(delivery.message.body)
            batons += [] if baton.implausible(now) else [baton]
        except BatonUnreadable as error:
            if error.newer:
                raise CannotReplaceBaton(f"{error}: use `halo-worker cursor` of the newer version") from None
    return batons
