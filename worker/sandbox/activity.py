"""Simulates other users, who create and change tickets, notes and assets at random."""

from __future__ import annotations

import asyncio
from random import Random

from worker.sandbox.seeded_tenant import SUMMARIES
from worker.sandbox.store import Store
from worker.sandbox.table import Table


async def simulate_activity(store: Store, per_second: float, seed: int = 1) -> None:
    """Change the store at this rate until cancelled. The same seed makes the same changes."""
    random = Random(seed)  # noqa: S311  must be reproducible
    while True:
        await asyncio.sleep(1 / per_second)
        make_change(store, random)


def make_change(store: Store, random: Random) -> str:
    """Makes one change, and returns a description of it."""
    draw = random.random()
    ticket = _any_of(store.table("tickets"), random)
    if draw < 0.35 or ticket is None:  # noqa: PLR2004  35 % of the changes are new tickets
        user = _any_of(store.table("users"), random) or 1
        site = store.table("users").value(user, "site_id")
        return f"ticket {store.create('tickets', {'summary': random.choice(SUMMARIES), 'user_id': user, 'site_id': site})['id']} created"
    if draw < 0.65:  # noqa: PLR2004  30 % are updates of tickets
        store.update("tickets", ticket, {"status_id": random.choice((2, 3, 4, 8, 9)), "agent_id": random.randrange(2, 10)})
        return f"ticket {ticket} updated"
    if draw < 0.85:  # noqa: PLR2004  20 % are notes
        note = store.create("actions", {"ticket_id": ticket, "outcome_id": 7, "note_html": "<p>Called back</p>"})
        return f"note {note['id']} on ticket {ticket} created"
    if draw < 0.97:  # noqa: PLR2004  12 % are updates of assets; the rest deletes tickets
        asset = _any_of(store.table("asset"), random) or 1
        store.update("asset", asset, {"notes": f"Checked {random.randrange(1000)}"})
        return f"asset {asset} updated"
    store.delete("tickets", ticket)
    return f"ticket {ticket} deleted"


def _any_of(table: Table, random: Random) -> int | None:
    """The position of a random record, more often of a recent one."""
    for _ in range(20):
        position = table.last - int(table.last * random.random() ** 3)
        if position > 0 and table.position(position) is not None:
            return position
    return None
