"""Creates whose replicas are stopped, cut off or killed at the worst moment: one record each, and what was never sent is not parked."""

from __future__ import annotations

import asyncio
import select
import signal
import socket
import time
from contextlib import asynccontextmanager

import pytest
from yarl import URL

from tests.tools.job import publisher, routes
from tests.tools.proxy import Proxy, through_proxy
from tests.tools.sizes import first
from tests.tools.waiting import SOON, soon, until
from worker.flows.writes.attempt import SEND_WITHIN
from worker.sandbox.faults import Fault, FaultKind

FIND = {"query": {"search": "{{ payload.inventory_number }}"}, "match": {"inventory_number": "{{ payload.inventory_number }}"}}
HEARTBEAT = 1
CLAIM = b'"owner"'


def created(halo):
    return sorted(halo.store.get("asset", key)["inventory_number"] for key in halo.journal.created("/Asset"))


async def send(other, serial="SN-1"):
    await other.send({"payload": {"inventory_number": serial}})


async def true(condition, within=SOON):
    async def asked():
        return condition()

    await until(asked, within)


@asynccontextmanager
async def closed_door(url):
    """An address in front of Halo where nobody gets a connection until it is opened: the system itself keeps them waiting."""
    halo = URL(url)
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen(0)
        port = door.getsockname()[1]
        waiting = []
        while not waiting or not is_stuck(waiting[-1]):
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(("127.0.0.1", port))
        opened = asyncio.Event()
        proxy = Proxy(halo.host, halo.port)

        async def serve():
            await opened.wait()
            for each in waiting:
                each.close()
            await (await asyncio.start_server(proxy.serve, sock=door)).serve_forever()

        serving = asyncio.create_task(serve())
        try:
            yield f"http://127.0.0.1:{port}", opened.set
        finally:
            serving.cancel()
            await asyncio.gather(serving, proxy.close(), return_exceptions=True)


def is_stuck(connecting):
    """Whether the system does not answer it."""
    return not select.select([], [connecting], [], 0.2)[1]


async def test_a_replica_that_was_stopped_while_it_claimed_sends_nothing_when_it_goes_on(halos, stage, amqp_url, other):
    """Its claim goes out and the answer is held back; it wakes up when another replica has long dealt with the message."""
    halo = await halos()
    held = asyncio.Event()

    def watch(data, up):
        if up and CLAIM in data and not held.is_set():
            proxy.hold(up=False)
            held.set()
        return True

    async with through_proxy(amqp_url) as (url, proxy):
        definition = routes(halo, publishers={"erp": publisher(find=FIND)}, timeout="1s")
        first = await stage.start(definition, name="first", heartbeat=HEARTBEAT, amqp_url=url)
        proxy.watch = watch
        await send(other)
        await soon(held.wait())
        first.signal(signal.SIGSTOP)
        await stage.start(name="second", heartbeat=HEARTBEAT)  # it gets the message when the broker misses the heartbeats of the first
        await true(lambda: created(halo) == ["SN-1"])
        first.signal(signal.SIGCONT)
        proxy.release()
        await first.logged("broker.lost")
        await first.ready()
    assert created(halo) == ["SN-1"]
    assert await other.depth("assets.dead") == 0


async def test_a_replica_that_was_stopped_between_its_claim_and_its_post_does_not_send_it_any_more(halos, stage, amqp_url, other):
    """It has the right to send and waits for a connection to Halo, which is there when it wakes up a while later: by then somebody may have sent the message."""
    halo = await halos()
    claimed = asyncio.Event()

    def watch(data, up):
        if up and CLAIM in data:
            claimed.set()
        return True

    async with through_proxy(amqp_url) as (url, proxy), closed_door(halo.url) as (door, opens):
        publishers = {"erp": publisher()}
        shut = routes(halo, publishers=publishers, api_url=f"{door}/api", token_url=f"{halo.url}/auth/token", timeout="30s")
        first = await stage.start(shut, name="first", heartbeat=HEARTBEAT, amqp_url=url)
        proxy.watch = watch
        await send(other)
        await soon(claimed.wait())
        since = time.monotonic()
        await asyncio.sleep(0.5)
        first.signal(signal.SIGSTOP)
        opens()
        await stage.start(routes(halo, publishers=publishers, timeout="1s"), name="second", heartbeat=HEARTBEAT)
        letter = await other.take("assets.dead")
        assert letter.headers["dead-class"] == "in_doubt"
        await asyncio.sleep(max(0.0, since + SEND_WITHIN + 1 - time.monotonic()))
        first.signal(signal.SIGCONT)
        await first.logged("message.unsettled")
        await first.ready()
    assert halo.journal.received("POST", "/Asset") == []


async def test_a_post_under_way_in_a_replica_that_lost_the_broker_is_waited_for_by_the_one_that_got_its_message(halos, stage, amqp_url, other):
    halo = await halos()
    posted = halo.fault(Fault(FaultKind.HOLD, "POST", "/Asset"))
    async with through_proxy(amqp_url) as (url, proxy):
        publishers = {"erp": publisher(find=FIND)}
        first = await stage.start(routes(halo, publishers=publishers), name="first", heartbeat=HEARTBEAT, amqp_url=url)
        await send(other)
        await soon(posted.arrived.wait())
        second = await stage.start(routes(halo, publishers=publishers, timeout="2s"), name="second", heartbeat=HEARTBEAT)
        proxy.hold()  # until the broker misses its heartbeats, and hands the message to the other
        await true(lambda: halo.journal.received("GET", "/Asset"))
        await asyncio.sleep(3)  # Halo takes its time; the other replica must take more
        halo.faults.remove(posted.number)
        await second.logged("message.done")
        proxy.release()
        await first.ready()
    assert created(halo) == ["SN-1"]
    assert await other.depth("assets.dead") == 0


SECOND = [
    Fault(FaultKind.RESET, "POST", "/Asset", executed=True),
    Fault(FaultKind.ANSWER, "POST", "/Asset", status=500, executed=True),
    Fault(FaultKind.HTML, "POST", "/Asset", executed=True),
    Fault(FaultKind.CUT, "POST", "/Asset"),
]
SERIALS = [f"SN-{number}" for number in range(len(SECOND))]


@pytest.mark.parametrize("executed", first(1, [True, False]), ids=["executed", "not executed"])
async def test_a_worker_that_is_killed_with_its_posts_under_way_leaves_one_record_each_whatever_happens_to_the_next(halos, stage, other, executed):
    """Each of the next worker's posts meets another fault."""
    halo = await halos()
    posted = halo.fault(Fault(FaultKind.HOLD, "POST", "/Asset", times=len(SERIALS), executed=executed))
    publishers = {"erp": publisher(find=FIND, concurrency=len(SERIALS), retry=["50ms"] * 6)}  # one of them may meet more than one fault
    first = await stage.start(routes(halo, publishers=publishers), name="first")
    for serial in SERIALS:
        await send(other, serial)
    await true(lambda: posted.struck == len(SERIALS))
    await first.kill()
    met = [halo.fault(fault) for fault in SECOND]
    await stage.start(routes(halo, publishers=publishers, timeout="1s"), name="second")

    async def done():
        return created(halo) == SERIALS and await other.depth("assets") == 0

    await until(done)
    await true(lambda: all(fault.struck for fault in met))
    assert created(halo) == SERIALS
    assert await other.depth("assets.dead") == 0


async def test_what_only_waited_for_its_turn_when_the_worker_died_is_not_parked_and_sent_once(halos, stage, other):
    halo = await halos()
    definition = routes(halo, publishers={"erp": publisher(concurrency=4)}, rate_limit="5/6s")
    first = await stage.start(definition, name="first")
    for number in range(6):
        await send(other, f"SN-{number}")

    def between_two_turns():
        return 0 < len(halo.journal.received("POST", "/Asset")) == len(created(halo)) == len(first.log("message.done")) < 6

    async def nothing_under_way():
        if not between_two_turns():
            return False
        await asyncio.sleep(0.3)  # its acknowledgement has left
        return between_two_turns()

    await until(nothing_under_way)
    await first.kill()
    await stage.start(name="second")
    await true(lambda: len(created(halo)) == 6)
    assert len(set(created(halo))) == 6
    assert await other.depth("assets.dead") == 0
