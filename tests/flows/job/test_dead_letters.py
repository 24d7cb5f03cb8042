"""What cannot be done ends in the dead queue with its reason, and the messages beside it go on."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.tools.job import publisher, routes
from tests.tools.sizes import ON_BOTH_BROKERS
from worker.sandbox.faults import Fault, FaultBody, FaultKind

PERSON = "Marie Marker"  # customer data, which no header may quote
ORDER = {"payload": {"inventory_number": "SN-1", "notes": PERSON}}
DOTNET = "An error has occurred"


def refusal(status, body=FaultBody.EMPTY, text=DOTNET):
    return Fault(FaultKind.ANSWER, "POST", "/Asset", times=None, status=status, body=body, text=text)


def check_common(letter, message_id, body, *, dead_class, route="erp", attempts=1, exchange="", routing_key="assets"):
    """What every dead letter has: the message as it was, and why it is here."""
    headers = letter.headers
    assert letter.message.message_id == message_id
    assert letter.body == body
    assert headers["dead-class"] == dead_class
    assert headers["dead-route"] == route
    assert headers["dead-attempts"] == attempts
    assert headers["original-exchange"] == exchange
    assert headers["original-routing-key"] == routing_key
    assert datetime.fromisoformat(headers["dead-at"]).utcoffset() is not None
    assert headers["order-id"] == "4711"
    assert headers["dead-reason"]
    assert PERSON not in str(headers)


async def buried(job, halo, document, **more):
    """The dead letter that a message becomes, and the service."""
    running = await job.start(routes(halo, publishers={"erp": publisher(**more)}))
    message_id = await job.other.send(document, headers={"order-id": "4711"})
    letter = await job.other.take("assets.dead")
    await job.other.settles("assets")
    return letter, message_id, running


@pytest.mark.parametrize(
    ("fault", "dead_class", "status", "reason"),
    [
        (refusal(400, FaultBody.STRING, "Name must be unique"), "rejected", 400, "Name must be unique"),
        (refusal(400, FaultBody.EXCEPTION, "An Outcome must be entered for this Action"), "rejected", 400, "An Outcome must be entered for this Action"),
        (
            refusal(400, FaultBody.JSON, '{"[0].client_id":["Could not convert string to integer: x. Path \'[0].client_id\', line 1, position 9."]}'),
            "rejected",
            400,
            "[0].client_id",
        ),
        (refusal(404), "rejected", 404, "404"),
        (refusal(413), "rejected", 413, "too large"),
        (refusal(403), "auth", 403, "403"),
        (refusal(500), "in_doubt", 500, "500"),
        (Fault(FaultKind.RESET, "POST", "/Asset", executed=True), "in_doubt", None, "closed the connection"),
        (Fault(FaultKind.CLOSE, "POST", "/Asset"), "in_doubt", None, "closed the connection"),
        (Fault(FaultKind.HTML, "POST", "/Asset"), "in_doubt", 200, "web page"),
        (Fault(FaultKind.REDIRECT, "POST", "/Asset", status=302), "in_doubt", 302, "redirect"),
    ],
    ids=["bare string", "exception object", "members", "404", "413", "403", "500", "reset", "closed", "web page", "redirect"],
)
async def test_what_halo_refuses_or_leaves_open_is_buried_at_once_with_what_it_said(memory_job, halos, fault, dead_class, status, reason):
    halo = await halos()
    halo.fault(fault)
    letter, message_id, running = await buried(memory_job, halo, ORDER)
    check_common(letter, message_id, ORDER, dead_class=dead_class)
    assert letter.headers.get("dead-status") == status
    assert reason in letter.headers["dead-reason"]
    assert len(halo.journal.received("POST", "/Asset")) == 1
    halo.faults.clear()
    await memory_job.other.send({"payload": {"inventory_number": "SN-2"}})
    await running.settled("erp", "done")


@ON_BOTH_BROKERS
async def test_a_403_costs_one_message_and_not_its_neighbours_on_both_brokers(job, halos):
    halo = await halos()
    halo.fault(Fault(FaultKind.ANSWER, "POST", "/Asset", nth=2, times=1, status=403))
    running = await job.start(routes(halo, publishers={"erp": publisher(concurrency=1)}))
    for number in range(4):
        await job.other.send({"payload": {"inventory_number": f"SN-{number}"}}, headers={"order-id": "4711"})
    await running.settled("erp", "done", 3)
    letter = await job.other.take("assets.dead")
    check_common(letter, letter.message.message_id, {"payload": {"inventory_number": "SN-1"}}, dead_class="auth")
    assert halo.store.count("asset") == 3 + len([row for row in halo.store.rows("asset") if not str(row.get("inventory_number")).startswith("SN-")])


@pytest.mark.parametrize(
    ("document", "more", "dead_class", "reason"),
    [
        (b"not json", {}, "decode", "not JSON"),
        ({"serial": PERSON}, {}, "decode", "path, query and payload"),
        ({"payload": PERSON}, {}, "decode", "payload"),
        ({"payload": {}, "path": []}, {}, "decode", "path must be an object"),
        ({"path": {"nr": 1}}, {"entity": "Asset/{id}", "method": "DELETE"}, "decode", "id"),
        ({"path": {"id": "../../" + PERSON}}, {"entity": "Asset/{id}", "method": "DELETE"}, "decode", "id"),
        ({"path": {"id": ""}}, {"entity": "Asset/{id}", "method": "DELETE"}, "decode", "id"),
        ({"serial": PERSON}, {"transform": {"payload": {"name": "{{ $number(serial) }}"}}}, "transform", "cannot be turned into a number"),
        ({"serial": PERSON}, {"when": "$number(serial) > 3", "transform": {"payload": {}}}, "transform", "cannot be turned into a number"),
    ],
    ids=[
        "no JSON",
        "another shape",
        "payload is a text",
        "path is an array",
        "no path parameter",
        "a path that leads out",
        "an empty path",
        "transform fails",
        "when fails",
    ],
)
async def test_a_message_that_cannot_be_made_into_a_request_is_buried_without_asking_halo(memory_job, halos, document, more, dead_class, reason):
    halo = await halos()
    letter, message_id, _ = await buried(memory_job, halo, document, **more)
    check_common(letter, message_id, document, dead_class=dead_class)
    assert reason in letter.headers["dead-reason"]
    assert "dead-status" not in letter.headers
    assert [entry for entry in halo.journal.received() if entry.method in {"POST", "DELETE"} and entry.path.startswith("/api")] == []


async def test_a_message_that_never_gets_better_is_buried_after_its_retries_with_exchange_key_and_headers_as_they_were(job, halos):
    halo = await halos()
    halo.fault(Fault(FaultKind.ANSWER, "POST", "/Asset", times=None, status=500))
    definition = publisher(bind=[{"exchange": "erp", "routing_key": "asset.#"}], retry=["50ms", "100ms"])
    running = await job.start(routes(halo, publishers={"erp": definition}))
    document = {"payload": {"id": 5, "notes": PERSON}}
    message_id = await job.other.send(document, "asset.changed", exchange="erp", headers={"order-id": "4711", "nested": {"a": [1, True]}}, correlation_id="c-1")
    letter = await job.other.take("assets.dead")
    check_common(letter, message_id, document, dead_class="retries_exhausted", attempts=3, exchange="erp", routing_key="asset.changed")
    assert letter.headers["nested"] == {"a": [1, True]}
    assert letter.message.correlation_id == "c-1"
    assert letter.headers["dead-status"] == 500
    assert not [name for name in letter.headers if name.startswith(("x-death", "x-first-death", "x-last-death"))]
    assert len(halo.journal.received("POST", "/Asset")) == 3
    assert {entry.correlation for entry in halo.journal.received("POST", "/Asset")} == {"c-1"}
    assert running.messages("erp", "retried") == 2


async def test_a_failure_that_passes_is_retried_through_the_queue_of_its_delay(job, halos):
    halo = await halos()
    halo.fault(Fault(FaultKind.ANSWER, "POST", "/Asset", times=1, status=503))
    definition = publisher(retry=["700ms", "5m"], bind=[{"exchange": "erp", "routing_key": "#"}])
    running = await job.start(routes(halo, publishers={"erp": definition}))
    document = {"payload": {"id": 5, "inventory_number": "SN-5"}}
    await job.other.send(document, "asset.changed", exchange="erp", headers={"order-id": "4711"}, correlation_id="c-1")
    await job.other.settles("halo.retry.700ms", 1)
    assert await job.other.depth("assets") == 0
    await running.settled("erp", "done")
    posts = halo.journal.received("POST", "/Asset")
    assert [post.status for post in posts] == [503, 201]
    assert (posts[1].time - posts[0].time).total_seconds() >= 0.7
    assert {post.correlation for post in posts} == {"c-1"}
    assert await job.other.depth("assets.dead") == 0


async def test_several_creates_in_one_post_that_fail_are_in_doubt_since_some_may_be_stored(memory_job, halos):
    halo = await halos()
    halo.fault(refusal(400, FaultBody.STRING, "Name must be unique"))
    document = {"payload": [{"inventory_number": "SN-1"}, {"inventory_number": "SN-2"}]}
    letter, message_id, _ = await buried(memory_job, halo, document)
    check_common(letter, message_id, document, dead_class="in_doubt")
    assert letter.headers["dead-status"] == 400
    assert "some of the 2 records" in letter.headers["dead-reason"]


async def test_a_token_that_halo_gives_but_never_accepts_keeps_messages_or_buries_them_as_auth_but_never_spins(memory_job, halos):
    halo = await halos()
    halo.fault(Fault(FaultKind.ANSWER, "POST", "/Asset", times=None, status=401))
    letter, message_id, _ = await buried(memory_job, halo, ORDER)
    check_common(letter, message_id, ORDER, dead_class="auth")
    assert letter.headers["dead-status"] == 401
    assert len(halo.journal.received("POST", "/Asset")) == 2
    assert len(halo.journal.tokens) <= 3


async def test_a_message_that_is_delivered_too_often_without_an_end_is_buried_by_the_broker(job, halos):
    halo = await halos()
    running = await job.start(routes(halo, publishers={"erp": publisher()}))
    await running.stop()
    message_id = await job.other.send(ORDER, headers={"order-id": "4711"})
    await crash_over_it(job)
    letter = await job.other.take("assets.dead")
    assert letter.message.message_id == message_id
    assert letter.body == ORDER
    assert letter.headers["order-id"] == "4711"
    assert await job.other.depth("assets") == 0
    assert halo.journal.received("POST", "/Asset") == []


async def crash_over_it(job):
    """Take the message and lose the channel, as a worker would that dies over it, until it is there no more."""
    for _ in range(40):
        async with job.other.broker.channel() as channel:
            if await channel.get("assets") is None:
                return
