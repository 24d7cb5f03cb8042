"""A worker that stops while it fetches details loses no record: the next turn reads again what this one has read."""

from __future__ import annotations

from tests.tools.every import every
from tests.unit.changes.polling import Polling, tickets
from tests.unit.changes.simulated import Manners, SimulatedHalo
from worker.catalogue.operation import Operation
from worker.core.exchange import Exchange, Priority, Request, RequestResult

DETAILS = Operation("GET", "/Tickets/{id}", path_parameters={"id": "int"})
ROWS = 23


class StoppingHalo(SimulatedHalo):
    """Gives details too, but for the `stops`-th request for some, which is not sent any more."""

    def __init__(self, stops: int) -> None:
        super().__init__(Manners(cap=5))
        self.stops = stops
        self.fetched = 0

    async def send(self, request: Request, *, priority: Priority) -> Exchange:
        number = request.path.rpartition("/")[2]
        if not number.isdecimal():
            return await super().send(request, priority=priority)
        self.fetched += 1
        if self.fetched == self.stops:
            return Exchange(RequestResult.NOT_SENT, reason="the worker stopped before the request was sent")
        return Exchange(RequestResult.DONE, 200, body=self.rows[int(number)].shown() | {"whole": True})


@every("stops", range(1, ROWS + 1, 3))
@every("changes", ["by_date", "by_content"])
async def test_every_record_is_published_whole_and_once_wherever_the_worker_stops(stops: int, changes: str):
    halo = StoppingHalo(stops)
    for _ in range(ROWS):
        halo.insert()
    polling = Polling(halo, tickets(changes=changes, details=DETAILS))
    assert await polling.poll() == "complete"
    assert all(change.record["whole"] for change in polling.emitted.changes)
    keys = [change.key for change in polling.emitted.changes]
    assert set(keys) == {str(number) for number in range(1, ROWS + 1)}
    assert len(keys) <= ROWS + 5, "at most those of the page in hand"
