"""Any byte string on a queue ends in the dead queue with a reason; the messages beside it go on and nothing goes round in circles."""

from __future__ import annotations

from random import Random

import pytest

from tests.tools.job import publisher, routes
from tests.tools.sizes import ON_BOTH_BROKERS

MEBIBYTE = 1024 * 1024
SHAPED = {"payload": {"inventory_number": "{{ serial }}"}}
GOOD = {"serial": "SN-1"}

HOSTILE = {
    "nothing": b"",
    "a space": b" ",
    "deep arrays": b"[" * 10_000 + b"]" * 10_000,
    "deep objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "unclosed": b"[" * 10_000,
    "65 levels": b'{"payload":' + b"[" * 65 + b"]" * 65 + b"}",
    "NaN": b'{"payload": {"count": NaN}}',
    "Infinity": b'{"payload": {"count": -Infinity}}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "null": b"null",
    "a number": b"4711",
    "an array": b'[{"payload": {}}]',
    "an empty array": b'{"payload": []}',
    "a text in an array": b'{"payload": ["x"]}',
    "other members": b'{"payload": {}, "shape": 1}',
    "an object without a payload": b"{}",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
async def test_a_body_that_makes_no_request_is_buried_after_one_attempt(memory_job, halos, body):
    halo = await halos()
    running = await memory_job.start(routes(halo, publishers={"erp": publisher(concurrency=1)}))
    await memory_job.other.send(body)
    await memory_job.other.send({"payload": GOOD | {"inventory_number": "SN-1"}})
    letter = await memory_job.other.take("assets.dead")
    assert letter.message.body == body
    assert letter.headers["dead-class"] == "decode"
    assert letter.headers["dead-attempts"] == 1
    assert letter.headers["dead-reason"]
    await running.settled("erp", "done")
    assert len(halo.journal.executed("POST")) == 1


@pytest.mark.parametrize("number", [b"1e400", b"-1e400", b"123456789012345678901234567890", b"1" * 5000], ids=["1e400", "-1e400", "30 digits", "5000 digits"])
async def test_numbers_that_fit_nowhere_are_buried_or_sent_but_never_spin(memory_job, halos, number):
    halo = await halos()
    running = await memory_job.start(routes(halo, publishers={"erp": publisher(concurrency=1)}))
    await memory_job.other.send(b'{"payload": {"id": 5, "client_id": ' + number + b"}}")
    await memory_job.other.send({"payload": {"inventory_number": "SN-1"}})
    letter = await memory_job.other.take("assets.dead")
    assert letter.headers["dead-class"] in {"decode", "rejected"}
    assert len(halo.journal.received("POST", "/Asset")) <= 2
    await running.settled("erp", "done")


async def test_random_bytes_are_buried_one_by_one_and_good_messages_between_them_are_done(memory_job, halos):
    halo = await halos()
    running = await memory_job.start(routes(halo, publishers={"erp": publisher(transform=SHAPED)}))
    random = Random(20)
    bodies = [random.randbytes(random.randint(0, 300)) for _ in range(200)]
    for number, body in enumerate(bodies):
        await memory_job.other.send(body)
        if number % 10 == 0:
            await memory_job.other.send({"serial": f"SN-{number}"})
    await running.settled("erp", "dead_decode", 200)
    await running.settled("erp", "done", 20)
    letters = await memory_job.other.drain("assets.dead")
    assert sorted(letter.message.body for letter in letters) == sorted(bodies)
    assert {(letter.headers["dead-class"], letter.headers["dead-attempts"]) for letter in letters} == {("decode", 1)}
    assert await memory_job.other.depth("assets") == 0


async def test_17_megabytes_are_buried_unread(memory_job, halos):
    halo = await halos()
    running = await memory_job.start(routes(halo, publishers={"erp": publisher(transform=SHAPED)}))
    await memory_job.other.send(b'"' + b"x" * (17 * MEBIBYTE) + b'"')
    await memory_job.other.send(GOOD)
    letter = await memory_job.other.take("assets.dead")
    assert (letter.headers["x-death"][0]["queue"], letter.headers["x-death"][0]["reason"]) == ("assets", "rejected")
    assert len(letter.message.body) > 17 * MEBIBYTE
    await running.settled("erp", "done")


HEADERS = {
    "attempts that are no number": {"halo-attempts": "many", "halo-doubtful": "yes"},
    "attempts below nothing": {"halo-attempts": -5},
    "a boolean as attempts": {"halo-attempts": True},
    "another's origin": {"original-exchange": 5, "original-routing-key": ["x"]},
    "another's death": {"dead-class": "x", "dead-reason": {"a": "b"}, "x-death": [{"queue": "assets"}], "x-delivery-count": "abc"},
    "deep tables": {"deep": {"a": {"b": {"c": [1, [2, [3]]]}}}},
    "long names and values": {"n" * 120: "v" * 5000},
    "bytes and nothing": {"bytes": b"\xff\x00", "nothing": None},
}


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS.keys())
async def test_strange_headers_change_nothing(job, halos, headers):
    halo = await halos()
    running = await job.start(routes(halo, publishers={"erp": publisher(transform=SHAPED)}))
    await job.other.send(GOOD, headers=headers)
    await job.other.send(b"no json", headers=headers)
    await running.settled("erp", "done")
    letter = await job.other.take("assets.dead")
    assert letter.headers["dead-class"] == "decode"
    assert len(halo.journal.executed("POST")) == 1


@pytest.mark.parametrize("body", [b"[1, 2]", b'"text"', b'{"serail": "SN-1"}', b"{}"], ids=["an array", "a text", "a misspelt member", "nothing in it"])
@pytest.mark.parametrize(
    ("transform", "missing", "reason"),
    [
        (SHAPED, "fail", "`transform.payload.inventory_number` is missing"),
        (SHAPED, "omit", "without any member"),
        ("{'payload': [{'inventory_number': serial}]}", "fail", "without any member"),
    ],
    ids=["mapping", "lenient mapping", "text"],
)
async def test_a_message_of_which_the_transform_leaves_nothing_makes_no_empty_record(memory_job, halos, body, transform, missing, reason):
    halo = await halos()
    await memory_job.start(routes(halo, publishers={"erp": publisher(transform=transform, missing=missing)}))
    await memory_job.other.send(body)
    letter = await memory_job.other.take("assets.dead")
    assert letter.headers["dead-class"] == "transform"
    assert reason in letter.headers["dead-reason"]
    assert halo.journal.executed("POST") == []


@pytest.mark.parametrize(("transform", "body"), [({"payload": {}}, {"serial": "SN-1"}), (None, {"payload": {}})], ids=["by the route", "by the sender"])
async def test_an_empty_payload_that_is_asked_for_is_sent(memory_job, halos, transform, body):
    halo = await halos()
    running = await memory_job.start(routes(halo, publishers={"erp": publisher() | ({} if transform is None else {"transform": transform})}))
    await memory_job.other.send(body)
    await running.settled("erp", "done")
    assert len(halo.journal.executed("POST", "/Asset")) == 1


@ON_BOTH_BROKERS
async def test_bad_bytes_are_buried_on_a_real_broker_too(job, halos):
    halo = await halos()
    running = await job.start(routes(halo, publishers={"erp": publisher(transform=SHAPED)}))
    random = Random(21)
    for _ in range(30):
        await job.other.send(random.randbytes(random.randint(0, 300)))
        await job.other.send(GOOD)
    await job.other.send(b"[" * 10_000)
    await running.settled("erp", "dead_decode", 31)
    await running.settled("erp", "done", 30)
    await job.other.settles("assets.dead", 31)


async def test_expressions_that_run_away_bury_their_message_and_not_the_worker(memory_job, halos):
    halo = await halos()
    transform = '$deep := function($n) { $n = 0 ? 0 : 1 + $deep($n - 1) }; {"payload": {"inventory_number": $string($deep(depth))}}'
    running = await memory_job.start(routes(halo, publishers={"erp": publisher(transform=f"({transform})")}))
    await memory_job.other.send({"depth": 10_000_000})
    await memory_job.other.send({"depth": 3})
    letter = await memory_job.other.take("assets.dead")
    assert letter.headers["dead-class"] == "transform"
    await running.settled("erp", "done")
