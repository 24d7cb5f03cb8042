"""Only records that the routes both write and watch on one client are guarded."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.tools.every import every
from worker.catalogue.actions import ACTIONS
from worker.catalogue.catalogue import load
from worker.config.automation import Runbook, Step
from worker.config.routes import Publisher, Routes, Subscriber
from worker.flows.echoes.guard import guarded_resources


def operation(entity: str, method: str):
    return load().find(entity, method)


SEEN = Subscriber("seen", "main", operation("Tickets", "GET"))
ERP = Publisher("erp", "main", "q", operation("Tickets", "POST"))


def routes(seen: Subscriber = SEEN, erp: Publisher | None = ERP, step: Step | None = None) -> Routes:
    runbooks = {"rb": Runbook("rb", "s", {"s": step})} if step else {}
    return Routes({}, {"seen": seen}, {"erp": erp} if erp else {}, {}, runbooks)


def test_what_is_written_and_watched_is_guarded():
    assert guarded_resources(routes()) == {"main": {"tickets"}}
    assert guarded_resources(routes(erp=replace(ERP, operation=operation("Tickets/{id}", "DELETE")))) == {"main": {"tickets"}}
    assert guarded_resources(routes(seen=replace(SEEN, operation=operation("Tickets/{id}", "GET")))) == {"main": {"tickets"}}


@every("watched", ["Tickets", "Opportunities", "Projects"])
@every("written", ["Tickets", "Opportunities", "Projects"])
def test_tickets_opportunities_and_projects_are_records_of_one_table(watched: str, written: str):
    seen, erp = replace(SEEN, operation=operation(watched, "GET")), replace(ERP, operation=operation(written, "POST"))
    assert guarded_resources(routes(seen, erp)) == {"main": {"tickets"}}


@pytest.mark.parametrize(
    "found",
    [
        routes(erp=None),
        routes(erp=replace(ERP, client="second")),
        routes(erp=replace(ERP, operation=operation("Asset", "POST"))),
        routes(erp=replace(ERP, operation=operation("Tickets/Object", "POST"))),
        routes(seen=replace(SEEN, echo=True)),
        routes(seen=replace(SEEN, changes="all")),
    ],
    ids=["nothing writes", "another client", "another list", "another kind of write", "echoes are wanted", "everything is published each time"],
)
def test_anything_else_is_not(found: Routes):
    assert guarded_resources(found) == {}


def test_actions_of_runbooks_write_as_well():
    step = Step("s", action=ACTIONS["update_ticket"], client="main")
    assert guarded_resources(routes(erp=None, step=step)) == {"main": {"tickets"}}
    assert guarded_resources(routes(erp=None, step=replace(step, client="second"))) == {}
    assert guarded_resources(routes(erp=None, step=Step("s", end="done"))) == {}
