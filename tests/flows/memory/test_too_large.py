"""Messages that are too large: dead-lettered whole and unread where that loses nothing, kept and told elsewhere; the others go on."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest

from tests.flows.memory.conftest import MEBIBYTE, asset, created, start
from tests.flows.order.conftest import Stuck, applied, ordered, send_steps
from tests.tools.headers import CODEC
from tests.tools.job import publisher, routes, subscriber
from tests.tools.waiting import SOON
from worker.broker.memory.channel import MemoryChannel
from worker.core.message import STATE_LIMIT, DroppedBody, digest
from worker.core.topology import CLAIMS, known_stream
from worker.flows.dead.letter import DeadQueue, letter_of
from worker.flows.ordered.returned_messages import ReturnedMessages

TOO_LARGE = b'"' + b"x" * 3 * MEBIBYTE + b'"'
DEAD_QUEUE = DeadQueue("erp", "publisher", "assets.dead", "assets")
REASON = "the message has 3,145,730 bytes, more than the worker read: raise WORKER_MAX_MESSAGE before it is replayed"


async def test_what_is_too_large_is_dead_lettered_whole_and_the_letter_says_why(job, halos):
    halo = await halos()
    running = await start(job, routes(halo, publishers={"erp": publisher()}))
    sent = await job.other.send(TOO_LARGE, headers={"own": "kept"})
    await job.other.send(asset(1, 10))
    await running.settled("erp", "dead_decode")
    await running.settled("erp", "done")
    buried = await job.other.take("assets.dead")
    assert (buried.message.body, buried.message.message_id, buried.headers["own"]) == (TOO_LARGE, sent, "kept")
    letter = letter_of(DEAD_QUEUE, buried.message, CODEC)
    assert (letter.dead_class, letter.reason, letter.effect_unknown) == ("decode", REASON, False)
    assert running.value("memory_used_bytes", kind="bodies") == 0


async def test_a_letter_is_the_same_whether_its_body_is_read_or_not(job, halos):
    halo = await halos()
    await start(job, routes(halo, publishers={"erp": publisher()}))
    await job.other.send(TOO_LARGE)
    message = (await job.other.take("assets.dead")).message
    read = letter_of(DEAD_QUEUE, message, CODEC)
    unread = letter_of(DEAD_QUEUE, replace(message, body=b""), CODEC, DroppedBody(len(TOO_LARGE), digest(TOO_LARGE)))
    assert (read.unread, unread.unread) == (0, len(TOO_LARGE))
    assert replace(unread, unread=0) == read


async def test_many_that_are_too_large_do_not_stop_a_route(job, halos):
    halo = await halos()
    running = await start(job, routes(halo, publishers={"erp": publisher(concurrency=2)}))
    for _ in range(10):
        await job.other.send(TOO_LARGE)
    await job.other.send(asset(1, 10))
    await running.settled("erp", "done")
    await job.other.settles("assets.dead", 10)


async def test_a_queue_that_the_worker_did_not_declare_keeps_it_and_readiness_says_what_to_do(job, halos):
    halo = await halos()
    await job.other.declare("assets")
    running = await start(job, routes(halo, publishers={"erp": publisher(declare=False, concurrency=2)}))
    await job.other.send(TOO_LARGE)
    await running.until(lambda: not running.service.health.ready)
    detail = running.service.health.parts["publisher erp"].detail
    assert "the message has 3,145,730 bytes; at most 2,097,152 are read (WORKER_MAX_MESSAGE)" in detail
    assert "raise WORKER_MAX_MESSAGE, or take the message out of the queue" in detail
    await job.other.send(asset(1, 10))
    await running.settled("erp", "done")
    await running.stop()
    assert (await job.other.take("assets")).message.body == TOO_LARGE
    assert await job.other.depth("assets.dead") == 0


async def test_the_order_of_the_others_is_kept_around_what_is_too_large(job, halos):
    halo = await halos()
    await start(job, routes(halo, publishers={"erp": ordered()}))
    await send_steps(job, [1, 2], range(1, 6))
    await job.other.send(TOO_LARGE)
    await send_steps(job, [1, 2], range(6, 11))
    async with asyncio.timeout(SOON):
        while applied(halo) != {1: list(range(1, 11)), 2: list(range(1, 11))}:  # noqa: ASYNC110 - what is waited for is on the other side of a socket
            await asyncio.sleep(0.02)
    assert (await job.other.take("assets.dead")).message.body == TOO_LARGE


async def test_large_messages_of_an_ordered_route_keep_their_order_though_few_of_them_fit(job, halos):
    halo = await halos()
    transform = {"query": {"record": "{{ $string(id) }}"}, "payload": {"id": "{{ id }}", "notes": "{{ $string(step) }}"}}
    running = await start(job, routes(halo, publishers={"erp": ordered(transform=transform)}), in_flight=16 * MEBIBYTE)
    for step in range(1, 25):
        await job.other.send({"id": step % 3 + 1, "step": step, "weight": "x" * (MEBIBYTE + MEBIBYTE // 2)}, message_id="")
    await running.settled("erp", "done", 24)
    assert applied(halo) == {key: [step for step in range(1, 25) if step % 3 + 1 == key] for key in (1, 2, 3)}
    assert await job.other.drain("assets.dead") == []


async def test_large_messages_keep_their_order_though_a_closed_channel_returns_what_it_held_late(memory_job, halos, monkeypatch):
    """As a busy RabbitMQ does: what came later was seen to overtake what was still on its way back."""
    close, add, given, returned = MemoryChannel.close, ReturnedMessages.add, [], asyncio.Event()

    def late(channel, why):
        asyncio.get_running_loop().call_later(0.3, close, channel, why)
        if given:
            returned.set()

    monkeypatch.setattr(MemoryChannel, "close", late)
    monkeypatch.setattr(ReturnedMessages, "add", lambda back, delivery: (given.append(delivery), add(back, delivery)))
    halo = await halos()
    running = await start(memory_job, routes(halo, publishers={"erp": ordered()}), in_flight=16 * MEBIBYTE)
    for step in range(1, 25):
        if step == 13:  # a busy machine may have had room for all that came so far
            with suppress(TimeoutError):
                await asyncio.wait_for(returned.wait(), 5)
        await memory_job.other.send({"id": step % 3 + 1, "step": step, "weight": "x" * (MEBIBYTE + MEBIBYTE // 2)}, message_id="")
    await running.settled("erp", "done", 24)
    assert applied(halo) == {key: [step for step in range(1, 25) if step % 3 + 1 == key] for key in (1, 2, 3)}


async def test_a_message_of_somebody_else_in_the_waiting_room_that_is_too_large_stays_there_and_stops_nothing(job, halos):
    halo = await halos()
    running = await start(job, routes(halo, publishers={"erp": ordered()}))
    await job.other.send(TOO_LARGE, queue="assets.order")
    await send_steps(job, [1], range(1, 4))
    await running.settled("erp", "done", 3)
    await running.stop()
    assert (await job.other.take("assets.order")).message.body == TOO_LARGE


async def test_a_limit_that_is_below_what_waits_in_the_room_stops_the_route_and_says_so(memory_job, halos):
    halo = await halos()
    Stuck(halo, 1)
    definition = routes(halo, publishers={"erp": ordered(retry=["1h"])})
    running = await start(memory_job, definition)
    await memory_job.other.send({"id": 1, "step": 1, "weight": "x" * 100_000})
    await running.until(lambda: running.value("keys_held_up", route="erp") == 1)
    await running.stop()
    stopped = await start(memory_job, definition, ready=False, max_message=64 * 1024)
    await stopped.until(
        lambda: "publisher erp" in stopped.service.health.parts and "too large to be read" in stopped.service.health.parts["publisher erp"].detail
    )
    assert not stopped.service.health.ready
    assert "raise WORKER_MAX_MESSAGE" in stopped.service.health.parts["publisher erp"].detail
    await stopped.stop()
    again = await start(memory_job, definition)
    await again.until(lambda: again.value("ordered_waiting", route="erp") == 1)


@pytest.mark.parametrize("queue", [CLAIMS, known_stream("tickets")])
async def test_what_a_stranger_writes_to_a_stream_is_passed_over_when_it_is_too_large(job, halos, queue):
    halo = await halos(tickets=3)
    definition = routes(halo, subscribers={"tickets": subscriber(changes="by_content")}, publishers={"erp": publisher()})
    running = await start(job, definition)
    await running.polled("tickets", 2, "complete")
    await job.other.send(b"[" + b"{}," * STATE_LIMIT + b"{}]", queue=queue)
    await running.stop()
    again = await start(job, definition)
    halo.store.update("tickets", 1, {"summary": "changed"})
    await again.polled("tickets", 2, "complete")
    await job.other.send(asset(1, 10))
    await again.settled("erp", "done")
    assert created(halo)["SN-1"] == 1
