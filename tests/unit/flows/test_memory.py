"""Memory that messages share: bounded, in turn, never stuck, and nothing of it gets lost."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.headers import opened
from tests.tools.turns import counted_turns
from tests.tools.waiting import SOON, until
from worker.core.message import Announced, Message
from worker.flows.consuming import memory as memory_module
from worker.flows.consuming.arrivals import Arrivals
from worker.flows.consuming.memory import FREE, FREE_COMPRESSED, Memory, Pool, Receipts, Share, with_memory
from worker.metrics import Metrics

from .routes import Arrived, Ledger

MEBIBYTE = 1024 * 1024


class NoLedger:
    async def claim(self, key, owner):
        raise AssertionError

    async def knows(self, key, *, within=0.0):
        return False

    async def claimed_at(self, key):
        return None


def memory(**given_):
    return Memory(Receipts(NoLedger()), Metrics(), **({"in_flight": 8 * MEBIBYTE} | given_))


async def turns():
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_pool_gives_no_more_than_it_has():
    pool = Pool(10)
    first, second = pool.take_now(6), pool.take_now(4)
    assert first is not None
    assert second is not None
    assert pool.take_now(1) is None
    first.release()
    first.release()
    assert pool.used == 4
    assert pool.take_now(6) is not None


async def test_what_is_heavier_than_the_whole_pool_has_its_turn_alone():
    pool = Pool(10)
    small = pool.take_now(1)
    waiting = asyncio.create_task(pool.take(50))
    await turns()
    assert pool.take_now(1) is None, "nobody overtakes it, or it would wait for ever"
    small.release()
    large = await waiting
    assert pool.take_now(1) is None
    large.release()
    assert pool.used == 0


async def test_those_who_wait_are_served_in_their_order():
    pool = Pool(10)
    holder = pool.take_now(10)
    served = []

    async def taker(name, weight):
        share = await pool.take(weight)
        served.append(name)
        return share

    tasks = [asyncio.create_task(taker(name, weight)) for name, weight in (("a", 8), ("b", 1), ("c", 5))]
    await turns()
    holder.release()
    await turns()
    assert served == ["a", "b"]
    (await tasks[0]).release()
    await asyncio.gather(*tasks)
    assert served == ["a", "b", "c"]


@pytest.mark.parametrize("moment", ["waiting", "granted"])
async def test_whoever_gives_up_waiting_leaves_nothing_taken_and_holds_up_nobody(moment):
    pool = Pool(10)
    holder = pool.take_now(10)
    giving_up = asyncio.create_task(pool.take(10))
    next_one = asyncio.create_task(pool.take(10))
    await turns()
    if moment == "granted":
        holder.release()  # its turn has come, and it does not know yet
    giving_up.cancel()
    await asyncio.gather(giving_up, return_exceptions=True)
    holder.release()
    async with asyncio.timeout(SOON):
        (await next_one).release()
    assert (pool.used, pool.waiting) == (0, 0)


@given(st.lists(st.tuples(st.integers(1, 30), st.booleans()), max_size=40))
def test_everybody_gets_a_turn_and_the_pool_is_never_overdrawn_but_by_one_alone(takers):
    async def run():
        pool, most, alone = Pool(10), 0, 0

        async def take(weight, gives_up):
            nonlocal most, alone
            try:
                async with asyncio.timeout(0 if gives_up else None):
                    share = await pool.take(weight)
            except TimeoutError:
                return
            if pool.used > 10:
                assert pool.used == weight
                alone += 1
            else:
                most = max(most, pool.used)
            await asyncio.sleep(0)
            share.release()

        async with asyncio.timeout(SOON):
            await asyncio.gather(*(take(weight, gives_up) for weight, gives_up in takers))
        assert (pool.used, pool.waiting) == (0, 0)

    asyncio.run(run())


async def test_small_bodies_do_not_wait_for_large_ones_and_the_smallest_for_none():
    shared = memory()
    while shared.body_now(4 * MEBIBYTE) is not None:
        pass
    assert shared.body_now(MEBIBYTE) is not None
    while shared.body_now(MEBIBYTE) is not None:
        pass
    assert all(shared.body_now(FREE) is not None for _ in range(1000))


def arriving(shared, size, message_id="m", *, redelivered=False):
    return Announced(size, message_id, redelivered)


async def test_a_body_that_is_too_large_is_not_kept_and_takes_no_memory():
    shared = memory(largest=MEBIBYTE)
    assert not Arrivals(shared).keep(arriving(shared, MEBIBYTE + 1))
    assert shared.body_now(6 * MEBIBYTE) is not None


async def test_memory_for_a_body_goes_to_the_delivery_that_has_it():
    shared = memory()
    arrivals = Arrivals(shared)
    assert arrivals.keep(arriving(shared, 3 * MEBIBYTE))
    share = arrivals.share_of(Arrived(Message(b"x" * 3 * MEBIBYTE)))
    assert share.weight == 3 * MEBIBYTE
    assert arrivals.share_of(Arrived(Message(b"x" * 3 * MEBIBYTE))).weight == 0
    share.release()
    assert shared.body_now(6 * MEBIBYTE) is not None


async def test_what_was_on_its_way_when_its_channel_closed_leaves_nothing_taken():
    shared = memory()
    arrivals = Arrivals(shared)
    assert arrivals.keep(arriving(shared, 3 * MEBIBYTE))
    share = await shared.body(3 * MEBIBYTE)
    arrivals.reserve(Arrived(Message(b"", message_id="m")), Unreadable(3 * MEBIBYTE), share)
    arrivals.close()
    assert shared.body_now(6 * MEBIBYTE) is not None
    assert not arrivals.keep(arriving(shared, 40_000))


async def test_memory_that_is_set_aside_for_one_message_is_taken_by_no_other():
    shared = memory()
    arrivals = Arrivals(shared)
    share = await shared.body(6 * MEBIBYTE)
    reserved = arrivals.reserve(Arrived(Message(b"", message_id="mine")), Unreadable(6 * MEBIBYTE), share)
    assert not arrivals.keep(arriving(shared, 6 * MEBIBYTE, "another", redelivered=True))
    assert not arrivals.keep(arriving(shared, 6 * MEBIBYTE, "mine", redelivered=False))
    assert not reserved.arrived.is_set()
    assert arrivals.keep(arriving(shared, 6 * MEBIBYTE, "mine", redelivered=True))
    assert reserved.arrived.is_set()


class Unreadable:
    def __init__(self, size):
        self.size = size
        self.digest = b""


async def test_what_waits_for_long_is_told_with_what_it_waits_for(monkeypatch, capsys):
    monkeypatch.setattr("worker.waits.LOG_AFTER", 0.01)
    shared = memory()
    held = await shared.work(8 * MEBIBYTE)
    waiting = asyncio.create_task(shared.work(8 * MEBIBYTE))
    told = ""

    async def told_so():
        nonlocal told
        told += capsys.readouterr().out
        return "message.waiting" in told

    await until(told_so)
    assert "memory to be worked on" in told
    held.release()
    (await waiting).release()


async def test_a_wait_for_memory_that_is_cancelled_leaves_nothing_taken():
    shared = memory()
    held = await shared.work(8 * MEBIBYTE)
    waiting = asyncio.create_task(shared.work(8 * MEBIBYTE))
    await turns()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    held.release()
    await turns()
    assert isinstance(shared.work_now(8 * MEBIBYTE), Share)


class Receiving(NoLedger):
    def __init__(self):
        self.claimed = []

    async def claim(self, key, owner):
        self.claimed.append(key)


async def test_the_work_on_a_message_waits_for_memory_with_a_receipt_that_was_left_before():
    ledger, began = Receiving(), []
    shared = Memory(Receipts(ledger), Metrics(), in_flight=8 * MEBIBYTE)

    async def run():
        began.append(True)

    held = await shared.work(8 * MEBIBYTE)
    waiting = asyncio.create_task(with_memory(shared, Arrived(Message(b'"%b"' % (b"x" * 2 * MEBIBYTE), message_id="1")), run))

    async def left():
        return len(ledger.claimed)

    assert await until(left) == 1, "it is measured in a thread before"
    assert began == []
    held.release()
    await waiting
    assert began == [True]


async def test_between_two_large_bodies_the_loop_gets_turns_for_everybody_else():
    shared, began = memory(), []

    async def run():
        began.append(turn())

    large = Arrived(Message(b" " * (FREE + 1), message_id="1"))
    async with counted_turns() as turn:
        await asyncio.gather(*(with_memory(shared, large, run) for _ in range(5)))
    assert min(later - earlier for earlier, later in itertools.pairwise(began)) >= 4, "an answer of /livez takes three"


async def test_between_two_bodies_that_are_unpacked_to_be_measured_the_loop_gets_turns_for_everybody_else(monkeypatch):
    shared, measured = memory(), []

    def measure(body, encoding, limit):
        measured.append(turn())
        return len(body), 1

    async def run():
        """Nothing: the measuring is what takes time."""

    monkeypatch.setattr(memory_module, "measure", measure)
    packed = Arrived(Message(b" " * (FREE_COMPRESSED + 1), message_id="1", content_encoding="gzip"))
    async with counted_turns() as turn:
        await asyncio.gather(*(with_memory(shared, packed, run) for _ in range(5)))
    assert min(later - earlier for earlier, later in itertools.pairwise(measured)) >= 4, "an answer of /livez takes three"


@pytest.mark.parametrize("message", [Message(b" " * (FREE + 1), message_id="1"), Message(b"packed", message_id="1", content_encoding="gzip")])
async def test_the_receipt_of_whatever_may_have_waited_for_memory_is_looked_for(message):
    delivery = Arrived(message, redelivered=True)
    receipts = Receipts(Ledger())
    assert not (await receipts.read(delivery, opened(delivery))).remembered
    await receipts.leave(delivery)
    assert (await receipts.read(delivery, opened(delivery))).remembered
