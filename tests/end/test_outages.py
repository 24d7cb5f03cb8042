"""Outages of the broker and of Halo, seen from outside: nothing is lost, nothing is done twice, and the worker comes back by itself."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from tests.tools.job import EVENTS, OtherSystem, publisher, routes, subscriber
from tests.tools.proxy import through_proxy
from tests.tools.waiting import SOON, soon, until
from worker.broker.open import open_broker
from worker.core.errors import BrokerError
from worker.sandbox.faults import Fault, FaultKind

FIND = {"query": {"search": "{{ payload.inventory_number }}"}, "match": {"inventory_number": "{{ payload.inventory_number }}"}}


async def true(condition, within=SOON):
    async def asked():
        return condition()

    await until(asked, within)


def serials(halo):
    """What the journal says was created, by serial number."""
    return sorted(halo.store.get("asset", key)["inventory_number"] for key in halo.journal.created("/Asset"))


async def sent_for_sure(broker, number):
    """As a careful sender: again until confirmed, always under the same id."""
    while True:
        try:
            await OtherSystem(broker).send({"payload": {"inventory_number": f"SN-{number}"}}, message_id=f"m-{number}")
        except BrokerError:
            if broker.lost:
                return False
        else:
            return True


async def test_a_restart_of_the_broker_under_load_both_ways_loses_nothing_and_doubles_no_create(halos, stage, rabbitmq, amqp_url):
    halo = await halos(tickets=150, create_seconds=0.02)
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(open_broker(amqp_url, name="sender"))
        definition = routes(
            halo, subscribers={"tickets": subscriber(every="200ms")}, publishers={"erp": publisher(find=FIND, concurrency=4, retry=["200ms"] * 3)}
        )
        worker = await stage.start(definition)
        for number in range(120):
            assert await sent_for_sure(broker, number)
        for number in range(1, 31):
            halo.store.update("tickets", number, {"summary": f"under load {number}"})
        await true(lambda: len(halo.journal.created("/Asset")) >= 20)
        await asyncio.to_thread(rabbitmq.restart)
        halo.store.update("tickets", 40, {"summary": "while the broker was away"})
    await worker.logged("broker.lost")
    await worker.ready()
    await true(lambda: len(halo.journal.created("/Asset")) >= 120)
    async with open_broker(amqp_url, name="receiver") as broker:
        other = OtherSystem(broker)
        events = await other.take_all(EVENTS, 150)
        async with asyncio.timeout(SOON):
            while not {letter.body["summary"] for letter in events} >= {f"under load {number}" for number in range(1, 31)} | {"while the broker was away"}:
                events.append(await other.take(EVENTS))
        assert {letter.body["id"] for letter in events} == set(range(1, 151))
        await other.settles("assets")
        assert await other.depth("assets.dead") == 0
    assert serials(halo) == sorted(f"SN-{number}" for number in range(120))


async def test_a_connection_to_the_broker_that_is_cut_during_a_post_costs_no_second_post(halos, stage, amqp_url, other):
    halo = await halos()
    async with through_proxy(amqp_url) as (proxied, proxy):
        held = halo.fault(Fault(FaultKind.HOLD, "POST", "/Asset", executed=True))
        worker = await stage.start(routes(halo, publishers={"erp": publisher()}), amqp_url=proxied)
        await other.send({"payload": {"inventory_number": "SN-1"}})
        await soon(held.arrived.wait())
        proxy.reset()
        await worker.logged("broker.lost")
        await worker.ready()
        await true(lambda: len(worker.log("broker.attached")) == 2)
        await other.settles("assets")  # the copy is in the worker's hands again, waiting for the first one's result
        halo.faults.clear()
        await worker.logged("message.done")
        await worker.stop()
        assert await other.depth("assets") == 0
        assert await other.depth("assets.dead") == 0
    assert serials(halo) == ["SN-1"]
    assert len(halo.journal.received("POST", "/Asset")) == 1


async def test_a_worker_that_is_killed_in_a_post_leaves_one_record_when_the_route_can_look(halos, stage, other):
    halo = await halos()
    held = halo.fault(Fault(FaultKind.HOLD, "POST", "/Asset", executed=True))
    worker = await stage.start(routes(halo, publishers={"erp": publisher(find=FIND)}))
    await other.send({"payload": {"inventory_number": "SN-1"}})
    await soon(held.arrived.wait())
    await worker.kill()
    halo.faults.clear()
    again = await stage.start(name="again")
    await again.logged("message.done")
    assert serials(halo) == ["SN-1"]
    assert await other.depth("assets") == 0


async def test_a_worker_that_is_killed_in_a_post_leaves_the_message_in_doubt_when_the_route_cannot_look(halos, stage, other):
    halo = await halos()
    held = halo.fault(Fault(FaultKind.HOLD, "POST", "/Asset", executed=True))
    worker = await stage.start(routes(halo, publishers={"erp": publisher(concurrency=1)}))
    first = await other.send({"payload": {"inventory_number": "SN-1"}})
    await other.send({"payload": {"inventory_number": "SN-2"}})
    await soon(held.arrived.wait())
    await worker.kill()
    halo.faults.clear()
    await stage.start(name="again")
    letter = await other.take("assets.dead")
    assert letter.message.message_id == first
    assert letter.headers["dead-class"] == "in_doubt"
    await true(lambda: serials(halo) == ["SN-1", "SN-2"])


async def test_a_queue_that_exists_with_other_arguments_ends_the_start_with_2_and_a_sentence(halos, stage, other):
    halo = await halos()
    await other.declare_as("assets", {"x-queue-type": "classic"})
    worker = await stage.start(routes(halo, publishers={"erp": publisher()}), ready=False)
    assert await worker.ended() == 2
    assert "queue 'assets' exists with x-queue-type classic" in worker.text()
    assert "`declare: false`" in worker.text()


async def test_a_queue_that_is_deleted_under_its_consumer_is_there_again_soon(halos, stage, other, rabbitmq, amqp_url):
    halo = await halos(tickets=3)
    worker = await stage.start(routes(halo, subscribers={"tickets": subscriber()}, publishers={"erp": publisher()}))
    await asyncio.to_thread(rabbitmq.delete_queue, amqp_url, "assets")
    await worker.logged("consumer.lost")

    async def consuming_again():
        return await other.broker.queue_exists("assets") and (await worker.parts())["publisher erp"] == {"ok": True, "detail": "consuming"}

    await until(consuming_again)
    await other.send({"payload": {"inventory_number": "SN-1"}})
    await worker.logged("message.done")
    assert serials(halo) == ["SN-1"]


async def test_a_broker_that_comes_late_is_waited_for(halos, stage, amqp_url):
    halo = await halos(tickets=3)
    async with through_proxy(amqp_url) as (proxied, proxy):
        proxy.refusing = True
        worker = await stage.start(routes(halo, publishers={"erp": publisher()}), ready=False, amqp_url=proxied)
        await worker.logged("broker.unreachable")
        parts = await worker.parts()
        assert not parts["broker"]["ok"]
        assert parts["broker"]["detail"]
        assert (await worker.get("/livez"))[0] == 200
        proxy.refusing = False
        await worker.ready()
        proxy.refusing = True
        proxy.reset()

        async def lost():  # its consumers may tell before it
            parts = await worker.parts()
            return None if parts["broker"]["ok"] else parts

        parts = await until(lost)
        assert parts["broker"]["detail"].endswith("; the worker connects again until it succeeds")
        assert "Error(" not in parts["broker"]["detail"]
        assert not parts["publisher erp"]["ok"], "nobody consumes without a broker"
        proxy.refusing = False
        await worker.ready()
        assert await worker.stop() == 0


async def test_a_wrong_secret_keeps_the_worker_running_and_unready_until_its_file_is_mended(halos, stage, other, tmp_path):
    halo = await halos(tickets=3)
    definition = routes(halo, subscribers={"tickets": subscriber()}, publishers={"erp": publisher()})
    definition["clients"]["main"]["auth"]["client_secret"] = "${file:halo_client_secret}"
    secret = tmp_path / "secrets" / "halo_client_secret"
    secret.parent.mkdir()
    secret.write_text("wrong")
    worker = await stage.start(definition, ready=False)
    await worker.logged("client.down")
    await true(lambda: len(worker.log("broker.attached")) == 1)
    parts = await worker.parts()
    assert "client_id or client_secret is wrong" in parts["client main"]["detail"]
    await until(lambda: other.broker.queue_exists("assets"))
    await other.send({"payload": {"inventory_number": "SN-1"}})
    assert len(halo.journal.tokens) <= 2
    assert worker.running
    assert (await worker.get("/readyz"))[0] == 503
    assert await other.depth("assets") == 1
    assert (await worker.parts())["publisher erp"]["detail"] != "consuming"
    secret.write_text(halo.settings.client_secret)
    await worker.logged("message.done")
    await worker.ready()
    assert len(await other.take_all(EVENTS, 3)) == 3
    assert await other.depth("assets.dead") == 0
