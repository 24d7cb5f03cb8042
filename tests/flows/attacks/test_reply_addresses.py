"""A sender names where its result goes: its own channel and reply queues, and nothing that it may not write to itself."""

from __future__ import annotations

import asyncio

from tests.flows.attacks.conftest import BIND, VICTIM
from tests.tools.job import publisher, routes, subscriber
from tests.tools.waiting import SOON
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
