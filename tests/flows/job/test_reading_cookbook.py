"""The cookbook of deeper reading: each of its routes runs against the simulated Halo, and publishes what happens there."""

from __future__ import annotations

from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.tools.documents import blocks
from tests.tools.job import client, listening

PAGE = "docs/cookbook/reading.md"
RECIPES = [YAML(typ="safe", pure=True).load(block)["subscribers"] for block in blocks(PAGE, "yaml")]


def routes_of(halo, recipe: dict[str, Any]):
    """The recipe with a fast clock, and from the beginning: a first event shows that the statement runs."""
    [(name, route)] = recipe.items()
    fast = {member: value for member, value in route.items() if member != "examples"} | {"every": "50ms", "start": "beginning"}
    return name, {"clients": {"main": client(halo)}, "subscribers": {name: fast}}


def happens(halo, name: str, kind: str) -> None:
    """What the route waits for happens in Halo."""
    match name:
        case "notes" | "time-entries" | "tickets":
            halo.store.create("actions", {"ticket_id": 3, "outcome_id": 7, "note": "The new one", "timetaken": 0.5, "who_agentid": 3, "hiddenfromuser": False})
        case "licence-rows":
            halo.store.update("CustomTable", 12, {"_add_rows": [{"product": "The new one", "seats": "25"}]})
        case "attachments":
            halo.store.create("attachment", {"ticket_id": 3, "filename": "The new one", "filesize": 3, "datecreated": halo.clock()})
        case "ticket-audit":
            sent = {"table_name": "faults", "ticket_id": 3, "value": "Status", "from": "New", "to": "The new one", "agent_id": 3, "date": halo.clock()}
            halo.store.create("audit", sent)
        case _:
            raise AssertionError(kind)


def is_about_it(body: Any) -> bool:
    return "The new one" in str(body) or body.get("minutes") == 30


@pytest.mark.parametrize("recipe", RECIPES, ids=[f"{name}-{number}" for number, recipe in enumerate(RECIPES) for name in recipe])
async def test_each_recipe_publishes_what_happens_in_halo_once(memory_job, halos, recipe):
    halo = await halos(tickets=6)
    name, document = routes_of(halo, recipe)
    halo.store.update("CustomTable", 12, {"_add_rows": [{"product": "An old one", "seats": "1"}]})
    async with listening(memory_job.other.broker) as listener:
        running = await memory_job.start(document)
        await running.polled(name, 2, "complete")
        assert not any(is_about_it(letter.body) for letter in listener.letters)
        heard = len(listener.letters)
        happens(halo, name, str(recipe[name]))
        await listener.hears(heard + 1)
        await running.polled(name, 2, "complete")
        assert [is_about_it(letter.body) for letter in listener.letters[heard:]] == [True]
        assert running.polls(name, "failed", "incomplete") == 0
    assert await memory_job.other.drain(f"halo.dead.{name}") == []
