"""What the trace says of an event: published when it went out, before any route can have received it."""

from __future__ import annotations

from itertools import count

import orjson

from tests.tools.evaluating import InProcess
from tests.tools.headers import CODEC
from tests.unit.flows.routes import Impatient, subscriber
from worker.changes.detect import Change
from worker.core.message import Message
from worker.core.trace import Note
from worker.flows.polling.emit import Emitter, ScanTally
from worker.metrics import Metrics
from worker.state.trace_stream import TraceRecorder


class Ticking(Impatient):
    """Each look at it comes a second later."""

    def __init__(self) -> None:
        self._seconds = count(1.0)

    def now(self) -> float:
        return next(self._seconds)


async def test_a_published_event_stands_before_its_arrival_though_its_confirm_came_after_it():
    clock = Ticking()
    recorder = TraceRecorder(CODEC, clock, Metrics())

    class Quick:
        async def publish(self, message: Message, **_: str) -> None:
            recorder.note(Note("received", "erp", message.message_id))

    emitter = Emitter(subscriber(), Quick(), InProcess(), clock, Metrics(), "source", recorder)  # type: ignore[arg-type]
    await emitter.emit([Change("created", "7", {"id": 7}, None, "aa")], "1.1", ScanTally())
    assert [note["e"] for note in sorted(map(orjson.loads, recorder._notes), key=lambda note: note["t"])] == ["seen", "published", "received"]
