"""Starts the runs of a runbook at the times of a cron line. A baton carries the next time, so that one replica starts each run."""

from __future__ import annotations

import asyncio

import structlog

from worker.config.automation import Runbook
from worker.core.errors import Unroutable
from worker.core.health import Health
from worker.core.ports import Broker, Channel, Clock
from worker.core.topology import Topology, browsable_queue, subscriber_dead_queue
from worker.flows.polling.next_arrival import next_arrival
from worker.flows.polling.schedule import Schedule
from worker.flows.running.run_message import iso, run_id_of, run_queue, start_message
from worker.metrics import Metrics
from worker.state.baton import Baton
from worker.state.baton_lease import BatonLease, HeldBaton, open_lease
from worker.state.bootstrap import baton_visible, ensure_baton, restart_baton

logger = structlog.get_logger()
BATON_SEARCH_AFTER = 300.0  # seconds without the baton after which a replica looks for it
MAX_MISSED_SEARCHES = 3  # looks in a row that do not find it
START_RETRY = 60.0  # seconds until the next try after a start that no queue took


def schedule_topology(runbook: Runbook) -> Topology:
    """Return the queue that the baton needs besides the queues of the runbook."""
    return Topology(queues=(browsable_queue(subscriber_dead_queue(runbook.name)),))


class ScheduleFlow:
    """The schedule of one runbook."""

    def __init__(self, runbook: Runbook, cron: str, clock: Clock, metrics: Metrics, health: Health) -> None:
        self._name = runbook.name
        self._schedule = Schedule(None, cron)
        self._clock = clock
        self._metrics = metrics
        self._health = health
        self._looks = 0

    @property
    def part(self) -> str:
        """The name of this schedule in the readiness report."""
        return f"runbook {self._name} (schedule)"

    async def serve(self, broker: Broker, stop: asyncio.Event) -> None:
        """Start runs until `stop`. Raises `BrokerError` when the attachment is lost."""
        await ensure_baton(broker, self._clock, self._name, records=False)
        while not stop.is_set():
            async with open_lease(broker, self._clock, self._name, self._metrics) as (lease, channel):
                await lease.reschedule(self._schedule.revised)
                await lease.listen()
                self._health.up(self.part, "waiting for its time")
                await self._turns(broker, lease, channel, stop)

    async def _turns(self, broker: Broker, lease: BatonLease, channel: Channel, stop: asyncio.Event) -> None:
        while not stop.is_set():
            arrived = await next_arrival(broker, self._clock, self._name, lease, channel, stop, BATON_SEARCH_AFTER)
            if isinstance(arrived, str):
                self._health.down(self.part, f"it starts no runs: {arrived}")
                logger.warning("consumer.lost", route=self._name, reason=arrived)
                return
            if arrived is None:
                await self._search_baton(broker)
                return  # a channel without deliveries may hold the baton
            if not isinstance(arrived, bool) and (held := await lease.take(arrived)) is not None:
                self._looks = 0
                await self._turn(lease, channel, held)

    async def _turn(self, lease: BatonLease, channel: Channel, held: HeldBaton) -> None:
        """Start the due run, then publish the baton of the next time. After a crash in between the worker publishes the run again, as the same run."""
        baton, now = held.baton, self._clock.now()
        if baton.due > now:
            await lease.put(held, baton.advanced(due=baton.due))  # it came early: another replica drained the waiting queue
            return
        if baton.polled and not await self._started(channel, baton):
            await lease.put(held, baton.advanced(due=now + START_RETRY))
            return
        await lease.put(held, baton.advanced(polled=now, due=self._schedule.due(now)))

    async def _started(self, channel: Channel, baton: Baton) -> bool:
        """Publish one run for the time that is due. Times that passed since, while no worker ran, start no further runs."""
        at = iso(baton.due)
        try:
            await channel.publish(
                start_message(self._name, run_id_of(f"schedule {self._name}", at), {"scheduled": at}, self._clock.now()), routing_key=run_queue(self._name)
            )
        except Unroutable as error:
            logger.error("schedule.failed", route=self._name, scheduled=at, reason=str(error), again_in_s=START_RETRY)
            return False
        logger.info("schedule.started", route=self._name, scheduled=at)
        return True

    async def _search_baton(self, broker: Broker) -> None:
        """Look for the baton. A lost baton is made again, since a schedule has no progress to lose."""
        self._looks = 0 if await baton_visible(broker, self._name) else self._looks + 1
        if self._looks >= MAX_MISSED_SEARCHES and await restart_baton(broker, self._clock, self._name):
            logger.warning("schedule.lost", route=self._name, then="goes on with its next time")
