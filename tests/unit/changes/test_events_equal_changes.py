"""The set of events equals the set of changes, deletions too, while rows move between the pages that are read: 200 seeds."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest

from tests.tools.sizes import seeds
from tests.unit.changes.polling import Polling, tickets
from tests.unit.changes.simulated import Manners, SimulatedHalo, churning, filled

GONE = "gone"


def stories(polling: Polling) -> dict[int, list[str]]:
    """Of each record the contents that its events told, in their order."""
    told: dict[int, list[str]] = {}
    for change in polling.emitted.changes:
        told.setdefault(int(change.key), []).append(GONE if change.kind == "deleted" else change.record["summary"])
    return told


@pytest.mark.parametrize("seeds", seeds(4, 200))
@pytest.mark.parametrize("changes", ["by_date", "by_content"])
async def test_every_change_is_told_once_and_nothing_else_is(changes: str, seeds: range):
    for seed in seeds:
        random = Random(seed)
        halo = SimulatedHalo(Manners(cap=random.choice((5, 7)), default_order=random.choice(("id", "newest"))))
        filled(halo, random, random.randrange(5, 40))
        route = tickets(changes=changes, deletes=True, deletes_limit=100)
        polling = Polling(halo, route, pause=lambda random=random: random.random() < 0.1)
        churn = churning(random, updates=0.5, inserts=0.3, deletes=0.2)
        for _ in range(random.randrange(1, 5)):
            halo.churn = random.choice((churn, lambda _: None))
            await polling.poll()
            churn(halo)
            halo.wait(random.choice((1, 60, 600)))
        halo.churn = lambda _: None
        for _ in range(3):  # a deletion is told after two complete scans of the whole list
            halo.wait(600)
            assert await polling.poll() == "complete", (seed, polling.reasons)
        told = stories(polling)
        assert {key: story[-1] for key, story in told.items() if story[-1] != GONE} == {row.id: f"v{row.version}" for row in halo.rows.values()}, seed
        for key, story in told.items():
            assert all(one != other for one, other in pairwise(story)), (seed, key, story)
            versions = [int(content[1:]) for content in story if content != GONE]
            assert versions == sorted(versions), (seed, key, story)
            assert (story[-1] == GONE) == (key not in halo.rows), (seed, key, story)
