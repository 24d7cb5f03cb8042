"""The details of changed records: what Halo refuses is told from what it fails to answer, and one record from all of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product

import pytest

from tests.tools.every import every
from worker.catalogue.operation import Operation
from worker.changes.detect import Change
from worker.core.exchange import Exchange, Priority, Request, RequestResult
from worker.core.outcome import DeadClass
from worker.flows.polling.details import ALL_REFUSED, UNANSWERED, DetailsStopped, FetchedDetails, Unfetched, fetch_all, fetch_record, unfetched

DETAILS = Operation("GET", "/Tickets/{id}", path_parameters={"id": "int"})
REFUSED, LOST = Exchange(RequestResult.AUTH, 403, "Halo answered 403"), Exchange(RequestResult.AMBIGUOUS, 500, "Halo answered 500")


def change(number: int) -> Change:
    return Change("updated", str(number), {"id": number}, "old", "new")


@dataclass
class Answering:
    """Answers every record, but for these ids."""

    but: dict[int, Exchange] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)

    async def send(self, request: Request, *, priority: Priority) -> Exchange:
        assert priority is Priority.POLL
        number = int(request.path.rpartition("/")[2])
        self.asked.append(number)
        return self.but.get(number) or Exchange(RequestResult.DONE, 200, body={"id": number, "whole": True})


async def fetch(reader: Answering, count: int, *, before: int = 0) -> FetchedDetails:
    return await fetch_all(lambda each: fetch_record(reader, DETAILS, each, {}), [change(number) for number in range(count)], before=before)


async def test_a_record_is_published_whole():
    [found] = (await fetch(Answering(), 1)).fetched
    assert found == change(0).__class__("updated", "0", {"id": 0, "whole": True}, "old", "new")


async def test_one_record_that_is_refused_does_not_hold_up_the_others():
    found = await fetch(Answering({2: REFUSED}), 5)
    assert [each.key for each in found.fetched] == ["0", "1", "3", "4"]
    assert [(each.change.key, each.dead_class, each.status) for each in found.unfetched] == [("2", DeadClass.AUTH, 403)]
    assert not found.gave_up


async def test_a_record_without_an_id_is_refused_as_what_it_is():
    found = await fetch_record(Answering(), DETAILS, Change("created", "x", {"name": "x"}, None, "new"), {})
    assert isinstance(found, Unfetched)
    assert (found.dead_class, found.lasting) == (DeadClass.REJECTED, True)


async def test_refusals_of_every_record_are_a_missing_permission_and_not_many_records_to_park():
    reader = Answering(dict.fromkeys(range(50), REFUSED))
    found = await fetch(reader, 50)
    assert "refuses every record" in found.gave_up
    assert len(reader.asked) == ALL_REFUSED


@pytest.mark.parametrize(("but", "before"), [(range(1, 50), 0), (range(50), 1)], ids=["one was read on this page", "one was read before"])
async def test_refusals_beside_a_record_that_was_read_are_those_of_single_records(but: range, before: int):
    found = await fetch(Answering(dict.fromkeys(but, REFUSED)), 50, before=before)
    assert (len(found.unfetched), found.gave_up) == (len(but), "")


async def test_records_without_an_answer_one_after_the_other_end_the_poll_before_they_take_an_hour():
    reader = Answering(dict.fromkeys(range(10, 50), LOST))
    found = await fetch(reader, 50)
    assert len(found.fetched) == 10
    assert len(reader.asked) == 10 + UNANSWERED
    assert LOST.reason in found.gave_up


@every(("fate", "status", "down", "oversized"), list(product(RequestResult, (None, 200, 400, 403, 404, 500), (False, True), (False, True))))
def test_every_exchange_without_a_record_has_a_meaning(fate: RequestResult, status: int | None, down: bool, oversized: bool):
    exchange = Exchange(fate, status, "why", down=down, oversized=oversized)
    if fate is RequestResult.NOT_SENT and not down:
        with pytest.raises(DetailsStopped):
            unfetched(change(1), exchange)
        return
    found = unfetched(change(1), exchange)
    assert found.lasting == (fate in {RequestResult.AUTH, RequestResult.REJECTED, RequestResult.DONE} or (fate is RequestResult.DONE_UNREAD and oversized))
    assert (found.dead_class is DeadClass.RETRIES_EXHAUSTED) == (not found.lasting)
