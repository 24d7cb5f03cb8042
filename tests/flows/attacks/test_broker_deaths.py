"""What a sender writes about deaths is not handed to the broker: RabbitMQ 3.10 believes it, and may stop burying anything for the whole node."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from aiohttp import ClientSession

from tests.flows.attacks.conftest import BIND
from tests.flows.memory.conftest import MEBIBYTE, start
from tests.tools.headers import CODEC
from tests.tools.job import publisher, routes
from tests.tools.page import page_of
from tests.tools.sizes import every_nth
from tests.tools.waiting import until
from worker.core.message import Message, memory_of
from worker.flows.dead.letter import DeadQueue, letter_of
from worker.sandbox.faults import Fault, FaultKind

TOO_LARGE = b'"' + b"x" * 3 * MEBIBYTE + b'"'
CYCLE = {"queue": "assets.dead", "reason": "rejected", "count": 1, "exchange": "", "routing-keys": ["assets.dead"]}
FORGED = {"queue": "assets", "reason": "rejected", "count": 1, "exchange": "ceo", "routing-keys": ["vip.approved"]}
DEATHS = {"no entry": ["x"], "no table": "x", "a count that is none": [FORGED | {"count": "x"}], "a cycle": [CYCLE], "another origin": [FORGED]}


@pytest.mark.parametrize("deaths", every_nth(2, DEATHS.values()), ids=DEATHS.keys())
async def test_a_too_large_message_that_tells_of_deaths_is_buried_as_a_copy_and_the_broker_goes_on_burying(stage, halos, deaths):
    halo = await halos()
    running = await start(stage.job, routes(halo, publishers={"erp": publisher(bind=BIND)}))
    await stage.stranger.send(TOO_LARGE, "asset.new", "erp", {"x-death": deaths}, message_id="forged")
    await running.settled("erp", "dead_decode")
    letter = await stage.job.other.take("assets.dead")
    read = letter_of(DeadQueue("erp", "publisher", "assets.dead", "assets"), letter.message, await stage.job.other.codec())
    assert (letter.message.message_id, letter.message.body, read.dead_class) == ("forged", TOO_LARGE, "decode")
    assert (read.state.exchange, read.state.routing_key, read.state.headers["x-death"]) == ("erp", "asset.new", deaths)
    await stage.stranger.send(TOO_LARGE, "asset.new", "erp", message_id="innocent")
    assert (await stage.job.other.take("assets.dead")).message.message_id == "innocent", "the broker still buries"
    halo.fault(Fault(FaultKind.ANSWER, "POST", "/Asset", times=1, status=500))
    await stage.stranger.send({"payload": {"id": 5, "inventory_number": "SN-5"}}, "asset.new", "erp")
    await running.settled("erp", "done")
    assert running.messages("erp", "retried") == 1, "and brings back what waits for its retry"


@pytest.mark.parametrize("turns", [{"order_by": "{{ payload.inventory_number }}"}, {"fair_by": "{{ payload.client_id }}"}], ids=["in order", "in turns"])
async def test_a_too_large_message_that_tells_of_deaths_stops_no_route_that_keeps_an_order(stage, halos, turns):
    halo = await halos()
    running = await start(stage.job, routes(halo, publishers={"erp": publisher(bind=BIND, **turns)}))
    for number in range(3):
        await stage.stranger.send({"payload": {"inventory_number": f"SN-{number}"}}, "asset.new", "erp")
        await stage.stranger.send(TOO_LARGE, "asset.new", "erp", {"x-death": DEATHS["a cycle"]}, message_id=f"forged-{number}")
    await stage.stranger.send({"payload": {"inventory_number": "SN-3"}}, "asset.new", "erp")
    await running.settled("erp", "done", 4)
    await running.settled("erp", "dead_decode", 3)
    letters = await stage.job.other.take_all("assets.dead", 3)
    assert sorted(letter.message.message_id for letter in letters) == ["forged-0", "forged-1", "forged-2"]
    assert {letter.message.body for letter in letters} == {TOO_LARGE}
    assert [post.body[0]["inventory_number"] for post in halo.journal.executed("POST", "/Asset")] == [f"SN-{number}" for number in range(4)]
    assert running.service.health.parts["publisher erp"].ok


@pytest.mark.parametrize("headers", [{"a": [None] * 60_000}, {f"a{number}": True for number in range(9_000)}], ids=["an array", "names"])
async def test_headers_with_too_many_values_are_not_read_and_their_message_is_buried(stage, halos, headers):
    halo = await halos()
    running = await stage.job.start(routes(halo, publishers={"erp": publisher(bind=BIND)}))
    await stage.stranger.send({"payload": {"inventory_number": "SN-1"}}, "asset.new", "erp", headers)
    await stage.stranger.send({"payload": {"inventory_number": "SN-2"}}, "asset.new", "erp", {f"a{number}": number for number in range(500)})
    await running.settled("erp", "dead_decode")
    await running.settled("erp", "done")
    letter = await stage.job.other.take("assets.dead")
    assert letter.headers["dead-reason"] == "its headers cannot be read: more than 2,000 values"


@pytest.mark.parametrize("deep", [lambda inner: [inner], lambda inner: {"a": inner}], ids=["arrays", "tables"])
async def test_headers_that_are_nested_too_deep_are_not_read_and_their_message_is_buried(stage, halos, deep):
    halo = await halos()
    running = await stage.job.start(routes(halo, publishers={"erp": publisher(bind=BIND, when="{{ $exists($headers) }}")}))
    value: object = "x"
    for _ in range(300):
        value = deep(value)
    await stage.stranger.send({"payload": {"inventory_number": "SN-1"}}, "asset.new", "erp", {"h": value})
    await running.settled("erp", "dead_decode")
    letter = await stage.job.other.take("assets.dead")
    assert letter.headers["dead-reason"] == "its headers cannot be read: values nested more than 100 levels deep"


AT_THE_ENDS = [
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "9999-12-31T23:59:59.999999+00:00",
    datetime.min.replace(tzinfo=UTC),
    datetime.max.replace(tzinfo=UTC),
]


@pytest.mark.parametrize("time", AT_THE_ENDS, ids=str)
def test_a_time_at_the_end_of_the_calendar_is_none_so_that_no_list_of_letters_fails(time):
    death = {"queue": "assets", "reason": "expired", "count": 2, "exchange": "erp", "routing-keys": ["asset.new"], "time": time}
    for headers in ({"x-death": [death]}, {"dead-class": "rejected", "dead-at": time}):
        letter = letter_of(DeadQueue("erp", "publisher", "assets.dead", "assets"), Message(b"", headers, message_id="m1"), CODEC)
        assert letter.at is None


async def test_a_forged_time_of_death_does_not_take_the_status_page_from_the_other_letters(stage, halos):
    """RabbitMQ 3.10 keeps the time that a sender wrote, where the message expires while no worker takes it; on 4 the letter has the true one."""
    halo = await halos()
    running = await stage.job.start(routes(halo, publishers={"erp": publisher(bind=BIND)}))
    async with page_of(running.service) as url, ClientSession(url) as browser:
        forged = {"queue": "assets", "reason": "expired", "count": 1, "exchange": "", "routing-keys": ["x"], "time": AT_THE_ENDS[0]}
        await stage.stranger.send({}, "assets.dead", "", {"x-death": [forged]}, message_id="forged")
        await stage.stranger.send({}, "assets.dead", "", {"dead-class": "rejected"}, message_id="innocent")

        async def listed() -> bool:
            async with browser.get("/dead") as answer:
                text = await answer.text()
                assert answer.status == 200
                return "innocent" in text

        await until(listed)


def test_the_newest_death_counts_and_not_one_that_a_sender_put_behind_it():
    real = {"queue": "assets", "reason": "rejected", "count": 1, "exchange": "erp", "routing-keys": ["asset.new"]}
    forged = {"queue": "assets", "reason": "delivery_limit", "count": 9, "exchange": "x", "routing-keys": ["y"]}
    letter = letter_of(DeadQueue("erp", "publisher", "assets.dead", "assets"), Message(b"", {"x-death": [real, forged]}, message_id="m1"), CODEC)
    assert (letter.dead_class, letter.effect_unknown, letter.state.routing_key) == ("decode", False, "asset.new")


def test_headers_count_as_memory():
    assert memory_of(Message(b"x" * 10, {"h": "\U0001f600" + "x" * 100_000})) > 400_000
    assert memory_of(Message(b"x" * 10, {"h": ["y" * 1000, {"z": b"b" * 1000}]})) > 2000
    assert memory_of(Message(b"x" * 10)) < 200
