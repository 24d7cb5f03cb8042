"""A sender names where its result goes: its own channel and reply queues, and nothing that it may not write to itself."""

from __future__ import annotations

import asyncio
from base64 import b64encode

import pytest
from structlog.testing import capture_logs

from tests.flows.attacks.conftest import BIND, VICTIM
from tests.tools.job import publisher, routes, subscriber
from tests.tools.waiting import SOON
from worker.core.results import is_direct
from worker.core.topology import CLAIMS, CONTROL, state_queue

RECORD = {"payload": {"inventory_number": "SN-1"}}


async def test_a_request_with_direct_reply_to_is_answered_on_its_own_channel(stage, halos):
    running = await stage.job.start(routes(await halos(), publishers={"erp": publisher(bind=BIND)}))
    answers: asyncio.Queue[tuple[bytes, str]] = asyncio.Queue()

    async def hear(message) -> None:
        answers.put_nowait((message.body, message.header.properties.correlation_id))

    await stage.stranger.channel.basic_consume("amq.rabbitmq.reply-to", hear, no_ack=True)
    sent = await stage.stranger.send(RECORD, "asset.new", "erp", reply_to="amq.rabbitmq.reply-to", correlation_id="r-1")
    async with asyncio.timeout(SOON):
        body, correlation_id = await answers.get()
    assert sent.encode() in body
    assert correlation_id == "r-1"
    await running.settled("erp", "done")


async def test_a_request_whose_sender_has_gone_is_done_all_the_same(stage, halos):
    running = await stage.job.start(routes(await halos(), publishers={"erp": publisher(bind=BIND)}))
    for address in ("amq.rabbitmq.reply-to.g1h2bm9ib2R5AAAA.x", "amq.rabbitmq.reply-to."):
        await stage.job.other.send(RECORD, "assets", reply_to=address)
    await running.settled("erp", "done", 2)
    assert await stage.job.other.depth("assets.dead") == 0


def term(encoded: bytes, key: bytes = b"k" * 16) -> str:
    """A direct reply address of this term in Erlang's format."""
    return f"amq.rabbitmq.reply-to.{b64encode(encoded).decode()}.{b64encode(key).decode()}"


NODE = b"reply@127131348"
PROCESS = b"\x83Xv\x00\x0f" + NODE + b"\x00\x00\x03_\x00\x00\x00\x00k\ty\x04"  # as RabbitMQ 3.10 and 4.0 write it
MADE_UP = {
    "no process": "amq.rabbitmq.reply-to.x.y",
    "no Base64": "amq.rabbitmq.reply-to.!!!.y",
    "the old form": "amq.rabbitmq.reply-to.g2dkAA1ub25vZGVAbm9ob3N0AAAAAQAAAAAA.a2tra2tra2tra2tra2tra2s=",
    "an atom": term(b"\x83d\x00\x03foo"),
    "a number": term(b"\x83a\x01"),
    "a tuple": term(b"\x83h\x02a\x01a\x02"),
    "a binary that is cut": term(b"\x83m\xff\xff\xff\xff"),
    "a node that is no hash": term(PROCESS.replace(NODE, b"reply@localhost")),
    "a length that is wrong": term(PROCESS.replace(b"v\x00\x0f", b"v\xff\x0f")),
    "more than a process": term(PROCESS + b"\x00"),
    "a key that is too short": term(PROCESS, b"k"),
    "a key that is too long": term(PROCESS, b"k" * 64),
}


@pytest.mark.parametrize("address", MADE_UP.values(), ids=MADE_UP.keys())
async def test_a_direct_reply_address_that_a_sender_made_up_costs_nobody_the_connection(stage, halos, address):
    """RabbitMQ decodes whatever it is told as a term, and ends the connection that published."""
    running = await stage.job.start(routes(await halos(), publishers={"erp": publisher(bind=BIND)}))
    with capture_logs() as lines:
        await stage.stranger.send(RECORD, "asset.new", "erp", reply_to=address)
        await running.settled("erp", "done")
        await stage.job.other.declare("replies.erp")
        await stage.stranger.send(RECORD, "asset.new", "erp", reply_to="replies.erp")
        await stage.job.other.take("replies.erp")
    assert [line["event"] for line in lines if line["log_level"] in {"warning", "error"}] == ["result.not_sent"]
    assert running.value("results_total", route="erp", result="refused") == 1


async def test_a_direct_reply_to_a_node_that_is_gone_costs_nobody_the_connection(stage, halos):
    """RabbitMQ 3.10 ends the connection that published; direct replies have one beside the worker's own."""
    running = await stage.job.start(routes(await halos(), publishers={"erp": publisher(bind=BIND)}))
    heard: asyncio.Queue[str | None] = asyncio.Queue()

    async def hear(message) -> None:
        heard.put_nowait(message.header.properties.correlation_id)

    await stage.stranger.channel.basic_consume("amq.rabbitmq.reply-to", hear, no_ack=True)
    with capture_logs() as lines:
        for number in range(4):
            await stage.stranger.send(RECORD, "asset.new", "erp", reply_to=term(PROCESS), correlation_id="hostile")
            await stage.stranger.send(RECORD, "asset.new", "erp", reply_to="amq.rabbitmq.reply-to", correlation_id=f"honest-{number}")
            async with asyncio.timeout(SOON):
                assert await heard.get() == f"honest-{number}"
        await running.settled("erp", "done", 8)
    assert {line["event"] for line in lines if line["log_level"] in {"warning", "error"}} <= {"result.not_sent"}
    assert running.service.health.ready


@pytest.mark.parametrize("node", [b"v\x00\x0f" + NODE, b"d\x00\x0f" + NODE, b"w\x0f" + NODE, b"s\x0f" + NODE, b"w\x07reply@1"])
def test_a_direct_reply_address_is_known_in_each_form_of_an_atom(node):
    assert is_direct(term(b"\x83X" + node + b"\x00" * 12))
    assert not is_direct(term(b"\x83X" + node + b"\x00" * 11))


FOREIGN = [
    *(VICTIM, "assets", "assets.dead", "events", CLAIMS, CONTROL, state_queue("feed"), "halo.keys", "halo.retry.10s"),
    *("x" * 255, "replies.\x00", "replies.ü", ""),
]


async def test_no_result_goes_to_a_queue_that_a_sender_may_not_write_to(stage, halos):
    given = routes(await halos(tickets=0), publishers={"erp": publisher(bind=BIND)}, subscribers={"feed": subscriber(every="1h")})
    running = await stage.job.start(given)
    before = {queue: await stage.job.other.depth(queue) for queue in (VICTIM, "assets.dead", "events")}
    for number, address in enumerate(FOREIGN, start=1):
        await stage.stranger.send(RECORD, "asset.new", "erp", reply_to=address)
        await running.settled("erp", "done", number)
        assert running.value("results_total", route="erp", result="sent") == 0, address
        assert {queue: await stage.job.other.depth(queue) for queue in before} == before, address
    assert running.messages("erp", "done") == len(FOREIGN)


async def test_a_result_carries_nothing_of_the_senders_headers(stage, halos):
    running = await stage.job.start(routes(await halos(), publishers={"erp": publisher(bind=BIND)}))
    await stage.job.other.declare("replies.erp")
    await stage.stranger.send(RECORD, "asset.new", "erp", {"CC": ["replies.erp"], "BCC": [VICTIM], "halo-home": VICTIM}, reply_to="replies.erp")
    await running.settled("erp", "done")
    results = [each for each in await stage.job.other.drain("replies.erp") if each.message.type == "com.haloitsm.result"]
    assert [set(each.headers) - {"x-delivery-count"} for each in results] == [set()]
