"""Follows a run of a runbook from step to step in this process, without a broker."""

from __future__ import annotations

from collections.abc import Callable, Hashable
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
from worker.flows.local.delivery import LocalDelivery, LocalLedger
from worker.flows.running.run_message import Run, run_queue
from worker.metrics import Metrics
from worker.state.keys import KEY_BYTES

MOST_TURNS = 12_000  # more than the steps of any run with its retries; a run that is retried uncounted for ever ends here
Told = Callable[[str, Outcome, Settlement, float], None]
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
    may_adopt: bool = False

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
        """There is no queue to take it off."""

    def ended(self, settlement: Settlement | None, *, lost: bool) -> bool:  # noqa: ARG002 - it never comes again
        return False


@dataclass
class RunFollower:
    """Takes the steps of one run. `waits_for` says at any time what the run waits for, as the end of a sentence."""

    runbook: Runbook
    handler: Handler
    told: Told
    clock: Clock = field(default_factory=SystemClock)
    waits_for: str = field(default="its first step", init=False)

    async def follow(self, run: Run) -> Ack | Bury:
        """The settlement of the last step. Raises `RunNeverEnds`."""
        queue, codec, metrics, ledger = run_queue(self.runbook.name), HeaderCodec(secret(KEY_BYTES)), Metrics(), LocalLedger()
        delivery: Delivery = LocalDelivery(run.message(), queue)

        def tell(outcome: Outcome, settlement: Settlement, _: DeliveryState, seconds: float) -> None:
            self.told(step_of(delivery), outcome, settlement, seconds)

        runner = DeliveryRunner(self.runbook.name, ledger, Memory(Receipts(ledger), metrics), self.clock, metrics, InFlight(), tell)
        for _ in range(MOST_TURNS):
            self.waits_for = f"an answer in step {step_of(delivery)!r}"
            job = LocalJob(self.handler, delivery, codec.read(delivery), self.runbook.delays)
            await runner.own(job)
            match job.settlement:
                case Forward(message, _):
                    delivery = LocalDelivery(message, queue)
                case Retry() as retry:
                    self.waits_for = f"the next attempt of step {step_of(delivery)!r} in {format_duration(pause_before(retry))} ({retry.reason})"
                    await self.clock.sleep(pause_before(retry))
                    delivery = LocalDelivery(codec.copy(delivery.message, queue, retried(job.state, retry)), queue)
                case Ack() | Bury() as end:
                    return end
        raise RunNeverEnds(f"the run was given up: it waited for {self.waits_for}")


def step_of(delivery: Delivery) -> str:
    return str(Run.read(delivery.message.body).step)


def pause_before(retry: Retry) -> float:
    """Seconds until the retry of a step."""
    return retry.delay or retry.hold or 1.0
