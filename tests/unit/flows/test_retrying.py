"""A read that failed by chance is repeated a few times, whatever the chance was; a refusal is final."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.tools.every import every
from worker.core.exchange import Exchange, Priority, Request, RequestResult
from worker.flows.polling.retrying import PAUSES, RetryingReader, is_transient

REQUEST = Request("GET", "/Tickets")
GOOD = Exchange(RequestResult.DONE, 200, body=[])
CHANCES = {
    "a timeout": Exchange(RequestResult.AMBIGUOUS, reason="no answer in time"),
    "500": Exchange(RequestResult.AMBIGUOUS, 500),
    "a web page": Exchange(RequestResult.AMBIGUOUS, 200),
    "a cut body": Exchange(RequestResult.DONE_UNREAD, 200),
    "429": Exchange(RequestResult.THROTTLED, 429),
    "an outage": Exchange(RequestResult.NOT_SENT, down=True),
}
FINAL = {
    "403": Exchange(RequestResult.AUTH, 403),
    "400": Exchange(RequestResult.REJECTED, 400),
    "an answer that is too large": Exchange(RequestResult.DONE_UNREAD, 200, oversized=True),
    "a worker that stops": Exchange(RequestResult.NOT_SENT),
}


@dataclass
class Answering:
    """Gives these answers, the last one again and again. `back`: Halo is there again as soon as somebody waits for it."""

    name = "main"

    answers: list[Exchange]
    back: bool = True
    asked: int = 0
    available: bool = True

    async def send(self, request: Request, *, priority: Priority) -> Exchange:
        assert (request, priority) == (REQUEST, Priority.POLL)
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.available = not answer.down
        return answer

    async def wait_available(self) -> None:
        if not self.back:
            await asyncio.Event().wait()
        self.available = True


@dataclass
class Clock:
    """Nothing takes time; `asleep` is called with each pause."""

    slept: list[float] = field(default_factory=list)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    stops: bool = False

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if self.stops:
            self.stop.set()


async def read(halo: Any, clock: Clock | None = None) -> Exchange:
    clock = Clock() if clock is None else clock
    return await RetryingReader(halo, clock, clock.stop).send(REQUEST, priority=Priority.POLL)  # type: ignore[arg-type]


@every("chance", CHANCES.values(), ids=CHANCES.keys())
@every("times", [1, 2, 3])
async def test_what_fails_by_chance_is_read_again(chance: Exchange, times: int):
    halo = Answering([chance] * times + [GOOD])
    assert await read(halo) == GOOD
    assert halo.asked == times + 1


@pytest.mark.parametrize("chance", CHANCES.values(), ids=CHANCES.keys())
async def test_what_fails_each_time_is_given_up_after_four_attempts(chance: Exchange):
    halo = Answering([chance])
    assert await read(halo) == chance
    assert halo.asked == len(PAUSES) + 1 == 4


@pytest.mark.parametrize("refusal", FINAL.values(), ids=FINAL.keys())
async def test_a_refusal_is_not_asked_twice(refusal: Exchange):
    halo = Answering([refusal])
    assert await read(halo) == refusal
    assert halo.asked == 1


async def test_the_pauses_grow_and_after_a_429_the_budget_is_what_waits():
    clock = Clock()
    await read(Answering([CHANCES["500"]]), clock)
    assert clock.slept == list(PAUSES) == sorted(PAUSES)
    clock = Clock()
    await read(Answering([CHANCES["429"]]), clock)
    assert clock.slept == []


async def test_an_outage_that_lasts_is_not_asked_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("worker.flows.polling.retrying.AWAY_WAIT", 0.01)
    halo = Answering([CHANCES["an outage"]], back=False)
    assert await read(halo) == CHANCES["an outage"]
    assert halo.asked == 1


async def test_a_worker_that_stops_asks_no_more_and_says_that_nothing_was_sent():
    halo = Answering([CHANCES["500"]])
    exchange = await read(halo, Clock(stops=True))
    assert (exchange.result, exchange.down, halo.asked) == (RequestResult.NOT_SENT, False, 1)


@every("fate", RequestResult)
@every("down", [False, True])
def test_a_read_that_was_answered_or_refused_is_never_taken_for_chance(fate: RequestResult, down: bool):
    if fate in {RequestResult.DONE, RequestResult.REJECTED, RequestResult.AUTH}:
        assert not is_transient(Exchange(fate, down=down))
    assert not is_transient(Exchange(fate, down=down, oversized=True))
