"""Notes are written in batches and read back; a broker that is away costs notes, and holds nobody up."""

from __future__ import annotations

import orjson
import pytest

from worker.core.clock import SystemClock
from worker.core.errors import ChannelLost
from worker.core.header_codec import HeaderCodec
from worker.core.message import Message
from worker.core.topology import TRACE, trace_topology
from worker.core.trace import IDS, LONGEST, Note
from worker.metrics import Metrics
from worker.state import trace_stream
from worker.state.trace_stream import MOST, TraceRecorder, encoded, read_notes, write_notes

CODEC = HeaderCodec(b"k" * 32)


@pytest.fixture
def recorder(monkeypatch):
    monkeypatch.setattr(trace_stream, "EVERY", 0.0)
    return TraceRecorder(CODEC, SystemClock(), Metrics())


def dropped(recorder):
    return recorder._metrics.trace_dropped._value.get()


async def notes_of(broker):
    return [note for batch in await read_notes(broker, CODEC) for note in orjson.loads(batch)]


async def test_what_is_noted_is_read_back_in_order_also_what_was_noted_last(recorder, broker):
    await broker.declare(trace_topology())
    recorder.note(Note("received", "r", "m0"))
    async with recorder.attached(broker):
        for number in range(1, 1200):
            recorder.note(Note("received", "r", f"m{number}"))
    found = await notes_of(broker)
    assert [note["m"] for note in found] == [f"m{number}" for number in range(1200)]
    assert dropped(recorder) == 0
    await write_notes(broker, CODEC, [(1.0, Note("replayed", "r", "m1"))])
    assert (await notes_of(broker))[-1] == {"v": 1, "t": 1.0, "e": "replayed", "r": "r", "m": "m1"}


def test_a_note_that_json_cannot_hold_is_dropped_and_counted_and_fails_no_caller(recorder):
    recorder.note(Note("passed", "r", "m0", more=(("way", "half \ud800"),)))
    assert dropped(recorder) == 1
    assert not recorder._notes


async def test_without_the_stream_nothing_is_read_or_written(broker):
    await write_notes(broker, CODEC, [(1.0, Note("replayed", "r", "m1"))])
    assert await read_notes(broker, CODEC) == []
    assert not await broker.queue_exists(TRACE)


async def test_what_is_noted_while_notes_are_written_is_gathered_for_the_next_time(recorder):
    """A publish takes about as long as a message under load: each message would otherwise have one of its own."""
    published = []

    class Slow:
        async def publish(self, message, **_):
            published.append(len(orjson.loads(message.body)))
            if len(published) < 10:
                recorder.note(Note("received", "r", "meanwhile"))

    for number in range(3):
        recorder.note(Note("received", "r", f"m{number}"))
    await recorder._flush(Slow())
    assert published == [3]
    await recorder._flush(Slow())
    assert published == [3, 1]


async def test_notes_that_no_worker_wrote_are_no_part_of_a_story_and_are_logged(broker, capsys):
    await broker.declare(trace_topology())
    forged = [(1.0, Note("done", "r", "m1"))]
    await broker.publish(Message(encoded(forged)), routing_key=TRACE)
    await broker.publish(HeaderCodec(b"x" * 32).sign(Message(encoded(forged)), TRACE), routing_key=TRACE)
    await broker.publish(CODEC.sign(Message(encoded(forged)), "another.queue"), routing_key=TRACE)
    assert await notes_of(broker) == []
    assert "trace.refused" in capsys.readouterr().out
    await write_notes(broker, CODEC, [(2.0, Note("received", "r", "m1"))])
    assert [note["e"] for note in await notes_of(broker)] == ["received"]


async def test_a_broker_that_takes_nothing_costs_the_notes_and_raises_nothing(recorder):
    class Away:
        async def publish(self, message, **_):
            raise ChannelLost("away")

    recorder.note(Note("received", "r", "m1"))
    async with recorder.attached(Away()):
        recorder.note(Note("received", "r", "m2"))
    assert dropped(recorder) >= 1


async def test_without_a_broker_the_oldest_notes_are_dropped_and_counted(recorder):
    for number in range(MOST + 5):
        recorder.note(Note("received", "r", f"m{number}"))
    assert dropped(recorder) == 5


def test_a_note_holds_ids_and_no_empty_members_and_long_ids_are_cut():
    [told] = orjson.loads(encoded([(1.2345678, Note("written", "r", "m" * 500, "\ud800", "asset", tuple("i" * 40), (("status", 201), ("delay", None))))]))
    assert told == {"v": 1, "t": 1.234568, "e": "written", "r": "r", "m": "m" * LONGEST, "c": "?", "s": "asset", "i": ["i"] * IDS, "status": 201}
