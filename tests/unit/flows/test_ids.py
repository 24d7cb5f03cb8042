"""Names to ids: how few requests it takes, how long an answer holds, and what is refused."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.unit.flows.routes import answered
from worker.core.errors import LookupUnanswered
from worker.core.exchange import Exchange, Priority, Request, RequestResult
from worker.core.lookups import LookupAnswer
from worker.flows.lookups import ids as ids_module
from worker.flows.lookups import rows as rows_module
from worker.flows.lookups.ids import HIT_TTL, MISS_TTL, HaloIds
from worker.flows.writes.guarded_write import unanswered

CLIENTS = "/Client"


@dataclass
class Listing:
    """A Halo with a few lists: it searches in names as Halo does, pages, and answers in its own time."""

    lists: dict[str, list[dict[str, Any]]]
    requests: list[Request] = field(default_factory=list)
    failure: Exchange | None = None
    cap: int = 100

    async def send(self, request: Request, *, priority: Priority) -> Exchange:
        assert priority is Priority.WRITE
        self.requests.append(request)
        await asyncio.sleep(0)
        if self.failure is not None:
            return self.failure
        rows = self.lists[request.path]
        query = request.query
        if "search" in query:
            rows = [row for row in rows if query["search"].lower() in str(row.get("name", "")).lower()]
        if "client_id" in query:
            rows = [row for row in rows if row.get("client_id") == float(query["client_id"])]
        if "pageinate" not in query:
            return answered(rows)
        first = (int(query["page_no"]) - 1) * self.cap
        return answered({"record_count": len(rows), "results": rows[first : first + self.cap]})


@dataclass
class Moved:
    """A clock that a test moves."""

    at: float = 1000.0

    def monotonic(self) -> float:
        return self.at

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += seconds


def clients(count: int) -> list[dict[str, Any]]:
    return [{"id": 100 + number, "name": f"Client {number:03}."} for number in range(count)]


def found(value: Any) -> LookupAnswer:
    return LookupAnswer(found=True, value=value)


@pytest.fixture
def clock() -> Moved:
    return Moved()


async def test_10_000_messages_with_200_names_take_200_lookups(clock):
    halo = Listing({CLIENTS: clients(400)})
    ids = HaloIds(halo, clock)
    numbers = [number * 7 % 200 for number in range(10_000)]
    answers = await asyncio.gather(*(ids.find("Client", {"name": f"Client {number:03}."}) for number in numbers))
    assert answers == [found(100 + number) for number in numbers]
    assert len(halo.requests) == 200
    assert await ids.find("Client", {"name": "client 007. "}) == found(107)


async def test_a_list_without_pages_is_read_once_for_all_its_names(clock):
    halo = Listing({"/Team": [{"id": number, "name": f"Team {number}", "members": [{"a": 1}]} for number in range(50)]})
    ids = HaloIds(halo, clock)
    answers = [await ids.find("Teams", {"name": f"Team {number}"}) for number in range(50)]
    assert answers == [found(number) for number in range(50)]
    assert len(halo.requests) == 1
    assert not halo.requests[0].query


async def test_a_renamed_client_is_found_after_its_time(clock):
    halo = Listing({CLIENTS: [{"id": 7, "name": "Old"}]})
    ids = HaloIds(halo, clock)
    assert await ids.find("Client", {"name": "Old"}) == found(7)
    assert not (await ids.find("Client", {"name": "New"})).found
    halo.lists[CLIENTS][0]["name"] = "New"
    assert not (await ids.find("Client", {"name": "New"})).found
    clock.at += MISS_TTL
    assert await ids.find("Client", {"name": "New"}) == found(7)
    assert await ids.find("Client", {"name": "Old"}) == found(7)
    clock.at += HIT_TTL - MISS_TTL
    assert not (await ids.find("Client", {"name": "Old"})).found


async def test_a_miss_in_a_list_that_serves_all_names_is_asked_again_after_its_time(clock):
    halo = Listing({"/Status": [{"id": 1, "name": "New"}]})
    ids = HaloIds(halo, clock)
    assert await ids.find("Status", {"name": "New"}) == found(1)
    halo.lists["/Status"].append({"id": 2, "name": "Waiting"})
    assert not (await ids.find("Status", {"name": "Waiting"})).found
    clock.at += MISS_TTL
    assert await ids.find("Status", {"name": "Waiting"}) == found(2)
    assert len(halo.requests) == 2


async def test_two_of_one_name_are_refused_and_more_members_tell_them_apart(clock):
    halo = Listing(
        {"/Site": [{"id": 1, "name": "Main", "client_id": 12.0}, {"id": 2, "name": "main", "client_id": 14.0}, {"id": 3, "name": "Main2", "client_id": 12}]}
    )
    ids = HaloIds(halo, clock)
    answer = await ids.find("Site", {"name": "Main"})
    assert answer == LookupAnswer(found=False, reason="2 records of Site in Halo have this `name`: give more members", refused=True)
    assert await ids.find("Site", {"name": "Main", "client_id": 14}) == found(2)
    assert dict(halo.requests[-1].query) == {"client_id": "14", "search": "Main", "pageinate": "true", "page_size": "100", "page_no": "1"}


async def test_a_name_that_only_contains_another_is_not_it(clock):
    ids = HaloIds(Listing({CLIENTS: [{"id": 1, "name": "Acme Ltd"}]}), clock)
    assert await ids.find("Client", {"name": "Acme"}) == LookupAnswer(found=False, reason="no Client in Halo has this `name`")


async def test_a_priority_is_the_number_that_tickets_use_and_its_rows_repeat_by_sla(clock):
    rows = [
        {"id": f"guid-{sla}-{number}", "priorityid": number, "slaid": sla, "name": name} for sla in (1, 2) for number, name in ((1, "High"), (sla + 1, "Low"))
    ]
    ids = HaloIds(Listing({"/Priority": rows}), clock)
    assert await ids.find("Priority", {"name": "High"}) == found(1)
    assert (await ids.find("Priority", {"name": "Low"})).refused
    assert await ids.find("Priority", {"name": "Low", "slaid": 2}) == found(3)


async def test_ids_come_without_a_fraction_and_a_record_without_one_is_refused(clock):
    ids = HaloIds(Listing({"/Status": [{"id": 3.0, "name": "a"}, {"name": "b"}]}), clock)
    assert repr((await ids.find("Status", {"name": "a"})).value) == "3"
    assert (await ids.find("Status", {"name": "b"})).reason == "the Status that matches has no `id`"


async def test_a_match_on_a_later_page_is_found_and_too_many_pages_are_refused(clock):
    halo = Listing({CLIENTS: [{"id": number, "name": f"Same {number}"} for number in range(250)]})
    ids = HaloIds(halo, clock)
    assert await ids.find("Client", {"name": "Same 24"}) == found(24)
    halo.cap = 5
    assert "more than 10 pages of Client" in (await ids.find("Client", {"name": "Same"})).reason


async def test_fewer_rows_than_halo_counts_are_not_certainly_none(clock):
    class Short(Listing):
        async def send(self, request: Request, *, priority: Priority) -> Exchange:
            self.requests.append(request)
            return answered({"record_count": 9, "clients": []})

    answer = await HaloIds(Short({}), clock).find("Client", {"name": "Acme"})
    assert answer.refused
    assert answer.reason == "Halo counts 9 rows of Client but gives 0"


@pytest.mark.parametrize("entity", ["Nope", "Client/{id}"])
async def test_what_is_no_list_is_refused(clock, entity):
    assert (await HaloIds(Listing({}), clock).find(entity, {"name": "x"})).refused


FAILURES = {
    "away": (Exchange(RequestResult.NOT_SENT, reason="away", down=True), "NotSent"),
    "throttled": (Exchange(RequestResult.THROTTLED, 429, "slow down"), "NotSent"),
    "error": (Exchange(RequestResult.AMBIGUOUS, 500, "broken"), "NotSent"),
    "forbidden": (Exchange(RequestResult.AUTH, 403, "no rights"), "auth"),
    "refused": (Exchange(RequestResult.REJECTED, 400, "no such parameter"), "rejected"),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_a_failed_lookup_is_not_remembered_and_is_no_fault_of_the_message(clock, name):
    exchange, expected = FAILURES[name]
    halo = Listing({CLIENTS: clients(1)}, failure=exchange)
    ids = HaloIds(halo, clock)
    several = await asyncio.gather(*(ids.find("Client", {"name": "Client 000."}) for _ in range(3)), return_exceptions=True)
    assert len(halo.requests) == 1
    (error, *_) = several
    assert all(isinstance(each, LookupUnanswered) for each in several)
    outcome = unanswered(error, doubtful=False)
    assert getattr(outcome, "dead_class", type(outcome).__name__) == expected
    assert outcome.reason == f"the lookup of `$id` in Client failed: {exchange.reason}"
    halo.failure = None
    assert await ids.find("Client", {"name": "Client 000."}) == found(100)


async def test_a_refused_lookup_of_a_message_in_doubt_leaves_it_in_doubt():
    error = LookupUnanswered("Client", FAILURES["refused"][0])
    assert unanswered(error, doubtful=True).dead_class == "in_doubt"


async def test_a_message_that_gives_up_does_not_take_the_answer_from_the_others(clock):
    halo = Listing({CLIENTS: clients(1)})
    ids = HaloIds(halo, clock)
    asking = [asyncio.create_task(ids.find("Client", {"name": "Client 000."})) for _ in range(3)]
    await asyncio.sleep(0)
    asking[0].cancel()
    assert await asyncio.gather(*asking[1:]) == [found(100), found(100)]
    assert len(halo.requests) == 1


async def test_no_more_answers_are_kept_than_have_room(clock, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ids_module, "MAX_ENTRIES", 3)
    halo = Listing({CLIENTS: clients(9)})
    ids = HaloIds(halo, clock)
    ask: Callable[[int], Any] = lambda number: ids.find("Client", {"name": f"Client {number:03}."})  # noqa: E731
    for number in range(5):
        await ask(number)
    assert len(ids._entries) == 3
    await ask(4)
    assert len(halo.requests) == 5
    await ask(0)
    assert len(halo.requests) == 6


@pytest.mark.parametrize("entity", ["Client", "Teams"])
async def test_what_is_remembered_of_very_long_names_takes_little_memory(clock, entity):
    long = 100_000
    halo = Listing({CLIENTS: [], "/Team": [{"id": 1, "name": "Team"}]})
    ids = HaloIds(halo, clock)
    await ids.find(entity, {"name": "first"})
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(100):
            await ids.find(entity, {"name": f"{number}" + "x" * long})
            halo.requests.clear()
        assert tracemalloc.get_traced_memory()[0] < 10 * long
    finally:
        tracemalloc.stop()


async def test_of_a_row_that_was_searched_only_what_answers_are_made_of_is_remembered(clock):
    ids = HaloIds(Listing({CLIENTS: [{"id": 7, "name": "Wide", "notes": "t" * 100_000}]}), clock)
    assert await ids.find("Client", {"name": "Wide"}) == found(7)
    [listed] = ids._entries.values()
    assert [set(row) for row in listed.rows] == [{"id", "name"}]
    assert await ids.find("Client", {"name": "Wide", "notes": "t"}) != found(7), "other members are another search"


async def test_a_very_long_name_is_prepared_once_and_not_for_each_row(clock, monkeypatch: pytest.MonkeyPatch):
    seen = []
    normal = rows_module.normal

    def watched(value: Any) -> Any:
        seen.append(value)
        return normal(value)

    monkeypatch.setattr(rows_module, "normal", watched)
    ids = HaloIds(Listing({"/Team": [{"id": number, "name": f"Team {number}"} for number in range(50)]}), clock)
    assert not (await ids.find("Teams", {"name": "wanted"})).found
    assert seen.count("wanted") <= 2


async def test_an_id_that_counts_within_a_parent_needs_it_and_asks_halo_with_it(clock):
    halo = Listing({"/Lookup": [{"id": 3, "lookupid": 27, "name": "Open"}, {"id": 4, "lookupid": 28, "name": "Open"}]})
    ids = HaloIds(halo, clock)
    assert (await ids.find("Lookup", {"name": "Open"})).reason == "an id of Lookup counts only within its `lookupid`: give that member too"
    assert await ids.find("Lookup", {"name": "Open", "lookupid": 27}) == found(3)
    assert await ids.find("Lookup", {"name": "Open", "lookupid": 28}) == found(4)
    assert [dict(request.query) for request in halo.requests] == [{"lookupid": "27"}, {"lookupid": "28"}]
    assert (await ids.find("TicketApproval", {"name": "x"})).reason == "records of TicketApproval have no `id`: ticket_id and seq identify one"


async def test_two_of_one_name_are_looked_for_again_as_soon_as_none(clock):
    halo = Listing({CLIENTS: [{"id": 1, "name": "Twin"}, {"id": 2, "name": "Twin"}]})
    ids = HaloIds(halo, clock)
    assert (await ids.find("Client", {"name": "Twin"})).refused
    halo.lists[CLIENTS].pop()
    clock.at += MISS_TTL
    assert await ids.find("Client", {"name": "Twin"}) == found(1)
