"""A worker that is killed before it could tell what it wrote: its echo is published, and nothing of others is lost."""

from __future__ import annotations

from tests.tools.job import EVENTS, publisher, routes, subscriber
from tests.tools.waiting import until
from worker.sandbox.faults import Fault, FaultKind

WRITES = "writes"


async def test_an_echo_of_which_nobody_could_tell_any_more_gets_through_and_the_next_does_not(halos, stage, other):
    halo = await halos()
    watching = subscriber(start="now", every="200ms")
    writing = publisher(entity="Tickets", queue=WRITES)
    worker = await stage.start(routes(halo, subscribers={"seen": watching}, publishers={"erp": writing}))
    await worker.logged("poll.ended", result="complete")
    lists = halo.fault(Fault(FaultKind.HOLD, "GET", "/Tickets", times=None))
    writes = halo.fault(Fault(FaultKind.HOLD, "POST", "/Tickets", executed=True))

    async def written() -> bool:
        return lists.struck > 0 and bool(halo.journal.executed("POST", "/Tickets"))

    await other.send({"payload": {"id": 5, "summary": "ours"}}, WRITES)
    await until(written)
    await worker.kill()
    halo.store.update("tickets", 6, {"summary": "theirs"})
    halo.faults.remove(lists.number)
    halo.faults.remove(writes.number)
    worker = await stage.start(name="successor")
    letters = await other.take_all(EVENTS, 1)
    await worker.logged("message.done")
    await other.send({"payload": {"id": 7, "summary": "ours"}}, WRITES)
    await worker.logged("event.echo", record="7")
    letters += await other.drain(EVENTS)
    told = [letter.body["id"] for letter in letters]
    assert told.count(6) == 1
    assert 7 not in told
    assert set(told) <= {5, 6}
