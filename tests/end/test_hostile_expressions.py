"""Messages and records that break the expression engine: the worker lives, tells why, and those beside them do not notice."""

from __future__ import annotations

import asyncio

import pytest

from tests.tools.job import listening, publisher, routes, subscriber
from tests.tools.sizes import first
from tests.tools.waiting import soon, until

BREAKING = {
    "time": ("$count($distinct(payload.words)) > 0", {"words": [str(number) for number in range(60_000)]}, "longer than allowed"),
    "memory": (f"$length($replace(payload.text, 'a', '{'x' * 2000}')) > 0", {"text": "a" * 200_000}, "more memory than allowed"),
    "panic": ("$parseInteger(payload.number, '1;o') > 0", {"number": "\U0001f600"}, "the expression engine failed"),
}
FINE = {"words": ["a"], "text": "b", "number": "1st"}
NEIGHBOURS = 20


@pytest.mark.parametrize("kind", first(1, BREAKING))
async def test_a_message_that_breaks_the_engine_is_a_dead_letter_and_the_worker_answers_throughout(halos, stage, other, kind):
    when, hostile, said = BREAKING[kind]
    halo = await halos(unique_names=False)
    route = publisher(concurrency=8, when=f"{{{{ {when} }}}}", transform={"payload": {"inventory_number": "{{ 'SN-' & payload.n }}"}})
    worker = await stage.start(routes(halo, publishers={"erp": route}))
    answers = []

    async def ask():
        while True:
            answers.append((await soon(worker.get("/livez")))[0])

    asking = asyncio.create_task(ask())
    for number in range(NEIGHBOURS):
        await other.send({"payload": FINE | {"n": number}})
        if number % 8 == 2:
            await other.send({"payload": hostile | {"n": -1}})
    letters = [await other.take("assets.dead") for _ in range(3)]
    assert {letter.headers["dead-class"] for letter in letters} == {"transform"}
    assert all(said in letter.headers["dead-reason"] and "routes.yaml:" in letter.headers["dead-reason"] for letter in letters)
    assert {letter.headers["dead-attempts"] for letter in letters} == {1}

    async def all_done():
        return len(halo.journal.executed("POST", "/Asset")) == NEIGHBOURS

    await until(all_done)
    assert not asking.done(), asking.exception()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert set(answers) == {200}
    assert len(worker.log("worker.starting")) == 1
    await worker.stop()


async def test_a_record_that_breaks_the_engine_is_parked_and_the_subscriber_goes_on(halos, stage, broker, other):
    halo = await halos(tickets=20)
    halo.store.update("tickets", 7, {"summary": "\U0001f600"})
    transform = {"id": "{{ id }}", "number": "{{ $contains(summary, '\U0001f600') ? $parseInteger(summary, '1;o') : id + 1 }}"}
    async with listening(broker) as listener:
        worker = await stage.start(routes(halo, subscribers={"tickets": subscriber(transform=transform)}))
        letter = await other.take("halo.dead.tickets")
        assert (letter.headers["record"], letter.headers["dead-class"]) == ("7", "transform")
        assert "the expression engine failed" in letter.headers["dead-reason"]
        await listener.hears(19)
        halo.store.update("tickets", 8, {"summary": "changed"})
        await listener.hears(20)
        assert listener.letters[-1].body == {"id": 8, "number": 9}
        await worker.stop()
