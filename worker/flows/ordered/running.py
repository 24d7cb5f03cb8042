"""Runs what is first in the lanes of an ordered route, and settles it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from functools import partial

import structlog

from worker.config.routes import Publisher
from worker.core.delivery_state import DeliveryState, OrderStamp
from worker.core.errors import ChannelLost, Unpublishable
from worker.core.header_codec import HeaderCodec
from worker.core.health import Health
from worker.core.identity import identity_of
from worker.core.outcome import DeadClass, Done, Outcome, Refused, Unsent
from worker.core.ports import Broker, Clock, Evaluator
from worker.core.settlement import Ack, Retry, Settlement, settle
from worker.core.topology import WORK_LIMIT, order_room
from worker.flows.consuming.availability import Availability
from worker.flows.consuming.copies import retried
from worker.flows.consuming.handling import Handler, handled, report
from worker.flows.consuming.in_hand import InHand, Work
from worker.flows.consuming.memory import Memory
from worker.flows.consuming.settling import Settler, Trouble, instead
from worker.flows.consuming.with_memory import WEIGHT_OF_COPY, with_memory
from worker.flows.ordered.lanes import Entry, Lanes
from worker.flows.ordered.messages import Roomed, key_of, moved_on
from worker.flows.waiting import first_of
from worker.metrics import Metrics
from worker.state.claim_index import KEPT

logger = structlog.get_logger()
SURELY_KNOWN = KEPT / 2  # seconds for which nobody has forgotten a claim


@dataclass(frozen=True, slots=True)
class Hands:
    """What outlives broker attachments: runs live on in `tasks` when their channel dies."""

    route: Publisher
    part: str
    handler: Handler
    needs: Availability
    evaluator: Evaluator
    codec: HeaderCodec
    clock: Clock
    metrics: Metrics
    health: Health
    tasks: asyncio.TaskGroup
    in_hand: InHand
    memory: Memory


class Runner:
    """The runs of one `session`, the life of the room's channel."""

    def __init__(self, hands: Hands, broker: Broker, lanes: Lanes[Roomed], session: int) -> None:
        self._hands = hands
        self._lanes = lanes
        self._session = session
        self.settler = Settler(hands.route.name, hands.route.queue, (), broker, hands.codec, hands.clock, Trouble(hands.health, hands.part))
        self._settling: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._lost = False

    def changed(self) -> None:
        """Something may run that could not before."""
        self._changed.set()

    def lost(self) -> None:
        """The room's channel has gone: whoever gets a message again settles it."""
        self._lost = True

    async def run(self) -> None:
        """Start what may run, for as long as this is awaited."""
        clock = self._hands.clock
        while True:
            self._changed.clear()
            while self._hands.needs.available and (entry := self._lanes.start(clock.now())) is not None:
                self._start(entry)
            due = self._lanes.next_due()
            await first_of(self._changed.wait(), timeout=None if due is None else max(0.0, due - clock.now()))

    async def drain(self) -> None:
        """Until what runs is settled."""
        while self._settling:
            await asyncio.wait(self._settling)

    def _start(self, entry: Entry[Roomed]) -> None:
        if entry.item is None:
            raise ValueError("an entry runs whose message is not here")
        task = self._hands.tasks.create_task(self._own(entry, entry.item))
        self._settling.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._settling.discard(task)
        self._changed.set()

    async def _own(self, entry: Entry[Roomed], item: Roomed) -> None:
        """Whoever owns the delivery settles it, whatever happens to the handler."""
        envelope = self._envelope(item)
        with structlog.contextvars.bound_contextvars(route=self._hands.route.name, correlation_id=envelope.correlation_id):
            key = (*identity_of(item), item.stamp.sequence, made(envelope))
            work = self._hands.in_hand.adopt(key, self._session)
            if work is None and item.redelivered:
                await self._count(entry, item, envelope)
                return
            if work is None:
                work = self._hands.in_hand.start(key, self._session, self._outcome(entry, item, envelope))
            in_hand = self._hands.metrics.in_hand.labels(self._hands.route.name)
            in_hand.inc()
            try:
                await self._settle(entry, item, envelope, work)
            finally:
                in_hand.dec()

    def _envelope(self, item: Roomed) -> DeliveryState:
        return replace(item.state, remembered=self._hands.clock.now() - item.stamp.since < SURELY_KNOWN)

    async def _settle(self, entry: Entry[Roomed], item: Roomed, envelope: DeliveryState, work: Work) -> None:
        hands, started = self._hands, self._hands.clock.monotonic()
        outcome = await asyncio.shield(work.task)
        try:
            if work.settlement is None:
                work.settlement = await self._place(entry, item, envelope, outcome)
            await item.ack()
        except ChannelLost as error:
            logger.warning("message.unsettled", message_id=envelope.message_id, reason=str(error))
            self._keep(work)
            return
        self._keep(work)
        if not isinstance(work.settlement, Retry):
            self._lanes.finish(entry)
        report(hands.metrics, hands.route.name, outcome, work.settlement, envelope, hands.clock.monotonic() - started)

    def _keep(self, work: Work) -> None:
        """An ack is not confirmed: a message that comes back after a loss is known to be done. What is tried again has its copy in the room."""
        if isinstance(work.settlement, Retry):
            self._hands.in_hand.settled(work)
        else:
            self._hands.in_hand.unsettled(work, self._session)

    async def _outcome(self, entry: Entry[Roomed], item: Roomed, envelope: DeliveryState) -> Outcome:
        if item.stamp.starts > WORK_LIMIT:
            return Refused(DeadClass.CRASHED, f"started {item.stamp.starts} times without ever coming to an end")
        refused = await key_of(self._hands.route, item, envelope, self._hands.evaluator, self._hands.clock) if entry.key is None else None
        if isinstance(refused, Refused):
            return refused
        outcome = await with_memory(self._hands.memory, item, partial(handled, self._hands.handler, item, envelope))
        return replace(outcome, body=None) if isinstance(outcome, Done) else outcome

    async def _place(self, entry: Entry[Roomed], item: Roomed, envelope: DeliveryState, outcome: Outcome) -> Settlement:
        """As `Settler.place`; what is to be tried again keeps its place in its lane, which waits for it."""
        if self._lost:
            raise ChannelLost("its channel was lost: whoever gets it again settles it")
        settlement = settle(outcome, attempts=envelope.attempts, doubtful=envelope.doubtful, delays=self._hands.route.retry)
        async with self._hands.memory.working(0 if isinstance(settlement, Ack) else len(item.message.body), WEIGHT_OF_COPY):
            if not isinstance(settlement, Retry):
                return await self.settler.place(item, envelope, settlement)
            return await self._postpone(entry, item, envelope, outcome, settlement)

    async def _postpone(self, entry: Entry[Roomed], item: Roomed, envelope: DeliveryState, outcome: Outcome, settlement: Retry) -> Settlement:
        now = self._hands.clock.now()
        wait = outcome.after if isinstance(outcome, Unsent) and outcome.after else settlement.delay or 0.0
        due = now + wait if wait else 0.0
        state = replace(retried(envelope, settlement), order=OrderStamp(item.stamp.sequence, int(now), due))
        self._lanes.postpone(entry, made(state), due)
        return await self._into_room(entry, item, state, settlement)

    async def _count(self, entry: Entry[Roomed], item: Roomed, envelope: DeliveryState) -> None:
        """Whoever had it before may have died of it: it is started as a copy that counts this. After some of them it runs alone, so that no other is blamed."""
        copy = moved_on(replace(item, state=envelope), self._hands.clock.now(), started=True)
        self._lanes.postpone(entry, made(envelope), item.stamp.due)
        try:
            again = Retry(None, envelope.attempts, envelope.doubtful, "a worker may have crashed on it")
            if not isinstance(await self._into_room(entry, item, copy, again), Retry):
                self._lanes.finish(entry)
            await item.ack()
        except ChannelLost as error:
            logger.warning("message.unsettled", message_id=envelope.message_id, reason=str(error))

    async def _into_room(self, entry: Entry[Roomed], item: Roomed, state: DeliveryState, settlement: Retry) -> Settlement:
        """Put the copy into the room that its lane waits for. One that no broker takes is buried instead, and its lane must not wait."""
        try:
            await self.settler.confirmed(self._hands.codec.copy(item.message, self._hands.route.queue, state), order_room(self._hands.route.queue))
        except Unpublishable as error:
            self._lanes.resume(entry, item)
            return await self.settler.place(item, state, instead(settlement, state, error))
        return settlement


def made(envelope: DeliveryState) -> tuple[int, int]:
    """How far a copy is: attempts that count, and attempts that were claimed."""
    return envelope.attempts, envelope.tries
