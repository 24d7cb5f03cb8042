"""Other people at work: tickets, notes, assets and users that change while somebody watches."""

from __future__ import annotations

import asyncio
from random import Random

from worker.sandbox.seeded_tenant import SUMMARIES
from worker.sandbox.store import Store
from worker.sandbox.table import Table


async def simulate_activity(store: Store, per_second: float, seed: int = 1) -> None:
    """Changes the store at this rate, always in the same way for the same seed, until it is cancelled."""
    chance = Random(seed)  # noqa: S311  reproducible chance is the point
    while True:
        await asyncio.sleep(1 / per_second)
        make_change(store, chance)


def make_change(store: Store, chance: Random) -> str:
    """One change as a person would make it, and what it was."""
    dice = chance.random()
    ticket = _any_of(store.table("tickets"), chance)
    if dice < 0.35 or ticket is None:  # noqa: PLR2004  a third of what happens is new tickets
        user = _any_of(store.table("users"), chance) or 1
        site = store.table("users").value(user, "site_id")
        return f"ticket {store.create('tickets', {'summary': chance.choice(SUMMARIES), 'user_id': user, 'site_id': site})['id']} created"
    if dice < 0.65:  # noqa: PLR2004  a third moves on
        store.update("tickets", ticket, {"status_id": chance.choice((2, 3, 4, 8, 9)), "agent_id": chance.randrange(2, 10)})
        return f"ticket {ticket} updated"
    if dice < 0.85:  # noqa: PLR2004  people write notes
        note = store.create("actions", {"ticket_id": ticket, "outcome_id": 7, "note_html": "<p>Called back</p>"})
        return f"note {note['id']} on ticket {ticket} created"
    if dice < 0.97:  # noqa: PLR2004  assets change now and then
        asset = _any_of(store.table("asset"), chance) or 1
        store.update("asset", asset, {"notes": f"Checked {chance.randrange(1000)}"})
        return f"asset {asset} updated"
    store.delete("tickets", ticket)
    return f"ticket {ticket} deleted"


def _any_of(table: Table, chance: Random) -> int | None:
    """The position of some record, recent ones rather than old ones."""
    for _ in range(20):
        position = table.last - int(table.last * chance.random() ** 3)
        if position > 0 and table.position(position) is not None:
            return position
    return None
