"""One record can be followed by one id: from the poll over its event and another system's message to Halo and back into the log."""

from __future__ import annotations

from tests.tools.job import EVENTS, publisher, routes, subscriber


async def test_a_correlation_id_follows_a_record_from_the_poll_to_the_post(halos, stage, other):
    halo = await halos(tickets=3)
    transform = {"payload": {"inventory_number": "T-{{ id }}"}}
    worker = await stage.start(
        routes(halo, subscribers={"tickets": subscriber(every="1h")}, publishers={"erp": publisher(transform=transform, bind=[{"exchange": "halo"}])})
    )
    letters = await other.take_all(EVENTS, 3)
    for _ in letters:
        await worker.logged("message.done")
    for letter in letters:
        trail, record = letter.message.correlation_id, letter.body["id"]
        assert trail
        published = worker.log("event.published", correlation_id=trail)
        assert [(line["route"], line["record"], line["change"]) for line in published] == [("tickets", str(record), "created")]
        assert published[0]["message_id"] == letter.message.message_id
        done = await worker.logged("message.done", correlation_id=trail)
        assert (done["route"], done["message_id"]) == ("erp", letter.message.message_id)
        [post] = [entry for entry in halo.journal.executed("POST", "/Asset") if entry.correlation == trail]
        assert post.body == [{"inventory_number": f"T-{record}"}]
    assert len({letter.message.correlation_id for letter in letters}) == 3


async def test_every_page_and_every_poll_has_its_line_and_the_lines_of_one_poll_belong_together(halos, stage, other):
    halo = await halos(tickets=150)
    worker = await stage.start(routes(halo, subscribers={"tickets": subscriber(every="1h")}))
    await other.take_all(EVENTS, 150)
    ended = await worker.logged("poll.ended")
    pages = worker.log("page.read", poll=ended["poll"], route="tickets")
    assert len(pages) == ended["pages"] >= 2
    assert {"page", "rows", "count", "status", "ms", "path"} <= pages[0].keys()
    assert (ended["result"], ended["created"]) == ("complete", 150)
    assert len(worker.log("event.published", poll=ended["poll"])) == 150


async def test_a_message_without_a_correlation_id_is_followed_by_its_own_id(halos, stage, other):
    halo = await halos()
    worker = await stage.start(routes(halo, publishers={"erp": publisher()}))
    message_id = await other.send({"payload": {"inventory_number": "SN-1"}})
    done = await worker.logged("message.done")
    assert done["correlation_id"] == done["message_id"] == message_id
    assert halo.journal.executed("POST", "/Asset")[0].correlation == message_id
