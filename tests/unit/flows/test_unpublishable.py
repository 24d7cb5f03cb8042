"""What no broker ever takes is not tried for ever: the record is parked, and the poll goes on."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tests.tools.evaluating import InProcess
from tests.tools.headers import CODEC
from tests.unit.flows.routes import Arrived, Impatient, subscriber
from worker.changes.detect import Change
from worker.core.errors import Unpublishable
from worker.core.health import Health
from worker.core.message import Message
from worker.core.outcome import DeadClass
from worker.core.settlement import Bury
from worker.flows.consuming.settlement_executor import ReadinessProblem, SettlementExecutor
from worker.flows.polling.emit import Emitter, ScanTally
from worker.metrics import Metrics


@dataclass
class Small:
    """A broker that takes messages of at most so many bytes."""

    most: int
    published: list[tuple[str, Message]] = field(default_factory=list)

    async def publish(self, message: Message, *, routing_key: str, exchange: str = "") -> None:
        if len(message.body) > self.most:
            raise Unpublishable(f"the message has {len(message.body)} bytes; the broker takes fewer (its max_message_size)")
        self.published.append((routing_key, message))


async def emitted(broker: Small, *records: dict[str, Any]) -> ScanTally:
    tally = ScanTally()
    emitter = Emitter(subscriber(), broker, InProcess(), Impatient(), Metrics(), "source")  # type: ignore[arg-type]
    await emitter.emit([Change("created", str(record["id"]), record, None, "aa") for record in records], "1.1", tally)
    return tally


async def test_an_event_that_is_too_large_is_parked_with_its_key_and_the_others_are_published():
    broker = Small(100)
    tally = await emitted(broker, {"id": 7, "details": "x" * 200}, {"id": 8})
    assert tally.counts == {"parked": 1, "created": 1}
    [(queue, letter)] = [each for each in broker.published if each[0] == "halo.dead.tickets"]
    assert (queue, json.loads(letter.body), letter.headers["record"], letter.headers["change"]) == ("halo.dead.tickets", {"id": 7}, "7", "created")
    assert "max_message_size" in letter.headers["dead-reason"]
    assert "only its key is kept" in letter.headers["dead-left-out"]


@dataclass
class SmallHeaders:
    """A broker that takes headers up to so many characters, as those of AMQP fit into one frame."""

    most: int
    published: list[tuple[str, Message]] = field(default_factory=list)

    async def publish(self, message: Message, *, routing_key: str, exchange: str = "") -> None:
        if sum(len(str(value)) for value in message.headers.values()) > self.most:
            raise Unpublishable("the headers do not fit into one frame")
        self.published.append((routing_key, message))


async def test_a_record_whose_key_fits_into_no_header_is_parked_and_the_others_are_published():
    """Otherwise each poll would end at this record."""
    broker = SmallHeaders(5000)
    tally = await emitted(broker, {"id": "k" * 10_000}, {"id": 8})  # type: ignore[arg-type]
    assert tally.counts == {"parked": 1, "created": 1}
    [(queue, letter), (_, event)] = broker.published
    assert (queue, len(letter.headers["record"]), len(json.loads(letter.body)["id"])) == ("halo.dead.tickets", 1000, 10_000)
    assert "only its key is kept" in letter.headers["dead-left-out"]
    assert json.loads(event.body) == {"id": 8}


async def test_a_record_that_fits_as_a_letter_is_kept_whole():
    broker = Small(10**6)
    tally = await emitted(broker, {"id": 7})
    assert (tally.counts, [queue for queue, _ in broker.published]) == ({"created": 1}, ["tickets.created"])


@dataclass
class Lowered:
    """A broker that takes no message as large as this one until its limit is raised again."""

    refusals: int
    lost: bool = False
    published: list[str] = field(default_factory=list)

    async def publish(self, message: Message, *, routing_key: str) -> None:
        self.refusals -= 1
        if self.refusals >= 0:
            raise Unpublishable("the message has 9 bytes; the broker takes fewer (its max_message_size)")
        self.published.append(routing_key)


async def test_a_letter_that_no_broker_takes_is_kept_and_told_until_it_does_and_ends_nobody():
    health, delivery = Health(), Arrived(Message(b"not json!", message_id="m1"))
    broker = Lowered(5)
    settler = SettlementExecutor("erp", "erp.assets", (), broker, CODEC, Impatient(), ReadinessProblem(health, "publisher erp"))  # type: ignore[arg-type]
    told: list[bool] = []
    health.down = lambda name, detail: told.append("max_message_size" in detail)  # type: ignore[method-assign]
    settled = await settler.place(delivery, CODEC.read(delivery), Bury(DeadClass.DECODE, "not JSON", None, 1))
    assert isinstance(settled, Bury)
    assert broker.published == ["erp.assets.dead"]
    assert told
    assert all(told)
