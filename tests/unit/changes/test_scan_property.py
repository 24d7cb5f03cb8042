"""No change is lost, whatever a list does and however its rows move while it is read: 100 seeds for every kind of list, of which `make test` runs the first few."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import product
from random import Random
from typing import Any

import pytest

from tests.tools.sizes import seeds
from tests.unit.changes.polling import Polling, tickets
from tests.unit.changes.simulated import LISTING, OPERATION, Manners, SimulatedHalo, churning, filled
from worker.changes.pages import PageReader
from worker.changes.position import Position, StampWindow
from worker.changes.scan import Scan, SeenRows
from worker.core.exchange import Request

FEW_AND_ALL = pytest.mark.parametrize("seeds", seeds(4, 100))
ORDERS: dict[str, dict[str, Any]] = {
    "takes order": {"default_order": "newest"},
    "id asc": {"takes_order": False, "default_order": "id"},
    "id desc": {"takes_order": False, "default_order": "id_desc"},
    "newest first": {"takes_order": False, "default_order": "newest"},
    "oldest first": {"takes_order": False, "default_order": "oldest"},
}
FILTERS = {"filters": {}, "ignores to": {"takes_to": False}, "ignores both": {"takes_from": False, "takes_to": False}}
LISTS = [pytest.param(ORDERS[order] | FILTERS[filters], id=f"{order}, {filters}") for order, filters in product(ORDERS, FILTERS)]
SHAPES = ("envelope", "results")
SKEWS = (timedelta(), timedelta(minutes=10), -timedelta(minutes=10))


@dataclass
class Read:
    """What one scan met, and where it ended."""

    contents: dict[str, set[str]]
    position: Position


async def scanned(halo: SimulatedHalo, window: StampWindow | None, random: Random) -> Read:
    """One whole scan, in turns that end at random."""
    contents: dict[str, set[str]] = {}
    position, seen = Position(), SeenRows()
    reader = PageReader(halo, Request("GET", OPERATION.path), LISTING, lambda *_: None)
    while not position.ended:
        scan = Scan(reader, ("id",), window, ordered=True, pause=lambda: random.random() < 0.2)
        async for step in scan.steps(position, SeenRows(keys=seen.keys)):
            position = step.position
            for row in step.rows:
                contents.setdefault(str(row["id"]), set()).add(row["summary"])
    return Read(contents, position)


def manners(random: Random, kind: dict[str, Any]) -> Manners:
    return Manners(cap=random.choice((5, 7, 10)), shape=random.choice(SHAPES), skew=random.choice(SKEWS), **kind)


@pytest.mark.parametrize("seeds", seeds(12, 100))  # of fewer none may be read completely
@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("dated", [True, False], ids=["window", "whole list"])
async def test_a_row_that_stays_is_met_by_a_complete_scan_or_lies_in_the_next_window(kind: dict[str, Any], dated: bool, seeds: range):
    complete = 0
    for seed in seeds:
        random = Random(seed)
        halo = SimulatedHalo(manners(random, kind))
        filled(halo, random, random.randrange(60))
        overlap = timedelta(seconds=random.choice((0, 5, 300)))
        since = halo.now + halo.manners.skew - timedelta(seconds=random.choice((600, 3600))) if dated else None
        before = dict(halo.rows)
        rate = random.choice((0, 0.2, 1.0))
        halo.churn = churning(random, updates=rate, inserts=rate / 2, deletes=rate / 2)
        read = await scanned(halo, StampWindow(since, overlap), random)
        if read.position.state != "complete":
            assert read.position.reason, seed
            continue
        complete += 1
        reached = read.position.reached
        for row in before.values():
            if row.id not in halo.rows or (since is not None and row.stamp < since):
                continue
            now = halo.rows[row.id]
            met = f"v{now.version}" in read.contents.get(str(row.id), ())
            next_window = reached is not None and now.stamp >= reached - overlap
            assert met or next_window, (seed, row, now, reached, read.position)
    assert complete > len(seeds) / 6, "lists are read completely often enough to show something"


@FEW_AND_ALL
@pytest.mark.parametrize("kind", LISTS)
async def test_a_whole_list_without_dates_is_complete_only_when_every_row_that_stays_was_met(kind: dict[str, Any], seeds: range):
    for seed in seeds:
        random = Random(seed)
        halo = SimulatedHalo(manners(random, kind))
        filled(halo, random, random.randrange(60))
        before = set(halo.rows)
        rate = random.choice((0, 0.2, 0.6))
        halo.churn = churning(random, updates=rate, inserts=rate / 2, deletes=rate / 2)
        read = await scanned(halo, None, random)
        if read.position.state == "complete":
            missed = {key for key in before & set(halo.rows) if str(key) not in read.contents}
            moved = {key for key in missed if halo.rows[key].version > 1}
            assert missed <= moved, (seed, missed, read.position)


@FEW_AND_ALL
@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("changes", ["by_date", "by_content"])
async def test_after_the_rows_come_to_rest_one_more_poll_leaves_no_change_unreported(kind: dict[str, Any], changes: str, seeds: range):
    for seed in seeds:
        random = Random(seed)
        halo = SimulatedHalo(manners(random, kind))
        filled(halo, random, random.randrange(30))
        polling = Polling(halo, tickets(changes=changes), pause=lambda random=random: random.random() < 0.1)
        churn = churning(random, updates=0.5, inserts=0.3, deletes=0.2)
        for _ in range(random.randrange(1, 5)):
            halo.churn = random.choice((churn, lambda _: None))
            await polling.poll()
            churn(halo)
            halo.wait(random.choice((1, 60, 600)))
        halo.churn = lambda _: None
        assert await polling.poll() == "complete", (seed, polling.reasons)
        assert polling.untold() == {}, (seed, polling.results)


@FEW_AND_ALL
@pytest.mark.parametrize("skew", SKEWS, ids=["in step", "ahead", "behind"])
async def test_with_start_now_everything_that_changes_later_is_reported_and_nothing_else(skew: timedelta, seeds: range):
    for seed in seeds:
        random = Random(seed)
        halo = SimulatedHalo(Manners(skew=skew, default_order="newest"))
        filled(halo, random, random.randrange(40), over=random.choice((3600.0, 400_000.0)))
        polling = Polling(halo, tickets(start="now"))
        await polling.poll()
        assert polling.news() == [], seed
        old = {row.id: row.version for row in halo.rows.values()}
        halo.churn = churning(random)
        for _ in range(3):
            await polling.poll()
            halo.wait(60)
        halo.churn = lambda _: None
        assert await polling.poll() == "complete", seed
        changed = {row.id for row in halo.rows.values() if old.get(row.id) != row.version}
        assert changed & polling.untold().keys() == set(), seed
        assert {int(change.key) for change in polling.emitted.changes if change.kind == "created"}.isdisjoint(old), seed
        for key, version in old.items():
            if key in halo.rows and halo.rows[key].version == version:
                assert key not in polling.told(), seed


@FEW_AND_ALL
async def test_rows_that_are_committed_late_are_found_inside_the_overlap(seeds: range):
    for seed in seeds:
        random = Random(seed)
        halo = SimulatedHalo(Manners(default_order="newest"))
        filled(halo, random, random.randrange(20))
        polling = Polling(halo, tickets())
        await polling.poll()
        for _ in range(5):
            for _ in range(random.randrange(4)):
                halo.insert(late=timedelta(seconds=random.uniform(0, 230)))
            halo.insert()
            halo.wait(60)
            assert await polling.poll() == "complete", seed
        assert polling.untold() == {}, seed


@FEW_AND_ALL
def test_the_property_would_notice_a_loss(seeds: range):
    """The simulation loses rows when it is read forwards: else the tests above would show nothing."""
    lost = 0
    for seed in seeds:
        random = Random(seed)
        halo = SimulatedHalo(Manners())
        filled(halo, random, 40)
        before, churn, met = set(halo.rows), churning(random), set()
        for page in range(1, 12):
            body = halo._answer({"pageinate": "true", "page_size": "100", "page_no": str(page), "order": "id"})
            met |= {row["id"] for row in body["tickets"]}
            churn(halo)
        lost += bool(before & set(halo.rows) - met)
    assert lost > len(seeds) / 2
