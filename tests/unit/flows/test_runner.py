"""The one outermost frame: what the ledger learns with a settlement, and when."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.unit.flows.routes import Arrived, Impatient, Ledger
from worker.core.delivery_state import DeliveryState
from worker.core.errors import ChannelLost
from worker.core.ledger import LedgerEntry, once_released
from worker.core.message import Message
from worker.core.outcome import DeadClass, Done, NotSent, Outcome, Refused
from worker.core.settlement import Bury, Retry, Settlement
from worker.flows.consuming.memory import Memory, Receipts
from worker.flows.consuming.runner import DeliveryRunner, InFlight
from worker.metrics import Metrics

RELEASE = LedgerEntry(once_released("assets", 0, "K"), "m1")


@dataclass
class ScriptedJob:
    """Ends with this outcome. `placed`: what the ledger knew when its copy was placed; `instead`: what is carried out in place of the settlement."""

    outcome: Outcome
    ledger: Ledger
    instead: Settlement | None = None
    lost: bool = False
    known: list[bool] = field(default_factory=list)
    ended_with: list[tuple[Any, bool]] = field(default_factory=list)
    delivery: Arrived = field(default_factory=lambda: Arrived(Message(b"{}", message_id="m1")))
    state: DeliveryState = field(default_factory=lambda: DeliveryState("m1", "m1"))
    key: str = "m1"
    session: int = 1
    delays: tuple[float, ...] = ()
    may_join: bool = False

    async def handle(self) -> Outcome:
        return self.outcome

    async def due(self, settlement: Settlement) -> Settlement:
        if self.lost:
            raise ChannelLost("gone")
        return settlement

    async def place(self, outcome: Outcome, settlement: Settlement) -> Settlement:
        self.known.append(RELEASE.key in self.ledger.owners)
        return self.instead or settlement

    async def ack(self) -> None:
        """Nothing is behind it."""

    def ended(self, settlement: Settlement | None, *, lost: bool) -> bool:
        self.ended_with.append((settlement, lost))
        return lost


async def owned(job: ScriptedJob) -> list[Settlement]:
    reported: list[Settlement] = []
    memory, metrics = Memory(Receipts(job.ledger), Metrics()), Metrics()
    runner = DeliveryRunner("assets", job.ledger, memory, Impatient(), metrics, InFlight(), lambda _, settlement, *__: reported.append(settlement))
    await runner.run(job)
    return reported


async def test_the_ledger_learns_of_a_dead_letter_before_it_can_be_replayed():
    job = ScriptedJob(Refused(DeadClass.REJECTED, "no", release=RELEASE), Ledger())
    [settlement] = await owned(job)
    assert isinstance(settlement, Bury)
    assert job.known == [True]


async def test_the_ledger_learns_of_a_retry_that_no_broker_takes_and_that_becomes_a_dead_letter():
    job = ScriptedJob(NotSent("away", counted=False, release=RELEASE), Ledger(), instead=Bury(DeadClass.DECODE, "too large", None, 1, release=RELEASE))
    await owned(job)
    assert (job.known, RELEASE.key in job.ledger.owners) == ([False], True)


@pytest.mark.parametrize("outcome", [Done(), NotSent("away", counted=False, release=RELEASE)])
async def test_the_ledger_learns_nothing_of_a_message_that_is_no_dead_letter(outcome: Outcome):
    job = ScriptedJob(outcome, Ledger())
    [settlement] = await owned(job)
    assert isinstance(settlement, Retry) or isinstance(outcome, Done)
    assert job.ledger.owners == {}


async def test_a_ledger_that_is_lost_keeps_no_message_from_being_settled():
    job = ScriptedJob(Refused(DeadClass.REJECTED, "no", release=RELEASE), Ledger(lost=True))
    assert len(await owned(job)) == 1


async def test_what_is_handed_out_again_is_not_reported_and_its_result_is_kept():
    job = ScriptedJob(Done(), Ledger(), lost=True)
    assert await owned(job) == []
    assert job.ended_with == [(None, True)]
