"""Routes that share a list read it once; no route takes an answer that would break the order of its scan."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from worker.core.exchange import Exchange, Priority, Request, RequestResult
from worker.flows.polling.answer_cache import FRESH, AnswerCache, CachingReader

PAGE = [Request("GET", "/Tickets", {"page_no": str(number)}) for number in range(4)]


@dataclass
class Halo:
    """Answers each read with its number; `time` is what the test says."""

    time: float = 0.0
    asked: list[str] = field(default_factory=list)
    fate: RequestResult = RequestResult.DONE

    def now(self) -> float:
        return self.time

    async def send(self, request: Request, *, priority: Priority) -> Exchange:
        self.asked.append(request.query["page_no"])
        return Exchange(self.fate, 200, body=len(self.asked))


@pytest.fixture
def halo() -> Halo:
    return Halo()


async def read(reader: CachingReader, page: int) -> int:
    return (await reader.send(PAGE[page], priority=Priority.POLL)).body


async def test_another_route_gets_the_answer_without_a_request_and_the_same_route_asks_again(halo):
    shared = AnswerCache(halo.now)
    one, other = (CachingReader(name, "main", halo, shared, begun=False) for name in ("one", "other"))
    assert [await read(one, 1), await read(other, 1), await read(other, 1), await read(one, 1)] == [1, 1, 2, 2]


async def test_another_client_asks_itself(halo):
    shared = AnswerCache(halo.now)
    one, other = (CachingReader("route", client, halo, shared, begun=False) for client in ("main", "second"))
    assert [await read(one, 1), await read(other, 1)] == [1, 2]


async def test_an_old_answer_and_a_failed_one_are_not_shared(halo):
    shared = AnswerCache(halo.now)
    one, other = (CachingReader(name, "main", halo, shared, begun=False) for name in ("one", "other"))
    await read(one, 1)
    halo.time += FRESH + 1
    assert await read(other, 1) == 2
    halo.fate = RequestResult.AMBIGUOUS
    await read(one, 2)
    assert await read(other, 2) == 4


async def test_a_scan_takes_no_answer_that_is_older_than_the_one_before(halo):
    shared = AnswerCache(halo.now)
    one, other = (CachingReader(name, "main", halo, shared, begun=False) for name in ("one", "other"))
    await read(one, 1)
    halo.time += 5
    await read(other, 2)
    assert await read(other, 1) == 3, "a row may have moved from page 2 to page 1 in between"


async def test_a_scan_that_began_in_an_earlier_turn_takes_no_answer_from_before_this_turn(halo):
    shared = AnswerCache(halo.now)
    await read(CachingReader("one", "main", halo, shared, begun=False), 1)
    halo.time += 1
    assert await read(CachingReader("other", "main", halo, shared, begun=True), 1) == 2


async def test_old_answers_are_forgotten(halo):
    shared = AnswerCache(halo.now)
    reader = CachingReader("one", "main", halo, shared, begun=False)
    await read(reader, 1)
    halo.time += FRESH + 1
    await read(reader, 2)
    assert len(shared.answers) == 1
