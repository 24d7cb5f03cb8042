"""Workers that die at any moment, two at a time and under load: what was accepted is done, once, and what changed is told."""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random

import pytest

from tests.tools.job import listening, publisher, routes, subscriber
from tests.tools.waiting import until

FIND = {"query": {"search": "{{ payload.inventory_number }}"}, "match": {"inventory_number": "{{ payload.inventory_number }}"}}
KILLS = 4


def definition_for(halo):
    return routes(
        halo,
        subscribers={"tickets": subscriber(every="100ms", queue=None)},
        publishers={"erp": publisher(find=FIND, concurrency=2)},
        timeout="2s",  # what a create that was under way is waited for, in part
    )


async def send_steadily(other, sent, enough):
    """A message every now and then, until there is enough of it."""
    while not enough.is_set():
        await other.send({"payload": {"inventory_number": f"SN-{len(sent):04}"}})
        sent.append(f"SN-{len(sent):04}")
        await asyncio.sleep(0.02)


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2])
async def test_workers_killed_at_random_moments_lose_no_message_and_no_change_and_double_no_create(halos, stage, broker, other, seed):
    random = Random(seed)
    halo = await halos(tickets=40, create_seconds=0.03, page_cap=10)
    sent, enough, changes = [], asyncio.Event(), {}

    def churn(received):
        if received.path == "/api/Tickets" and random.random() < 0.5 and not enough.is_set():
            key = random.randint(1, 40)
            changes[key] = f"change at {received.number}"
            halo.store.update("tickets", key, {"summary": changes[key]})

    async with listening(broker) as listener:
        worker = await stage.start(definition_for(halo))
        halo.on_request(churn)
        sender = asyncio.create_task(send_steadily(other, sent, enough))
        for number in range(KILLS):
            await asyncio.sleep(random.uniform(0.1, 0.9))
            await worker.kill()
            worker = await stage.start(name=f"worker-{number}")
        enough.set()
        await sender

        async def all_done():
            return await other.depth("assets") == 0 and len(set(serials(halo))) == len(sent)

        await until(all_done)
        assert Counter(serials(halo)) == Counter(sent), "each message one record"
        assert await other.depth("assets.dead") == 0

        def last():
            return {letter.body["id"]: letter.body["summary"] for letter in listener.letters}

        async def all_told():
            return all(last().get(key) == summary for key, summary in changes.items())

        await until(all_told)
        assert listener.ids == set(range(1, 41))
        assert await worker.stop() == 0


def serials(halo):
    return [row["inventory_number"] for row in halo.store.rows("asset") if str(row.get("inventory_number")).startswith("SN-")]


async def test_replicas_share_the_messages_of_a_queue_and_do_each_once(halos, stage, other):
    halo = await halos(create_seconds=0.02)
    first = await stage.start(definition_for(halo), name="first")
    second = await stage.start(name="second")
    for number in range(60):
        await other.send({"payload": {"inventory_number": f"SN-{number}"}})

    async def all_done():
        return len(first.log("message.done")) + len(second.log("message.done")) == 60

    await until(all_done)
    assert len(serials(halo)) == len(set(serials(halo))) == 60
    assert first.log("message.done")
    assert second.log("message.done")


@pytest.mark.long
async def test_a_broker_that_dies_under_load_costs_nothing_that_it_confirmed(halos, stage, rabbitmq, amqp_url, other):
    halo = await halos(tickets=30, create_seconds=0.02)
    worker = await stage.start(definition_for(halo))
    for number in range(60):
        await other.send({"payload": {"inventory_number": f"SN-{number}"}})

    async def some():
        return len(serials(halo)) >= 10

    await until(some)
    await asyncio.to_thread(rabbitmq.kill)
    await worker.logged("broker.lost")
    await asyncio.to_thread(rabbitmq.start)
    await worker.ready()

    async def all_done():
        return len(set(serials(halo))) == 60

    await until(all_done)
    assert len(serials(halo)) == 60
    assert await worker.stop() == 0
