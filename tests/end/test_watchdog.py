"""A consumer that does not consume any more is noticed and mended, whatever took its deliveries away; readiness tells meanwhile."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit, urlunsplit

import pytest

from tests.tools.job import listening, publisher, routes, subscriber
from tests.tools.proxy import through_proxy
from tests.tools.waiting import until
from worker.flows.consuming import watchdog
from worker.sandbox.faults import Fault, FaultKind
from worker.state.bootstrap import baton_visible

DELIVER = b"\x00\x3c\x00\x3c"  # class 60 (basic), method 60
FIND = {"query": {"search": "{{ payload.inventory_number }}"}, "match": {"inventory_number": "{{ payload.inventory_number }}"}}


def made(halo) -> list[str]:
    return sorted(halo.store.get("asset", key)["inventory_number"] for key in halo.journal.created("/Asset"))


async def came(halo, count):
    async def enough():
        return len(made(halo)) >= count

    await until(enough)


async def held_back(broker) -> bool:
    """Whether the baton is in the hands of a consumer that never gets it: a turn of these is over much sooner."""
    for _ in range(30):
        if await baton_visible(broker, "tickets"):
            return False
        await asyncio.sleep(0.1)
    return True


@pytest.fixture
def impatient(rabbitmq):
    """RabbitMQ waits for acks for 3 seconds instead of 30 minutes."""
    if rabbitmq.node is None:
        pytest.skip("the acknowledgement timeout can only be lowered on a node of ours")

    def set_to(tick: int, timeout: int) -> None:
        rabbitmq.node.ctl("eval", f"application:set_env(rabbit,channel_tick_interval,{tick}), application:set_env(rabbit,consumer_timeout,{timeout}).")

    set_to(1000, 3000)
    yield
    set_to(60_000, 1_800_000)


@pytest.fixture
def rotating(rabbitmq, amqp_url):
    """A user of the broker whose password can be changed: its address for a password."""
    parts = urlsplit(amqp_url)
    vhost = parts.path.removeprefix("/")
    user = f"rotating-{vhost}"

    class Rotating:
        def set(self, password: str) -> str:
            rabbitmq.api.call("PUT", f"/api/users/{user}", {"password": password, "tags": ""})
            return urlunsplit(parts._replace(netloc=f"{user}:{password}@{parts.hostname}:{parts.port}"))

        def permit(self, configure: str = ".*") -> None:
            rabbitmq.api.call("PUT", f"/api/permissions/{vhost}/{user}", {"configure": configure, "write": ".*", "read": ".*"})

        def disconnect(self) -> None:
            for connection in rabbitmq.api.call("GET", "/api/connections"):
                if connection.get("user") == user:
                    with suppress(HTTPError):  # the worker closes the other of its two connections when it loses one
                        rabbitmq.api.call("DELETE", f"/api/connections/{quote(connection['name'], safe='')}")

        async def connected(self) -> None:
            async def listed() -> bool:
                return any(connection.get("user") == user for connection in rabbitmq.api.call("GET", "/api/connections"))

            await until(listed)

    yield Rotating()
    rabbitmq.api.call("DELETE", f"/api/users/{user}")


async def test_a_consumer_that_gets_nothing_though_messages_wait_is_made_anew_and_unready_meanwhile(halos, stage, other, amqp_url, monkeypatch):
    monkeypatch.setattr(watchdog, "LOOK_EVERY", 1.0)
    halo = await halos()
    definition = routes(halo, publishers={"erp": publisher(concurrency=2, find=FIND)})
    async with through_proxy(amqp_url) as (url, proxy), stage.within(definition, amqp_url=url) as worker:
        proxy.watch = lambda data, up: up or DELIVER not in data
        for number in range(6):
            await other.send({"payload": {"inventory_number": f"SN-{number}"}})
        await worker.until(lambda: not worker.service.health.parts["publisher erp"].ok)
        assert "ready in assets, and the broker delivers none" in worker.service.health.parts["publisher erp"].detail
        proxy.watch = None
        await came(halo, 6)
        assert made(halo) == [f"SN-{number}" for number in range(6)]
        await worker.ready()


async def test_a_subscriber_that_is_not_handed_its_baton_asks_for_it_anew(halos, stage, broker, amqp_url):
    halo = await halos(tickets=5)
    async with listening(broker) as heard, through_proxy(amqp_url) as (url, proxy):
        worker = await stage.start(routes(halo, subscribers={"tickets": subscriber()}), amqp_url=url, turn="10s")
        await heard.hears(5)
        proxy.watch = lambda data, up: up or DELIVER not in data
        halo.store.update("tickets", 3, {"summary": "while nothing is delivered"})
        await until(lambda: held_back(broker))
        proxy.watch = None
        await heard.hears(6)
        await worker.ready()


async def test_a_delivery_that_is_held_beyond_the_brokers_patience_is_created_once_and_consuming_goes_on(halos, stage, other, impatient):
    halo = await halos()
    halo.fault(Fault(FaultKind.DELAY, "POST", "/Asset", times=1, seconds=8))
    worker = await stage.start(routes(halo, publishers={"erp": publisher(concurrency=1, find=FIND)}))
    await other.send({"payload": {"inventory_number": "SN-slow"}})
    lost = await worker.logged("consumer.lost")
    assert "PRECONDITION_FAILED" in lost["reason"]
    await other.send({"payload": {"inventory_number": "SN-next"}})
    await came(halo, 2)
    await other.settles("assets")
    assert made(halo) == ["SN-next", "SN-slow"]
    records = [record for entry in halo.journal.executed("POST", "/Asset") for record in entry.body]
    assert len([record for record in records if not record.get("id")]) == 2, "one that comes again later is found, and updated"
    await worker.ready()


async def test_a_rotated_password_of_the_broker_is_read_from_its_file_again_without_a_tight_loop(halos, stage, broker, rotating):
    halo = await halos(tickets=5)
    file = stage.folder / "broker-address"
    file.write_text(rotating.set("first-pass"))
    rotating.permit()
    async with listening(broker) as heard:
        worker = await stage.start(routes(halo, subscribers={"tickets": subscriber()}), amqp_url="", amqp_url_file=file)
        await heard.hears(5)
        await rotating.connected()
        address = rotating.set("second-pass")
        rotating.disconnect()
        await worker.unready()
        refused = await worker.logged("broker.unreachable")
        assert "or the password" in refused["reason"]
        halo.store.update("tickets", 3, {"summary": "while the password was wrong"})
        rotated = file.with_suffix(".new")
        rotated.write_text(address)
        rotated.replace(file)  # at once: the worker may read it at any moment
        await worker.ready()
        await heard.hears(6)
        assert len(worker.log("broker.unreachable")) < 12
        assert "first-pass" not in worker.text()
        assert "second-pass" not in worker.text()


async def test_revoked_permissions_are_told_by_the_name_of_what_is_not_allowed(halos, stage, broker, rotating):
    halo = await halos(tickets=5)
    url = rotating.set("pass")
    rotating.permit(configure="^nothing$")
    worker = await stage.start(routes(halo, subscribers={"tickets": subscriber()}), amqp_url=url, ready=False)
    told = await worker.logged("broker.lost")
    assert "access" in told["reason"].lower(), told
    assert "halo" in told["reason"], "the queue or exchange is named"
    await worker.unready()
    rotating.permit()
    await worker.ready()
