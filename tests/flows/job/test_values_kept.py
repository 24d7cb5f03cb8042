"""Values that other systems send, on their way to Halo and into dead letters: unchanged, or refused with the cause."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import fields
from decimal import Decimal

import pytest

from tests.tools.job import publisher, routes
from worker.core.message import Message

PROPERTIES = {"content_encoding": "gzip", "app_id": "erp", "priority": 7, "type": "asset.changed", "correlation_id": "c-1", "content_type": "application/json"}
KEPT = [item.name for item in fields(Message) if item.name not in {"body", "headers", "expiration", "timestamp", "reply_to"}]


def asset(serial: str, **members: object) -> dict[str, object]:
    return {"inventory_number": serial, "assettype_id": 1, "client_id": 12} | members


MAPPING = {
    "payload": {"inventory_number": "{{ serial }}", "assettype_id": 1, "client_id": "{{ customer }}", "fields?": "{{ attributes.{'id': id, 'value': value} }}"}
}


async def test_whole_floats_go_as_integers_and_one_row_as_an_array(memory_job, halos):
    halo = await halos()
    running = await memory_job.start(routes(halo, publishers={"assets": publisher(transform=MAPPING)}))
    for body in (
        b'{"serial": "F1", "customer": 12.0, "attributes": [{"id": 101, "value": "a"}]}',
        b'{"serial": "F2", "customer": 12, "attributes": [{"id": 101.0, "value": "a"}, {"id": 24, "value": "b"}]}',
        b'{"serial": "F3", "customer": 1.2e1, "attributes": []}',
    ):
        await memory_job.other.send(body)
    await running.settled("assets", "done", 3)
    assert sorted((operation.body[0] for operation in halo.journal.executed("POST", "/Asset")), key=lambda record: record["inventory_number"]) == [
        asset("F1", fields=[{"id": 101, "value": "a"}]),
        asset("F2", fields=[{"id": 101, "value": "a"}, {"id": 24, "value": "b"}]),
        asset("F3"),
    ]


@pytest.mark.parametrize(
    ("body", "properties"),
    [
        (b'\xef\xbb\xbf{"payload": {"inventory_number": "Z\xc3\xbcrich", "client_id": 12, "assettype_id": 1}}', {}),
        (gzip.compress('{"payload": {"inventory_number": "Zürich", "client_id": 12, "assettype_id": 1}}'.encode(), mtime=0), {"content_encoding": "gzip"}),
        (zlib.compress('{"payload": {"inventory_number": "Zürich", "client_id": 12, "assettype_id": 1}}'.encode()), {"content_encoding": "deflate"}),
        (
            '{"payload": {"inventory_number": "Zürich", "client_id": 12, "assettype_id": 1}}'.encode("latin-1"),
            {"content_type": "application/json; charset=iso-8859-1"},
        ),
        ('{"payload": {"inventory_number": "Zürich", "client_id": 12, "assettype_id": 1}}'.encode("utf-16"), {}),
    ],
)
@pytest.mark.parametrize("order_by", [None, "{{ payload.inventory_number }}"])
async def test_a_message_is_read_whatever_it_is_packed_in(memory_job, halos, body, properties, order_by):
    halo = await halos()
    running = await memory_job.start(routes(halo, publishers={"assets": publisher(**({} if order_by is None else {"order_by": order_by}))}))
    await memory_job.other.send(body, **properties)
    await running.settled("assets", "done")
    assert [operation.body for operation in halo.journal.executed("POST", "/Asset")] == [[asset("Zürich")]]


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        (
            {"payload": {"summary": "SIM {{ iccid }}", "third_party_id_string": "{{ iccid }}"}},
            {"summary": "SIM 89445012345678901234", "third_party_id_string": Decimal(89445012345678901234)},
        ),
        ('{"payload": {"summary": "SIM", "third_party_id_string": iccid}}', {"summary": "SIM", "third_party_id_string": Decimal(89445012345678901234)}),
        ('{"payload": {"summary": "SIM " & iccid}}', None),
        ({"payload": {"summary": "SIM", "details": "{{ $string(iccid) }}"}}, None),
    ],
)
async def test_a_number_of_twenty_digits_arrives_exactly_or_is_a_dead_letter_that_names_it(memory_job, halos, transform, expected):
    halo = await halos()
    running = await memory_job.start(routes(halo, publishers={"sims": publisher(queue="sims", entity="Tickets", transform=transform, in_doubt="repeat")}))
    await memory_job.other.send(b'{"iccid": 89445012345678901234}', "sims")
    await running.settled("sims", "done" if expected else "dead_transform")
    assert [operation.body for operation in halo.journal.executed("POST", "/Tickets")] == ([[expected]] if expected else [])
    if expected is None:
        letter = await memory_job.other.take("sims.dead")
        assert "the number in iccid has more digits than expressions calculate with" in letter.headers["dead-reason"]
        assert letter.message.body == b'{"iccid": 89445012345678901234}'


@pytest.mark.parametrize("order_by", [None, "{{ payload.inventory_number }}"])
async def test_a_copy_keeps_the_properties_of_its_original_so_that_a_replay_is_what_was_sent(job, halos, order_by):
    halo = await halos(error_wrapper="string")
    body = gzip.compress(b'{"payload": {"inventory_number": "X", "client_id": "none", "assettype_id": 1}}', mtime=0)
    running = await job.start(routes(halo, publishers={"assets": publisher(**({} if order_by is None else {"order_by": order_by}))}))
    await job.other.send(body, message_id="m-1", expiration=600.0, **PROPERTIES)
    await running.settled("assets", "dead_rejected")
    letter = await job.other.take("assets.dead")
    assert letter.message.body == body
    assert {name: getattr(letter.message, name) for name in KEPT} == PROPERTIES | {"message_id": "m-1"}
    assert letter.message.expiration is None


async def test_a_bomb_is_a_dead_letter_by_its_unpacked_size(memory_job, halos):
    halo = await halos()
    running = await memory_job.start(routes(halo, publishers={"assets": publisher()}))
    await memory_job.other.send(gzip.compress(b" " * 20 * 1024 * 1024, mtime=0), content_encoding="gzip")
    await running.settled("assets", "dead_decode")
    letter = await memory_job.other.take("assets.dead")
    assert letter.headers["dead-reason"] == "the body has more than 16,777,216 bytes when it is unpacked; at most 16,777,216 are read"


@pytest.mark.parametrize(
    ("properties", "body", "reason"),
    [
        ({"content_encoding": "br"}, b"x", "the body is compressed with br, which is not read: compress with gzip or deflate, or not at all"),
        ({}, gzip.compress(b"{}", mtime=0), "the body is compressed with gzip, but its content encoding does not say so: set it to `gzip`"),
        ({}, '"ü"'.encode("latin-1"), "the body is not UTF-8 text: send it as UTF-8, or name its charset in the content type"),
    ],
)
async def test_what_cannot_be_read_says_why(memory_job, halos, properties, body, reason):
    halo = await halos()
    running = await memory_job.start(routes(halo, publishers={"assets": publisher()}))
    await memory_job.other.send(body, **properties)
    await running.settled("assets", "dead_decode")
    assert (await memory_job.other.take("assets.dead")).headers["dead-reason"] == reason
