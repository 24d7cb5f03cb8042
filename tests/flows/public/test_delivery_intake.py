"""What a delivery brings about, on both brokers: once over all replicas, and never lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.brokers.conftest import World
from tests.tools.evaluating import InProcess
from tests.tools.job import OtherSystem
from tests.tools.waiting import soon
from worker.config.automation import CallerAuth, Wake, Webhook
from worker.config.expressions import compile_condition, compile_template
from worker.core.clock import SystemClock
from worker.core.errors import BrokerError, ChannelLost
from worker.core.header_codec import HeaderCodec
from worker.core.ports import Broker
from worker.core.topology import UNROUTED, Topology, common_topology, work_topology
from worker.flows.hooks import delivery_intake as module
from worker.flows.hooks.delivery_intake import DeliveryIntake
from worker.flows.hooks.effects import webhook_topology
from worker.flows.hooks.poll_trigger import wake_queue
from worker.flows.running.run_message import Run, run_queue
from worker.metrics import Metrics
from worker.state.current_broker import CurrentBroker

AUTH = CallerAuth("basic", username="a", password="b")
ID = compile_template("{{ id }}")
HOOKS = {
    "starts": Webhook("starts", "main", AUTH, id=ID, runbook="ask"),
    "pushes": Webhook(
        "pushes", "main", AUTH, id=ID, exchange="halo", routing_key=compile_template("hooks.{{ event }}"), when=compile_condition("event != 'dull'")
    ),
    "wakes": Webhook("wakes", "main", AUTH, id=ID, wake=Wake("tickets", compile_template("{{ object_id }}"))),
    "all": Webhook("all", "main", AUTH, runbook="ask", exchange="halo", wake=Wake("tickets", compile_template("{{ object_id }}"))),
    "fails": Webhook("fails", "main", AUTH, id=compile_template("{{ $number(id) }}"), runbook="ask"),
}
CLOCK = SystemClock()


class Replica:
    def __init__(self, broker: Broker, reception: DeliveryIntake, metrics: Metrics) -> None:
        self.broker = broker
        self.reception = reception
        self.metrics = metrics

    async def take(self, path: str, *documents: Any) -> dict[str, Any]:
        return await soon(
            self.reception.receive(path, documents), 30
        )  # a queue that is just being deleted may swallow a confirm: the publish gives up after 10 s

    def counted(self, route: str, result: str) -> float | None:
        return self.metrics.registry.get_sample_value("halo_worker_deliveries_total", {"route": route, "result": result})


@pytest.fixture
async def start(world: World) -> AsyncIterator[Callable[..., Any]]:
    async with AsyncExitStack() as stack:

        async def started() -> Replica:
            broker = await stack.enter_async_context(world.attach())
            needed = sum((webhook_topology(hook) for hook in HOOKS.values()), start=common_topology())
            await broker.declare(needed + work_topology(run_queue("ask"), ()))
            metrics = Metrics()
            current = CurrentBroker(HeaderCodec(b"k" * 32), metrics)
            await stack.enter_async_context(current.attached(broker, CLOCK, claiming=True))
            return Replica(broker, DeliveryIntake(HOOKS, current, InProcess(), CLOCK, metrics), metrics)

        yield started


@pytest.fixture
async def replica(start: Callable[..., Any]) -> Replica:
    return await start()


@pytest.fixture
def other(replica: Replica) -> OtherSystem:
    return OtherSystem(replica.broker)


async def test_a_delivery_starts_a_run_with_itself_as_the_payload(replica, other):
    answered = await replica.take("/webhooks/starts", {"id": "a", "ticket": {"id": 7}})
    run = Run.read((await other.take(run_queue("ask"))).message.body)
    assert answered == {"accepted": 1, "runs": [run.id]}
    assert (run.runbook, run.step, run.request) == ("ask", None, {"id": "a", "ticket": {"id": 7}})
    assert replica.counted("starts", "accepted") == 1


async def test_a_call_of_an_endpoint_starts_a_run_and_the_same_body_again_is_the_same_call(replica, other):
    first = await replica.take("/runbooks/ask", {"a": 1, "b": 2})
    again = await replica.take("/runbooks/ask", {"b": 2, "a": 1})
    another = await replica.take("/runbooks/ask", {"a": 2})
    assert (first["runs"], again) == (again["runs"], {"known": 1, "runs": first["runs"]})
    assert another["accepted"] == 1
    assert {Run.read(letter.message.body).id for letter in await other.drain(run_queue("ask"))} == {*first["runs"], *another["runs"]}


async def test_a_delivery_seen_before_by_any_replica_brings_nothing_about(replica, other, start):
    second = await start()
    assert (await replica.take("/webhooks/starts", {"id": "a", "x": 1}))["accepted"] == 1
    assert (await second.take("/webhooks/starts", {"id": "a", "x": 2}))["known"] == 1
    assert (await (await start()).take("/webhooks/starts", {"id": "a", "x": 3}))["known"] == 1
    assert len(await other.drain(run_queue("ask"))) == 1


async def test_copies_that_come_to_several_replicas_at_the_same_time_bring_it_about_once(replica, other, start):
    replicas = [replica, await start(), await start()]
    answers = await asyncio.gather(*[one.take("/webhooks/pushes", {"id": number, "event": "x"}) for number in range(20) for one in replicas])
    await other.settles(UNROUTED, 20)
    assert sum(answer.get("accepted", 0) for answer in answers) == 20
    assert sum(answer.get("known", 0) for answer in answers) == 40


async def test_the_same_id_at_another_webhook_is_another_delivery(replica):
    for name in ("starts", "wakes"):
        assert (await replica.take(f"/webhooks/{name}", {"id": "a"}))["accepted"] == 1


async def test_a_delivery_is_pushed_as_an_event_under_the_key_that_the_route_makes(replica, other):
    await other.declare("events", exchange="halo", routing_key="hooks.*")
    assert await replica.take("/webhooks/pushes", {"id": "a", "event": "closed", "object_id": 7}) == {"accepted": 1, "runs": []}
    letter = await other.take("events")
    assert (letter.body, letter.exchange, letter.routing_key) == ({"id": "a", "event": "closed", "object_id": 7}, "halo", "hooks.closed")
    assert letter.headers["cloudEvents_specversion"] == "1.0"
    assert (letter.headers["cloudEvents_source"], letter.headers["cloudEvents_subject"]) == ("/webhooks/pushes", "7")
    assert letter.headers["dedupe-key"] == letter.headers["cloudEvents_id"]


async def test_an_event_that_no_queue_takes_is_parked_among_the_unrouted(replica, other):
    assert (await replica.take("/webhooks/pushes", {"id": "a", "event": "x"}))["accepted"] == 1
    letter = await other.take(UNROUTED)
    assert letter.body == {"id": "a", "event": "x"}
    assert (letter.headers["original-exchange"], letter.headers["original-routing-key"]) == ("halo", "hooks.x")


async def test_a_delivery_that_the_route_does_not_want_is_accepted_and_does_nothing(replica, other):
    assert await replica.take("/webhooks/pushes", {"id": "a", "event": "dull"}) == {"skipped": 1, "runs": []}
    assert await other.depth(UNROUTED) == 0
    assert replica.counted("pushes", "skipped") == 1


async def test_one_delivery_may_do_three_things(replica, other):
    await other.declare("events", exchange="halo", routing_key="webhooks.all")
    await replica.take("/webhooks/all", {"id": "a", "object_id": 5})
    assert (await other.take("events")).body["object_id"] == 5
    assert (await other.take(wake_queue("tickets"))).body == {"id": 5}
    assert Run.read((await other.take(run_queue("ask"))).message.body).request["id"] == "a"


async def test_of_a_batch_each_delivery_stands_for_itself_and_a_bad_one_is_parked(replica, other):
    answered = await replica.take("/webhooks/fails", {"id": 1}, {"id": "no number", "x": "planted"}, {"id": 3}, {"id": 1})
    assert {name: count for name, count in answered.items() if name != "runs"} == {"accepted": 2, "parked": 1, "known": 1}
    assert [Run.read(letter.message.body).request for letter in await other.drain(run_queue("ask"))] == [{"id": 1}, {"id": 3}]
    letter = await other.take("halo.dead.fails")
    assert letter.body == {"id": "no number", "x": "planted"}
    assert (letter.headers["dead-class"], letter.headers["dead-route"]) == ("transform", "fails")
    assert "planted" not in str(letter.headers)


async def test_while_no_attachment_is_there_nothing_is_taken():
    reception = DeliveryIntake(HOOKS, CurrentBroker(HeaderCodec(b"k" * 32), Metrics()), InProcess(), CLOCK, Metrics())
    with pytest.raises(BrokerError):
        await reception.receive("/webhooks/starts", [{"id": "a"}])


async def test_when_the_attachment_is_lost_the_delivery_is_refused_and_taken_by_the_next_one(replica, start, world, other):
    world.cut()
    await soon(replica.broker.wait_lost())
    with pytest.raises(BrokerError):
        await replica.take("/webhooks/starts", {"id": "a"})
    next_one = await start()
    assert (await next_one.take("/webhooks/starts", {"id": "a"}))["accepted"] == 1
    assert len(await OtherSystem(next_one.broker).drain(run_queue("ask"))) == 1


@pytest.mark.parametrize("after", [False, True])
async def test_a_delivery_whose_work_broke_off_is_done_when_it_comes_again(replica, other, monkeypatch, after):
    """As a crash does between the claim and the end; what was published twice is the same run."""
    monkeypatch.setattr(module, "COPY_WAIT", 0.05)
    current = replica.reception._broker
    publish = current.publish

    async def break_off(message: Any, *, routing_key: str, exchange: str = "") -> None:
        if after:
            await publish(message, routing_key=routing_key, exchange=exchange)
        raise ChannelLost("just now")

    monkeypatch.setattr(current, "publish", break_off)
    with pytest.raises(BrokerError):
        await replica.take("/webhooks/starts", {"id": "a"})
    monkeypatch.setattr(current, "publish", publish)
    assert (await replica.take("/webhooks/starts", {"id": "a"}))["accepted"] == 1
    assert (await replica.take("/webhooks/starts", {"id": "a"}))["known"] == 1
    runs = [Run.read(letter.message.body).id for letter in await other.drain(run_queue("ask"))]
    assert (len(runs), len(set(runs))) == (1 + after, 1)


async def test_a_missing_run_queue_refuses_the_delivery(replica, other):
    await replica.broker.delete(Topology(queues=work_topology(run_queue("ask"), ()).queues))
    with pytest.raises(BrokerError):
        await replica.take("/webhooks/starts", {"id": "a"})
