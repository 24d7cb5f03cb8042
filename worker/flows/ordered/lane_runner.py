"""Runs the first message of each lane of an ordered route, and settles it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, replace
from functools import partial

import structlog

from worker.config.routes import Publisher
from worker.core.delivery_state import DeliveryState, OrderStamp
from worker.core.errors import ChannelLost, Unpublishable
from worker.core.message import identity_of
from worker.core.outcome import DeadClass, Done, NotSent, Outcome, Refused
from worker.core.ports import Broker, Evaluator
from worker.core.settlement import Retry, Settlement
from worker.core.topology import WORK_LIMIT, order_queue
from worker.flows.consuming.availability import Availability
from worker.flows.consuming.copies import retried
from worker.flows.consuming.memory import with_memory
from worker.flows.consuming.runner import DeliveryRunner, Handler
from worker.flows.consuming.services import ConsumerServices
from worker.flows.consuming.settlement_executor import ReadinessProblem, SettlementExecutor, instead
from worker.flows.ordered.lanes import LaneEntry, Lanes
from worker.flows.ordered.messages import WaitingMessage, state_at_the_end
from worker.flows.waiting import race
from worker.flows.writes.publisher import refused_unless_left_out
from worker.state.claim_index import CLAIM_LIFETIME

logger = structlog.get_logger()
CLAIM_MEMORY = CLAIM_LIFETIME / 2  # seconds for which every replica remembers a claim


@dataclass(frozen=True, slots=True)
class RunnerDeps:
    """The parts that outlive broker attachments. Runs live on in `tasks` when their channel dies."""

    route: Publisher
    part: str
    handler: Handler
    needs: Availability
    evaluator: Evaluator
    services: ConsumerServices
    runner: DeliveryRunner


class LaneRunner:
    """The runs of one `session`, the life of the waiting queue's channel."""

    def __init__(self, deps: RunnerDeps, broker: Broker, lanes: Lanes[WaitingMessage], session: int) -> None:
        self._deps = deps
        self._lanes = lanes
        self._session = session
        self.settler = SettlementExecutor(
            deps.route.name, deps.route.queue, (), broker, deps.services.codec, deps.services.clock, ReadinessProblem(deps.services.health, deps.part)
        )
        self._settling: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._lost = False

    @property
    def delays(self) -> tuple[float, ...]:
        return self._deps.route.retry

    def changed(self) -> None:
        """Look again for a message that may run."""
        self._changed.set()

    def lost(self) -> None:
        """Note that the channel of the waiting queue was lost: the consumer of the redelivered message settles it."""
        self._lost = True

    async def run(self) -> None:
        """Start messages that may run, for as long as this is awaited."""
        clock = self._deps.services.clock
        while True:
            self._changed.clear()
            while self._deps.needs.available and (entry := self._lanes.start(clock.now())) is not None:
                self._start(entry)
            due = self._lanes.next_due()
            await race(self._changed.wait(), timeout=None if due is None else max(0.0, due - clock.now()))

    async def drain(self) -> None:
        """Wait until the running messages are settled."""
        while self._settling:
            await asyncio.wait(self._settling)

    def _start(self, entry: LaneEntry[WaitingMessage]) -> None:
        if entry.item is None:
            raise ValueError("an entry runs whose message is not here")
        task = self._deps.services.tasks.create_task(self._run_message(entry, entry.item))
        self._settling.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._settling.discard(task)
        self._changed.set()

    async def _run_message(self, entry: LaneEntry[WaitingMessage], item: WaitingMessage) -> None:
        state = replace(item.state, remembered=self._deps.services.clock.now() - item.stamp.since < CLAIM_MEMORY)
        job = OrderedJob(self, entry, replace(item, state=state), self._session)
        if item.redelivered and not self._deps.runner.in_flight.running(job.key, self._session):
            await self._count(entry, item, state)
        else:
            await self._deps.runner.run(job)

    def finish(self, entry: LaneEntry[WaitingMessage]) -> None:
        self._lanes.finish(entry)

    async def handle(self, entry: LaneEntry[WaitingMessage], item: WaitingMessage) -> Outcome:
        """Run the route's handler. A message whose keys cannot be computed is refused when its turn comes, unless the route's `when` leaves it out."""
        if item.stamp.starts > WORK_LIMIT:
            return Refused(DeadClass.CRASHED, f"started {item.stamp.starts} times and never ended")
        work: Callable[[], Awaitable[Outcome]] = partial(self._deps.handler, item, item.state)
        if (refused := entry.keys.refused) is not None:
            deps = self._deps
            work = partial(refused_unless_left_out, deps.route, item, item.state, deps.evaluator, refused, deps.services.memory.largest)
        outcome = await with_memory(self._deps.services.memory, item, work)
        return replace(outcome, body=None) if isinstance(outcome, Done) else outcome

    def require_channel(self) -> None:
        """Raises `ChannelLost` when another session settles the messages of this one."""
        if self._lost:
            raise ChannelLost("its channel was lost: the message is delivered and settled again")

    async def place(self, entry: LaneEntry[WaitingMessage], item: WaitingMessage, outcome: Outcome, settlement: Settlement) -> Settlement:
        """As `SettlementExecutor.place`. A message that is tried again keeps its place in its lane, which waits for it."""
        if isinstance(settlement, Retry):
            return await self._postpone(entry, item, item.state, outcome, settlement)
        return await self.settler.place(item, item.state, settlement)

    async def _postpone(self, entry: LaneEntry[WaitingMessage], item: WaitingMessage, state: DeliveryState, outcome: Outcome, settlement: Retry) -> Settlement:
        now = self._deps.services.clock.now()
        wait = outcome.after if isinstance(outcome, NotSent) and outcome.after else settlement.delay or 0.0
        due = now + wait if wait else 0.0
        state = replace(retried(state, settlement), order=OrderStamp(item.stamp.sequence, int(now), due))
        self._lanes.postpone(entry, progress(state), due)
        return await self._to_waiting_queue(entry, item, state, settlement)

    async def _count(self, entry: LaneEntry[WaitingMessage], item: WaitingMessage, state: DeliveryState) -> None:
        """Publish a copy with the start counted: a worker may have crashed on this message.

        After some starts the message runs alone, so that no other message is blamed.
        """
        copy = state_at_the_end(replace(item, state=state), self._deps.services.clock.now(), started=True)
        self._lanes.postpone(entry, progress(state), item.stamp.due)
        try:
            again = Retry(None, state.attempts, state.doubtful, "a worker may have crashed on it")
            if not isinstance(await self._to_waiting_queue(entry, item, copy, again), Retry):
                self._lanes.finish(entry)
            await item.ack()
        except ChannelLost as error:
            logger.warning("message.unsettled", message_id=state.message_id, reason=str(error))

    async def _to_waiting_queue(self, entry: LaneEntry[WaitingMessage], item: WaitingMessage, state: DeliveryState, settlement: Retry) -> Settlement:
        """Publish the copy to the waiting queue; its lane waits for it. A message whose copy no broker accepts is buried: its lane must not wait."""
        try:
            await self.settler.confirmed(self._deps.services.codec.copy(item.message, self._deps.route.queue, state), order_queue(self._deps.route.queue))
        except Unpublishable as error:
            self._lanes.resume(entry, item)
            return await self.settler.place(item, state, instead(settlement, state, error))
        return settlement


def progress(state: DeliveryState) -> tuple[int, int]:
    """Return the progress of a copy: attempts that count, and attempts that were claimed."""
    return state.attempts, state.tries


@dataclass(frozen=True, slots=True)
class OrderedJob:
    """Implements `Job` for the first message of a lane."""

    lanes: LaneRunner
    entry: LaneEntry[WaitingMessage]
    delivery: WaitingMessage
    session: int

    @property
    def state(self) -> DeliveryState:
        return self.delivery.state

    @property
    def key(self) -> Hashable:
        return (*identity_of(self.delivery), self.delivery.stamp.sequence, progress(self.state))

    @property
    def delays(self) -> tuple[float, ...]:
        return self.lanes.delays

    @property
    def may_join(self) -> bool:
        return True

    async def handle(self) -> Outcome:
        return await self.lanes.handle(self.entry, self.delivery)

    async def due(self, settlement: Settlement) -> Settlement:
        self.lanes.require_channel()
        return settlement

    async def place(self, outcome: Outcome, settlement: Settlement) -> Settlement:
        return await self.lanes.place(self.entry, self.delivery, outcome, settlement)

    async def ack(self) -> None:
        await self.delivery.ack()

    def ended(self, settlement: Settlement | None, *, lost: bool) -> bool:
        """Whether the result is kept.

        An acknowledgement is not confirmed. So the result is kept, to show that a message that comes back is done. A retried message has its copy in the queue.
        """
        if not lost and not isinstance(settlement, Retry):
            self.lanes.finish(self.entry)
        return not isinstance(settlement, Retry)
