"""A recording of a real Halo has its shapes and ids, and nothing of its people; a worker can be developed against it."""

from __future__ import annotations

import base64
import json
from contextlib import asynccontextmanager
from random import Random
from urllib.parse import quote

import aiohttp
import pytest
from yarl import URL

from tests.tools.job import client, routes, subscriber
from worker.cli.recorded_halo import address_of, require_loopback
from worker.core.errors import ConfigError
from worker.sandbox.recording.exchange_file import UnusableRecording, open_writer, read_exchanges
from worker.sandbox.recording.known_names import KnownNames
from worker.sandbox.recording.recorder import record
from worker.sandbox.recording.replay import replay
from worker.sandbox.recording.scrubbing import Scrubber

NAMES = KnownNames.published()
FIRST = ["Marie", "Jürgen", "Siobhán", "Łukasz", "Anaïs", "Tom", "Ngọc", "Björk", "Zoë", "Pétur"]
LAST = ["Marker", "O'Neill", "Müller-Lüdenscheidt", "Kowalski", "Ibáñez", "Smith", "Trần", "Guðmundsdóttir", "García", "van Dyck"]
STREETS = ["Hauptstraße", "Elm Street", "Rue de l'Église", "ul. Długa", "Piazza Navona"]


def planted(count: int, seed: int = 7) -> list[str]:
    """Personal values, each of them unlike any other: names, e-mail, telephone, address, birthday, account, free text."""
    random = Random(seed)
    makers = [
        lambda n: f"{random.choice(FIRST)} {random.choice(LAST)} {n:04}",
        lambda n: f"{random.choice(FIRST).lower()}.{n:04}@acme-{n}.example.org",
        lambda n: f"+49 151 {random.randrange(10**7, 10**8)}",
        lambda n: f"0049{random.randrange(10**10, 10**11)}",
        lambda n: f"{random.choice(STREETS)} {n:04}",
        lambda n: f"{random.randrange(1930, 2010)}-{random.randrange(1, 13):02}-{random.randrange(10, 28)}T00:00:{n % 60:02}.{n:04}",
        lambda n: f"DE{random.randrange(10**19, 10**20)}",
        lambda n: f"He said that {random.choice(FIRST)} {n:04} is ill",
        lambda n: f"{random.choice(LAST)}{n:04}",
        lambda n: f"10.{n % 250}.{n // 250}.17{n % 7}",
    ]
    return [makers[n % len(makers)](n) for n in range(count)]


def hidden_in(value: str, number: int) -> dict[str, object]:
    """The value in one of many places."""
    quoted = json.dumps({"who": value}, ensure_ascii=bool(number % 2))
    places: list[dict[str, object]] = [
        {"summary": value},
        {"colour": value},
        {"id": 7, "user_id": value},
        {"lastupdate": value},
        {"customfields": [{"id": 3, "name": "CFWhatever", "value": value, "display": value}]},
        {"details_html": f"<p>Dear <b>{value}</b></p>"},
        {"url": f"https://intranet/people?q={quote(value)}"},
        {"note": quoted},
        {"note": json.dumps([quoted])},
        {"attachment": base64.b64encode(value.encode()).decode()},
        {"headers": f"From: {value}\r\nX-Mailer: none"},
        {value: 1},
        {"tags": [[value]]},
        {"guid": value, "count": value, "true": value},
        {"nested": {"deeper": {"deepest": {"label": value}}}},
    ]
    return places[number % len(places)]


def traces_of(value: str) -> list[str]:
    """How it could stand in the file."""
    return [
        value,
        value.lower(),
        quote(value),
        json.dumps(value)[1:-1],
        base64.b64encode(value.encode()).decode(),
        "".join(filter(str.isdigit, value)) or value,
    ]


def test_of_a_thousand_personal_values_in_any_place_none_is_left():
    scrubber, values = Scrubber(NAMES), planted(1000)
    documents = [hidden_in(value, number) for number, value in enumerate(values)]
    text = json.dumps(scrubber.value({"tickets": documents, "record_count": 1000}), ensure_ascii=False)
    text += json.dumps([scrubber.query({"search": value, value: "1", "ticket_id": value}) for value in values], ensure_ascii=False)
    text += " ".join(scrubber.path(f"/Users/{quote(value)}/{value}") for value in values)
    found = [value for value in values for trace in traces_of(value) if len(trace) > 6 and trace in text]
    assert found == []


@pytest.mark.parametrize(
    "kept",
    [
        {"id": 4711, "client_id": 12, "status_id": 9, "user_id": 2_000_000_001},
        {"lastupdate": "2026-03-01T08:00:00.123Z", "dateoccurred": "2026-03-01"},
        {"inactive": False, "estimate": 1.5, "priority_id": None, "summary": ""},
        {"customfields": [{"id": 3, "name": "CFCostCentre", "value": 17}]},
        {"guid": "6f1c2f4e-7f0a-4c57-9c0e-1f5b8f6a7d11", "colour": "#ff8800"},
    ],
)
def test_shapes_ids_dates_and_flags_stay(kept):
    assert Scrubber(NAMES).value(kept) == kept


@pytest.mark.parametrize(
    "number", [{"phonenumber": 5551234}, {"value": 491511234567}, {"dateofbirth": "1980-01-01"}, {"latitude": 52.5163}, {"postcode": 10115}]
)
def test_numbers_and_dates_that_say_who_somebody_is_go(number):
    [(name, value)] = number.items()
    assert str(value) not in str(Scrubber(NAMES).value(number)[Scrubber(NAMES).member(name)])


def test_equal_values_stay_equal_and_different_ones_different():
    told = Scrubber(NAMES).value([{"site_name": "Berlin"}, {"name": "Berlin"}, {"name": "Bonn"}])
    assert told[0]["site_name"] == told[1]["name"] != told[2]["name"]


def test_a_name_of_a_member_that_is_to_be_kept_is_kept():
    assert Scrubber(KnownNames.published(["cost_centre"])).value({"cost_centre": 1, "Marie": 2}).keys() == {"cost_centre", "member1"}


@asynccontextmanager
async def recording(halo, path, *, writes=False):
    lines = []
    with open_writer(path) as writer:
        async with record(URL(halo.url), Scrubber(NAMES), writer, "127.0.0.1", 0, writes=writes, watch=lambda *seen: lines.append(seen)) as url:
            yield url, lines


def through(url, halo):
    return client(halo, url=url)


async def test_a_worker_reads_through_the_recorder_and_then_from_the_recording(memory_job, halos, tmp_path):
    halo = await halos(tickets=150)
    for number, value in enumerate(planted(150)):
        halo.store.update("tickets", number + 1, {"summary": value, "user_name": value})
    file, feed = tmp_path / "r.ndjson", {"feed": subscriber(queue="events")}
    async with recording(halo, file) as (url, _):
        running = await memory_job.start(routes(halo, subscribers=feed) | {"clients": {"main": through(url, halo)}})
        real = await memory_job.other.take_all("events", 150)
        await running.stop()
    content = file.read_text("utf-8")
    assert [value for value in planted(150) if value in content] == []
    assert halo.settings.client_secret not in content
    assert file.stat().st_mode & 0o077 == 0
    async with replay(read_exchanges(file), "127.0.0.1", 0, lambda *_: None) as url:
        await memory_job.start(routes(halo, subscribers={"again": subscriber(queue="replayed")}) | {"clients": {"main": through(url, halo)}})
        again = await memory_job.other.take_all("replayed", 150)
    assert {each.body["id"] for each in again} == {each.body["id"] for each in real} == set(range(1, 151))
    assert {frozenset(each.body) for each in again} == {frozenset(each.body) for each in real}


async def test_a_recorder_lets_nothing_through_that_writes_or_leads_elsewhere(halos, tmp_path):
    halo = await halos()
    async with recording(halo, tmp_path / "r.ndjson") as (url, _), aiohttp.ClientSession() as session:
        refused = [
            ("POST", "/api/Tickets"),
            ("DELETE", "/api/Tickets/1"),
            ("PUT", "/api/Tickets"),
            ("GET", "/_sandbox/journal"),
            ("GET", "/admin"),
            ("POST", "/api/Report"),
        ]
        for method, path in refused:
            async with session.request(method, url + path, json=[{"id": 1}]) as answer:
                assert answer.status == 405, path
        async with session.get(f"{url}/api/authinfo") as answer:
            assert (await answer.json())["auth_url"] == f"{url}/auth"
    assert halo.journal.executed() == []
    assert {entry.path for entry in halo.journal.requests} == {"/api/authinfo"}


async def test_writes_pass_where_that_is_asked_for_and_are_not_recorded(memory_job, halos, tmp_path):
    halo, file = await halos(), tmp_path / "r.ndjson"
    async with recording(halo, file, writes=True) as (url, _):
        defined = routes(halo, publishers={"erp": {"client": "main", "queue": "assets", "entity": "Asset"}}) | {"clients": {"main": through(url, halo)}}
        running = await memory_job.start(defined)
        await memory_job.other.send({"payload": {"inventory_number": "SN-1"}})
        await running.settled("erp", "done")
    assert [each for each in read_exchanges(file) if each.method != "GET"] == []
    assert len(halo.journal.created("/Asset")) == 1


async def test_a_replay_answers_reads_only_and_says_what_it_does_not_have(tmp_path):
    with open_writer(tmp_path / "r.ndjson"):
        pass
    async with replay(read_exchanges(tmp_path / "r.ndjson"), "127.0.0.1", 0, lambda *_: None) as url, aiohttp.ClientSession() as session:
        async with session.get(f"{url}/api/Tickets") as answer:
            assert (answer.status, "no answer to GET /tickets" in await answer.text()) == (404, True)
        async with session.post(f"{url}/api/Tickets", json=[]) as answer:
            assert answer.status == 405


def test_a_recording_overwrites_no_file_and_a_file_that_is_none_is_refused(tmp_path):
    (tmp_path / "there").write_text("mine")
    with pytest.raises(UnusableRecording, match="cannot be created"), open_writer(tmp_path / "there"):
        pytest.fail("it was overwritten")
    with pytest.raises(UnusableRecording, match="no recording"):
        read_exchanges(tmp_path / "there")
    assert (tmp_path / "there").read_text() == "mine"


@pytest.mark.parametrize(
    "address", ["acme.haloitsm.com", "http://acme.haloitsm.com", "https://u:hidden-word@acme.haloitsm.com", "https://acme.haloitsm.com/api", "ftp://x", ""]
)
def test_an_address_to_which_credentials_must_not_go_is_refused_and_not_shown(address):
    with pytest.raises(ConfigError) as refused:
        address_of(address)
    assert "hidden-word" not in str(refused.value)


def test_a_recorder_is_for_this_machine_only():
    require_loopback("127.0.0.1")
    with pytest.raises(ConfigError, match="listens on this machine only"):
        require_loopback("0.0.0.0")
