"""What is known of writes: bounded, told by notices that hold no data, and the same for whoever reads them."""

from __future__ import annotations

import orjson
import pytest

from worker.state.write_index import NotAWriteNotice, WriteFootprint, WriteIndex, WriteNotice

FOOTPRINT = WriteFootprint("5", "updated", 1000, 2000, frozenset({"colour"}))


def ended(write: str, *footprints: WriteFootprint, at: int = 100) -> WriteNotice:
    return WriteNotice(write, "main", "tickets", at, ended=True, footprints=footprints)


def begun(write: str, *keys: str, creates: int = 0, at: int = 100) -> WriteNotice:
    return WriteNotice(write, "main", "tickets", at, begun=frozenset(keys), creates=creates)


@pytest.mark.parametrize(
    "notice", [ended("w", FOOTPRINT, WriteFootprint("6", "created"), WriteFootprint("7", "deleted", before=1)), ended("w"), begun("w", "5", "6", creates=2)]
)
def test_notices_are_read_as_they_were_written(notice: WriteNotice):
    assert WriteNotice.decode(notice.encode()) == notice


@pytest.mark.parametrize(
    "body",
    [
        b"hello",
        b"7",
        b"{}",
        orjson.dumps({"v": 1}),
        ended("w", FOOTPRINT).encode().replace(b'"updated"', b'"mended"'),
        ended("w", FOOTPRINT).encode().replace(b'"unexplained":[', b'"others":['),
        begun("w").encode().replace(b'"creates":0', b'"creates":null'),
    ],
)
def test_anything_else_is_none(body: bytes):
    with pytest.raises(NotAWriteNotice):
        WriteNotice.decode(body)


def test_trails_are_kept_in_order_by_client_resource_and_record():
    index = WriteIndex()
    index.add(ended("a", FOOTPRINT, WriteFootprint("6", "created")))
    index.add(ended("b", WriteFootprint("5", "deleted")))
    index.add(WriteNotice("c", "second", "tickets", 100, ended=True, footprints=(WriteFootprint("5", "created"),)))
    assert index.footprints("main", "tickets", "5") == [FOOTPRINT, WriteFootprint("5", "deleted")]
    assert index.footprints("second", "tickets", "5") == [WriteFootprint("5", "created")]
    assert index.footprints("main", "asset", "5") == []
    index.clear()
    assert index.footprints("main", "tickets", "5") == []


def test_they_are_forgotten_after_their_time_and_the_oldest_first_when_there_are_too_many():
    index = WriteIndex(kept=50, most=3)
    for number in range(5):
        index.add(ended(str(number), WriteFootprint("5", "updated", before=number)))
    assert [footprint.before for footprint in index.footprints("main", "tickets", "5")] == [2, 3, 4]
    index.add(ended("later", WriteFootprint("6", "created"), at=151))
    assert index.footprints("main", "tickets", "5") == []
    assert len(index) == 1


def test_a_write_is_in_flight_until_it_ends_or_for_two_minutes():
    index = WriteIndex()
    index.add(begun("w", "5"))
    index.add(begun("c", creates=1))

    def awaits(*keys: str, creates: bool = False, now: float = 101, client: str = "main", resource: str = "tickets") -> bool:
        return index.in_flight(client, resource, keys, now, creates=creates)

    assert awaits("5", "6")
    assert awaits("6", creates=True)
    assert not awaits("6")
    assert not awaits("5", client="second")
    assert not awaits("5", resource="asset")
    assert not awaits("5", now=1000)
    index.add(ended("w"))
    index.add(ended("c"))
    assert not awaits("5", creates=True)


def test_writes_that_never_ended_are_kept_up_to_a_limit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("worker.state.write_index.MAX_IN_FLIGHT", 2)
    index = WriteIndex()
    for number in range(3):
        index.add(begun(str(number), str(number)))
    assert [index.in_flight("main", "tickets", [str(number)], 100, creates=False) for number in range(3)] == [False, True, True]


def test_no_value_of_a_record_is_in_a_notice():
    from worker.flows.echoes.footprints import footprint_of

    person = {"id": 5, "summary": "Marie Marker", "customfields": [{"id": 1, "value": "Marie Marker"}], "born": "1990-02-03T00:00:00", "pin": 4711}
    written = ended("w", footprint_of("5", {"id": 5, "summary": "Marie Marker"}, {**person, "summary": "Old", "born": None, "pin": 12}, person)).encode()
    for text in (b"Marker", b"1990", b"4711"):
        assert text not in written
