"""Rows that move between the pages while a scan reads them: whatever they end as is published."""

from __future__ import annotations

from random import Random

import pytest

from tests.tools.job import EVENTS, listening, routes, subscriber
from worker.sandbox.faults import Does, Fault

READS = 25  # page reads that rows move during


class Churn:
    """Somebody works on the tickets at each page that is read."""

    def __init__(self, halo, random, entity):
        self.halo = halo
        self.random = random
        self.entity = entity
        self.reads = 0
        self.changes = 0

    def __call__(self, received):
        if received.path.lower() != f"/api/{self.entity}".lower() or self.reads >= READS:
            return
        self.reads += 1
        for _ in range(self.random.randint(0, 3)):
            self._change()

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


async def published_last(job, halos, seed, *, deaf, entity="Tickets", **more):
    """One life: what was published last of each record, and what Halo holds in the end."""
    random = Random(seed)
    halo = await halos(seed=seed, tickets=random.randint(8, 25), page_cap=random.randint(2, 5))
    churn = Churn(halo, random, entity)
    halo.on_request(churn)
    if deaf:
        halo.fault(Fault(Does.IGNORE_FILTERS, "GET", f"/{entity}", times=None))
    exchange = f"exchange-{seed}"
    definition = subscriber(entity=entity, every="5ms", publish={"exchange": exchange}, queue=None, **more)
    async with listening(job.other.broker, f"{EVENTS}-{seed}", exchange) as listener:
        running = await job.start(routes(halo, subscribers={f"route-{seed}": definition}))
        await running.until(lambda: churn.reads >= READS)
        await running.polled(f"route-{seed}", 3)
        await running.stop()
    last = {letter.body["id"]: letter.body for letter in listener.letters}
    assert len(listener.keys) > len(last) / 2
    return last, {row["id"]: row for row in halo.store.rows(entity)}


@pytest.mark.parametrize("deaf", [False, True], ids=["halo_filters_by_date", "halo_ignores_its_filters"])
@pytest.mark.parametrize("seeds", [range(start, start + 10) for start in range(0, 100, 10)], ids=lambda seeds: f"seeds_{seeds[0]}_to_{seeds[-1]}")
async def test_the_final_content_of_every_ticket_is_published_however_rows_move_while_they_are_read(memory_job, halos, seeds, deaf):
    for seed in seeds if not deaf else seeds[:4]:
        last, present = await published_last(memory_job, halos, seed, deaf=deaf)
        untold = {key: row["summary"] for key, row in present.items() if last.get(key, {}).get("summary") != row["summary"]}
        assert untold == {}, f"seed {seed}"


@pytest.mark.parametrize("seed", range(10))
async def test_the_same_holds_by_content_for_a_list_without_a_date_filter(memory_job, halos, seed):
    last, present = await published_last(memory_job, halos, seed, deaf=False, entity="Supplier")
    assert {key: row["name"] for key, row in present.items() if last.get(key, {}).get("name") != row["name"]} == {}
