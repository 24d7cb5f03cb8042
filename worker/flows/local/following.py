"""Follows a run of a runbook from step to step in this process, without a broker."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field

from worker.config.automation import Runbook
from worker.core.clock import SystemClock
from worker.core.delivery_state import DeliveryState
from worker.core.durations import format_duration
from worker.core.entropy import secret
from worker.core.errors import WorkerError
from worker.core.header_codec import HeaderCodec
from worker.core.message import Delivery
from worker.core.outcome import Outcome
from worker.core.ports import Clock
from worker.core.settlement import Ack, Bury, Forward, Retry, Settlement
from worker.flows.consuming.copies import retried
from worker.flows.consuming.memory import Memory, Receipts
from worker.flows.consuming.runner import DeliveryRunner, Handler, InFlight
from worker.flows.local.broker import LocalBroker
from worker.flows.local.delivery import LocalDelivery, LocalLedger
from worker.flows.running.run_message import Run, run_queue
from worker.metrics import Metrics
from worker.state.keys import KEY_BYTES

MAX_TRIES = 12_000  # more than the retries of any run; a run that is retried uncounted for ever ends here
OnStep = Callable[[str, Outcome, Settlement, float], None]
"""Called after each step with its name, its outcome, its settlement and its seconds."""


class RunNeverEnds(WorkerError):
    """A step is retried for ever: no attempt counts."""


@dataclass
class LocalJob:
    """Implements `Job` for one step of a run that no broker carries. `settlement`: how it ended."""

    handler: Handler
    delivery: Delivery
    state: DeliveryState
    delays: tuple[float, ...]
    settlement: Settlement = field(default_factory=Ack, init=False)
    session: int = 0
    may_join: bool = False

    @property
    def key(self) -> Hashable:
        return id(self)

    async def handle(self) -> Outcome:
        return await self.handler(self.delivery, self.state)

    async def due(self, settlement: Settlement) -> Settlement:
        return settlement

    async def place(self, outcome: Outcome, settlement: Settlement) -> Settlement:  # noqa: ARG002 - the follower makes the next message
        self.settlement = settlement
        return settlement

    async def ack(self) -> None:
        """Do nothing: no queue holds the message."""

    def ended(self, settlement: Settlement | None, *, lost: bool) -> bool:  # noqa: ARG002 - it never comes again
        return False


@dataclass
class RunFollower:
    """Takes the steps of one run, and of the runs that it starts. `waits_for` always says what the run waits for, as the end of a sentence.

    `runbooks`: by name, with their handlers; all of them publish to `broker`. `pauses`: whether a step with `wait` really waits.
    """

    runbooks: Mapping[str, tuple[Runbook, Handler]]
    broker: LocalBroker
    on_step: OnStep
    clock: Clock = field(default_factory=SystemClock)
    pauses: bool = True
    waits_for: str = field(default="its first step", init=False)

    async def follow(self, run: Run) -> Ack | Bury:
        """Return the settlement of its last step, or of the first step that failed for good, in this run or in one that it started. Raises `RunNeverEnds`."""
        codec, metrics, ledger, tries = HeaderCodec(secret(KEY_BYTES)), Metrics(), LocalLedger(), 0
        queues = {run_queue(name): found for name, found in self.runbooks.items()}
        deliveries: deque[Delivery] = deque([LocalDelivery(run.message(), run_queue(run.runbook))])
        ends: list[Ack | Bury] = []
        while deliveries:
            delivery = deliveries.popleft()
            runbook, handler = queues[delivery.queue]
            step = step_of(delivery, run.runbook)
            self.waits_for = f"an answer in step {step!r}"

            def on_settled(outcome: Outcome, settlement: Settlement, _: DeliveryState, seconds: float, step: str = step) -> None:
                self.on_step(step, outcome, settlement, seconds)

            job = LocalJob(handler, delivery, codec.read(delivery), runbook.delays)
            await DeliveryRunner(runbook.name, ledger, Memory(Receipts(ledger), metrics), self.clock, metrics, InFlight(), on_settled).run(job)
            started = [LocalDelivery(message, queue) for message, queue in self.broker.waiting]
            self.broker.waiting.clear()
            match job.settlement:
                case Forward(message, queue, delay):
                    if delay and self.pauses:
                        self.waits_for = f"the end of step {step!r}, which waits {format_duration(delay)}"
                        await self.clock.sleep(delay)
                    deliveries.appendleft(LocalDelivery(message, queue))
                case Retry() as retry:
                    if (tries := tries + 1) >= MAX_TRIES:
                        raise RunNeverEnds(f"the run was given up: it waited for {self.waits_for}")
                    self.waits_for = f"the next attempt of step {step!r} in {format_duration(pause_before(retry))} ({retry.reason})"
                    await self.clock.sleep(pause_before(retry))
                    deliveries.appendleft(LocalDelivery(codec.copy(delivery.message, delivery.queue, retried(job.state, retry)), delivery.queue))
                case Ack() | Bury() as end:
                    ends.append(end)
            deliveries.extend(started)
        return next((end for end in ends if isinstance(end, Bury)), Ack())


def step_of(delivery: Delivery, main: str) -> str:
    """Return the step, with the name of its runbook where that is not the main one."""
    run = Run.read(delivery.message.body)
    return str(run.step) if run.runbook == main else f"{run.runbook}: {run.step}"


def pause_before(retry: Retry) -> float:
    """Seconds until the retry of a step."""
    return retry.delay or retry.hold or 1.0
