"""Rows that move between the pages while a scan reads them: whatever they end as is published.

Halo's clock moves on by seconds with each request, and the routes have no overlap: what a scan misses, a later one does not meet by chance.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from tests.tools.job import EVENTS, listening, routes, subscriber
from tests.tools.sizes import first
from worker.sandbox.faults import Fault, FaultKind

READS = 25  # page reads that rows move during
NEWEST_FIRST = {"query": {"order": "lastupdate", "orderdesc": True}}


class HaloTime:
    """Moves by some seconds at each request."""

    def __init__(self):
        self.moment = datetime.now(UTC)

    def __call__(self):
        return self.moment

    def pass_by(self, seconds):
        self.moment += timedelta(seconds=seconds)


class Churn:
    """Somebody works on the records at each page that is read."""

    def __init__(self, halo, random, entity, time):
        self.halo = halo
        self.random = random
        self.entity = entity
        self.time = time
        self.reads = 0
        self.changes = 0

    def __call__(self, received):
        if received.path.lower() != f"/api/{self.entity}".lower():
            return
        self.time.pass_by(self.random.uniform(0.2, 4))
        if self.reads < READS:
            self.reads += 1
            for _ in range(self.random.randint(0, 3)):
                self._change()
                self.time.pass_by(self.random.uniform(0, 1))

    def _change(self):
        store, random = self.halo.store, self.random
        self.changes += 1
        name = f"change {self.changes}"
        content = {"summary": name, "name": name}
        ids = [row["id"] for row in store.rows(self.entity)]
        match random.choice(["update", "update", "create", "delete"]):
            case "update" if ids:
                store.update(self.entity, random.choice(ids), content)
            case "delete" if len(ids) > 5:
                store.delete(self.entity, random.choice(ids))
            case _:
                store.create(self.entity, content)


async def published_last(job, halos, seed, *, deaf=False, entity="Tickets", **more):
    """One life: what was published last of each record, and what Halo holds in the end."""
    random, time = Random(seed), HaloTime()
    halo = await halos(now=time, token_seconds=1_000_000, seed=seed, tickets=random.randint(8, 25), page_cap=random.randint(2, 5))
    churn = Churn(halo, random, entity, time)
    halo.on_request(churn)
    if deaf:
        halo.fault(Fault(FaultKind.IGNORE_FILTERS, "GET", f"/{entity}", times=None))
    exchange, name = f"exchange-{seed}", f"route-{seed}"
    definition = subscriber(entity=entity, every="5ms", publish={"exchange": exchange}, queue=None, **more)
    async with listening(job.other.broker, f"{EVENTS}-{seed}", exchange) as listener:
        running = await job.start(routes(halo, subscribers={name: definition}))
        await running.until(lambda: churn.reads >= READS)
        await running.polled(name, 3)
        await running.stop()
    last = {letter.body["id"]: letter.body for letter in listener.letters}
    return last, {row["id"]: row for row in halo.store.rows(entity)}


WAYS = {
    "halo_filters_by_date": {},
    "halo_ignores_its_filters": {"deaf": True},
    "the_newest_first": {"request": NEWEST_FIRST},
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize("seeds", first(1, [range(start, start + 5) for start in range(0, 100, 5)]), ids=lambda seeds: f"seeds_{seeds[0]}_to_{seeds[-1]}")
async def test_the_final_content_of_every_ticket_is_published_however_rows_move_while_they_are_read(memory_job, halos, seeds, way):
    for seed in seeds if not way else seeds[:3]:
        last, present = await published_last(memory_job, halos, seed, overlap="0s", **way)
        untold = {key: row["summary"] for key, row in present.items() if last.get(key, {}).get("summary") != row["summary"]}
        assert untold == {}, f"seed {seed}"


@pytest.mark.parametrize("seed", first(3, range(10)))
async def test_the_same_holds_by_content_for_a_list_without_a_date_filter(memory_job, halos, seed):
    last, present = await published_last(memory_job, halos, seed, entity="Supplier")
    assert {key: row["name"] for key, row in present.items() if last.get(key, {}).get("name") != row["name"]} == {}
