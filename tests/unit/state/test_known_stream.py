"""The stream of known records: what the baton refers to is read back, and nothing else."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.tools.silent_stream import Silent
from tests.tools.waiting import until
from worker.broker.memory import MemoryBroker, MemoryServer, attach
from worker.core.errors import ChannelLost
from worker.core.topology import Topology, known_stream, stream
from worker.state.baton import KnownRef
from worker.state.known_stream import KnownLost, KnownStream
from worker.state.record_index import RecordIndex


@pytest.fixture(autouse=True)
def short_silence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("worker.state.known_stream.SILENCE", 0.05)


def knowing(count: int, digest: str = "0123456789abcdef") -> RecordIndex:
    known = RecordIndex()
    for number in range(count):
        known.put(str(number), digest, f"s{number}")
    return known


async def test_a_subscriber_that_never_wrote_knows_nothing(declared: MemoryBroker):
    assert await KnownStream(declared, "tickets").load(KnownRef()) == RecordIndex()


async def test_what_was_saved_is_loaded(declared: MemoryBroker):
    known = knowing(12)
    known.miss(["3", "4"])
    known.forget(["5"])
    ref = await KnownStream(declared, "tickets").save(KnownRef(), known, seen=None, scan_ended=True)
    assert ref.size == 11
    assert await KnownStream(declared, "tickets").load(ref) == known


async def test_turn_after_turn_adds_up(declared: MemoryBroker):
    known, ref = RecordIndex(), KnownRef()
    for turn in range(20):
        known.put(str(turn % 7), str(turn), f"m{turn}")
        known.miss([str((turn + 3) % 7)])
        known.forget([str((turn + 1) % 5)])
        ref = await KnownStream(declared, "tickets").save(ref, known, seen=None, scan_ended=True)
        assert await KnownStream(declared, "tickets").load(ref) == known


async def test_a_turn_that_changed_nothing_writes_nothing(declared: MemoryBroker):
    flow = KnownStream(declared, "tickets")
    known = knowing(3)
    ref = await flow.save(KnownRef(), known, seen=None, scan_ended=True)
    assert await flow.save(ref, known, seen=None, scan_ended=True) == ref
    assert await declared.queue_depth(known_stream("tickets")) == 1


async def test_what_a_holder_wrote_whose_baton_was_not_taken_is_as_if_never_written(declared: MemoryBroker):
    known = knowing(3)
    ref = await KnownStream(declared, "tickets").save(KnownRef(), known, seen=None, scan_ended=True)
    other = await KnownStream(declared, "tickets").load(ref)
    other.put("0", "lost")
    other.forget(["1"])
    await KnownStream(declared, "tickets").save(ref, other, seen=["2"], scan_ended=False)  # its baton never became the subscriber's
    known.put("2", "kept")
    ref = await KnownStream(declared, "tickets").save(ref, known, seen=None, scan_ended=True)
    assert await KnownStream(declared, "tickets").load(ref) == known


async def test_what_an_unfinished_scan_has_met_is_there_for_the_next_turn_and_gone_at_its_end(declared: MemoryBroker):
    known = knowing(3)
    known.seen.update({"0", "1"})
    flow = KnownStream(declared, "tickets")
    ref = await flow.save(KnownRef(), known, seen=known.seen, scan_ended=False)
    assert (await flow.load(ref)).seen == {"0", "1"}
    known.seen.add("2")
    ref = await flow.save(ref, known, seen=known.seen, scan_ended=False)
    assert (await flow.load(ref)).seen == {"0", "1", "2"}
    ref = await flow.save(ref, known, seen=None, scan_ended=True)
    assert (await flow.load(ref)).seen == set()


async def test_after_enough_deltas_a_snapshot_begins_a_new_chain_that_is_read_from_its_own_offset(declared: MemoryBroker, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("worker.state.known_stream.SNAPSHOT_AFTER", 2_000)
    known, ref, flow = knowing(50), KnownRef(), KnownStream(declared, "tickets")
    offsets = set()
    for turn in range(60):
        known.put(str(turn % 50), f"turn {turn}", f"s{turn}")
        known.miss([str(turn % 9)])
        known.seen.add(str(turn))
        ref = await flow.save(ref, known, seen=known.seen if turn % 2 else None, scan_ended=False)
        offsets.add(ref.offset)
        loaded = await flow.load(ref)
        assert (loaded.hashes, loaded.missing) == (known.hashes, known.missing)
    assert len(offsets) > 3
    assert ref.appended <= max(2_000, ref.snapshot)


async def test_a_snapshot_keeps_what_the_scan_under_way_has_met(declared: MemoryBroker, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("worker.state.known_stream.SNAPSHOT_AFTER", 10)
    known = knowing(30)
    known.seen.update({"0", "1"})
    ref = await KnownStream(declared, "tickets").save(KnownRef(), known, seen=known.seen, scan_ended=False)
    assert ref.snapshot > 0
    assert await KnownStream(declared, "tickets").load(ref) == known


async def test_a_snapshot_while_another_holder_writes_is_read_from_the_right_place(declared: MemoryBroker, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("worker.state.known_stream.SNAPSHOT_AFTER", 10)
    known, flow = knowing(30), KnownStream(declared, "tickets")
    append = flow._append

    async def with_another(ref: KnownRef, documents: object) -> KnownRef:
        done = await append(ref, documents)  # type: ignore[arg-type]
        await append(KnownRef(), [{"put": {"foreign": "x"}}])
        return done

    monkeypatch.setattr(flow, "_append", with_another)
    ref = await flow.save(KnownRef(), known, seen=None, scan_ended=True)
    assert ref.offset > 0
    assert await KnownStream(declared, "tickets").load(ref) == known


async def test_a_stream_that_was_purged_is_known_to_be_lost(server: MemoryServer, declared: MemoryBroker):
    ref = await KnownStream(declared, "tickets").save(KnownRef(), knowing(3), seen=None, scan_ended=True)
    server.delete_queue(known_stream("tickets"))
    await declared.declare(Topology(queues=(stream(known_stream("tickets"), 10_000, 1_000),)))
    with pytest.raises(KnownLost, match="deleted, purged or cut"):
        await KnownStream(declared, "tickets").load(ref)


@pytest.mark.parametrize("consumers", [1, 2])
async def test_a_stream_that_keeps_back_what_it_holds_is_not_taken_for_lost(declared: MemoryBroker, consumers: int):
    """A subscriber that starts anew would lose changes in silence."""
    known = knowing(3)
    ref = await KnownStream(declared, "tickets").save(KnownRef(), known, seen=None, scan_ended=True)
    with pytest.raises(ChannelLost, match="did not deliver all"):
        await KnownStream(Silent(declared, consumers), "tickets").load(ref)  # type: ignore[arg-type]
    assert await KnownStream(declared, "tickets").load(ref) == known


async def test_a_stream_cut_by_its_size_is_known_to_be_lost(server: MemoryServer, broker: MemoryBroker):
    await broker.declare(Topology(queues=(stream(known_stream("tickets"), 3_000, 1_000),)))
    known, ref, flow = RecordIndex(), KnownRef(), KnownStream(broker, "tickets")
    for turn in range(60):
        known.put(str(turn), "0123456789abcdef")
        ref = await flow.save(ref, known, seen=None, scan_ended=True)
    with pytest.raises(KnownLost, match="cut by its size"):
        await flow.load(ref)


async def test_a_connection_that_dies_while_reading_is_no_lost_stream(server: MemoryServer, declared: MemoryBroker, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("worker.state.known_stream.SILENCE", 5)
    ref = await KnownStream(declared, "tickets").save(KnownRef(), knowing(3), seen=None, scan_ended=True)
    async with attach(server, "two") as other:
        loading = asyncio.ensure_future(KnownStream(other, "tickets").load(replace(ref, last="not yet there")))

        async def reading() -> bool:
            return bool(server.queue(known_stream("tickets"))._consumers)  # type: ignore[union-attr]

        await until(reading)
        other.lose("the connection was cut")
        with pytest.raises(ChannelLost):
            await loading


async def test_another_subscribers_last_is_not_found(declared: MemoryBroker):
    ref = await KnownStream(declared, "tickets").save(KnownRef(), knowing(3), seen=None, scan_ended=True)
    with pytest.raises(KnownLost):
        await KnownStream(declared, "tickets").load(replace(ref, last="somebody"))


async def test_a_hundred_thousand_records_come_back(declared: MemoryBroker):
    known, flow = knowing(100_000), KnownStream(declared, "tickets")
    ref = await flow.save(KnownRef(), known, seen=None, scan_ended=True)
    known.put("7", "other")
    ref = await flow.save(ref, known, seen=None, scan_ended=True)
    loaded = await flow.load(ref)
    assert loaded.hashes == known.hashes
