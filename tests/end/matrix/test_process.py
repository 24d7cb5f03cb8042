"""The worker's own process is killed, stands still or gets nothing from its machine: rows 19, 28, 64 and 65."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from tests.chaos.points import ACK
from tests.end.matrix.conftest import creating
from tests.tools.proxy import through_proxy
from tests.tools.sizes import first
from tests.tools.waiting import soon, until
from worker.core.topology import dead_queue
from worker.sandbox.faults import Fault, FaultKind

LIMIT = 2
POISONOUS = {
    "x-queue-type": "quorum", "x-delivery-limit": LIMIT, "x-overflow": "reject-publish",
    "x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead_queue("assets"), "x-dead-letter-strategy": "at-least-once",
}  # fmt: skip


async def test_a_message_that_kills_whoever_takes_it_is_buried_and_its_neighbours_are_done(case, stage):
    """Row 19: a worker dies at once each time that it is handed the second of three."""
    await case.other.declare_as("assets", POISONOUS)
    keys = await case.create(3)
    kills = 0
    async with through_proxy(case.url) as (proxied, proxy):
        for life in range(LIMIT + 1):
            seen = asyncio.Event()
            proxy.watch = lambda data, up, seen=seen: up or keys[1].encode() not in data or bool(seen.set())
            worker = await stage.start(creating(case.halo, concurrency=1, declare=False), amqp_url=proxied, ready=False, name=f"life-{life}", **case.quick)
            await soon(seen.wait())
            await worker.kill()
            kills += 1
        proxy.watch = None
        worker = await stage.start(amqp_url=proxied, name="last", **case.quick)
        await until(lambda: is_there(case.other, dead_queue("assets")))
        await until(lambda: all_created(case, {keys[0], keys[2]}))
        (letter,) = await case.other.drain(dead_queue("assets"))
        assert letter.body["payload"]["inventory_number"] == keys[1]
        assert letter.headers["x-death"][0]["reason"] == "delivery_limit"
        case.sent = [sent for sent in case.sent if sent.key != keys[1]]
        await case.judged(worker, died=kills == LIMIT + 1)


async def is_there(other, queue):
    return await other.depth(queue) == 1


async def all_created(case, keys):
    return set(case.created()) == keys


async def test_a_worker_that_dies_before_its_post_goes_out_leaves_the_create_to_the_next(case, stage):
    """Row 28: the request was begun and nothing of it arrived."""
    async with through_proxy(case.halo.url) as (halo_url, proxy):
        leaves = asyncio.Event()
        proxy.watch = lambda data, up: not (up and b"POST /api/" in data and not leaves.set()) and not (up and leaves.is_set())
        definition = creating(case.halo, client={"url": halo_url.rstrip("/"), "timeout": "1s"})
        worker = await stage.start(definition, **case.quick)
        await case.create(1)
        await soon(leaves.wait())
        await worker.kill()
        proxy.watch = None
        again = await stage.start(name="again", **case.quick)
        await case.done()
        await case.judged(again, nothing_arrived_of_the_first=len(case.halo.journal.received("POST", "/Asset")) == 1)


@pytest.mark.parametrize("lost", first(1, ["the copy", "the ack"]))
async def test_a_worker_that_dies_while_it_puts_a_message_aside_leaves_it_whole(case, stage, lost):
    """Rows 27 and 28, at the broker: of the copy for the retry queue and the ack of the message one does not arrive. The create was not executed."""
    case.halo.fault(Fault(FaultKind.ANSWER, "POST", "/Asset", status=500))
    placed, died = asyncio.Event(), asyncio.Event()

    def watch(data: bytes, up: bool) -> bool:
        if up and b"halo-retry-reason" in data:
            placed.set()
        if up and placed.is_set() and (lost == "the copy" or ACK in data):
            died.set()
        return not died.is_set()

    async with through_proxy(case.url) as (proxied, proxy):
        worker = await stage.start(creating(case.halo, retry=["500ms", "1s"], client={"timeout": "1s"}), amqp_url=proxied, **case.quick)
        proxy.watch = watch
        await case.create(1)
        await soon(died.wait())
        await worker.kill()
        proxy.watch = None
        again = await stage.start(name="again", **case.quick)
        await case.done()
        await case.judged(again, put_aside=placed.is_set())


async def test_a_worker_that_stood_still_comes_back_and_has_doubled_nothing(case, stage):
    """Row 64: nothing answers meanwhile, liveness included, and the broker gives up on it."""
    case.halo.settings = type(case.halo.settings)(**(vars(case.halo.settings) | {"create_seconds": 0.1}))
    worker = await stage.start(creating(case.halo, client={"timeout": "2s"}), **case.quick)
    await case.create(10)
    await until(lambda: some_created(case, 3))
    worker.signal(signal.SIGSTOP)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(worker.get("/livez"), 5)
    worker.signal(signal.SIGCONT)
    await worker.logged("broker.lost")
    await worker.ready()
    await case.done()
    alive, _ = await worker.get("/livez")
    await case.judged(worker, alive_again=alive == 200)


async def some_created(case, many):
    return len(case.created()) >= many


async def test_without_file_descriptors_it_says_so_and_goes_on_when_there_are_some_again(case, stage):
    """Row 65: no connection can be made, neither to the broker nor to Halo."""
    async with through_proxy(case.url) as (proxied, to_broker), through_proxy(case.halo.url) as (halo_url, to_halo):
        definition = creating(case.halo, client={"url": halo_url.rstrip("/"), "timeout": "1s"})
        worker = await stage.start(definition, amqp_url=proxied, **case.quick)
        await case.create(3)
        await case.done()
        soft, hard = resource.prlimit(worker.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(worker.process.pid, resource.RLIMIT_NOFILE, (3, hard))
        to_halo.reset()
        await case.create(3)
        down = await worker.logged("client.down")
        to_broker.reset()
        told = await worker.logged("broker.unreachable")
        resource.prlimit(worker.process.pid, resource.RLIMIT_NOFILE, (soft, hard))
        await worker.ready()
        await case.done()
        await case.judged(worker, named="open files" in told["reason"] and "open files" in down["reason"])


async def test_it_writes_no_file(case, stage):
    """Row 65: a full disk or a read-only one cannot harm what writes nothing but its log to standard output."""
    worker = await stage.start(creating(case.halo, watching=True), **case.quick)
    await case.create(3)
    await case.done()
    files = written(worker.process.pid)
    await case.judged(worker, no_file_but_the_log=files == {str(worker.output)})


def written(pid):
    """The regular files that a process has open for writing."""
    files = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            flags = int(Path(f"/proc/{pid}/fdinfo/{link.name}").read_text().split("flags:")[1].split()[0], 8)
            if flags & (os.O_WRONLY | os.O_RDWR) and link.resolve().is_file():
                files.add(str(link.resolve()))
    return files
