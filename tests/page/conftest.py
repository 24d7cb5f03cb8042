"""A worker with a few routes, some of which fail, its status page, and a browser that looks at it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page

from tests.end.conftest import Stage, broker, halos, other, stage  # noqa: F401 - fixtures
from tests.flows.job.conftest import Running
from tests.tools.browser import chromium
from tests.tools.job import OtherSystem, client, publisher, subscriber
from tests.tools.page import TOKEN, page_of
from tests.tools.waiting import until
from worker.sandbox.simulated_halo import SimulatedHalo

SHAPED = {"path": {}, "query": {}, "payload": {"inventory_number": "{{ serial }}", "client_id": "{{ customer }}"}}
NOTE = {"ticket_id": "<<TicketId>>", "outcome": "Note", "note_html": "Welcome, <<Name>>"}
STEPS = {
    "asked": {"next": [{"when": "{{ $exists(Name) and TicketId > 0 }}", "go": "welcome"}, {"go": "unknown"}]},
    "welcome": {"action": "create_action", "client": "main", "body": NOTE, "retry": [], "next": "finished", "on_failure": "refused"},
    "finished": {"end": "done"},
    "refused": {"end": "failed", "reason": "Halo refused the note"},
    "unknown": {"end": "failed", "reason": "the starting message names no ticket"},
}


def scene_routes(halo: SimulatedHalo, **more: Any) -> dict[str, Any]:
    """A subscriber, a publisher of which a message without a known customer fails, and a runbook."""
    return {
        "clients": {"main": client(halo)},
        "subscribers": {"tickets": subscriber(every="2s")},
        "publishers": {"computers": publisher(queue="cmdb.computers", transform=SHAPED)},
        "runbooks": {
            "onboarding": {"start": {"queue": "hr.joiners"}, "input": {"Name": "request^name!", "TicketId": "request^ticket"}, "first": "asked", "steps": STEPS}
        },
    } | more


@dataclass
class Scene:
    """`address`: of the page; `requests`: every address that a browser asked for."""

    address: str
    running: Running
    halo: SimulatedHalo
    other: OtherSystem
    browser: Browser
    contexts: list[BrowserContext] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    async def page(self, **options: Any) -> Page:
        """A page of a browser of its own; what goes wrong in its console fails the test."""
        context = await self.browser.new_context(**options)
        self.contexts.append(context)
        page = await context.new_page()
        page.set_default_timeout(60_000)
        page.on("request", lambda request: self.requests.append(request.url))
        return page

    async def sign_in(self, page: Page) -> None:
        await page.goto(f"{self.address}/login")
        await page.get_by_label("Admin token").fill(TOKEN)
        await page.get_by_role("button", name="Sign in").click()
        await page.get_by_text("You may act").wait_for()

    async def overview_shows(self, page: Page, text: str | re.Pattern[str]) -> None:
        """Opens the overview until it says so."""

        async def there() -> bool:
            await page.goto(self.address)
            return await page.get_by_text(text).count() > 0

        await until(there)

    async def open_letter(self, page: Page, name: str) -> None:
        """By a click in the list, once it is there."""

        async def there() -> bool:
            await page.goto(f"{self.address}/dead")
            return await page.get_by_role("link", name=name, exact=True).count() == 1

        await until(there)
        await page.get_by_role("link", name=name, exact=True).click()
        await page.get_by_role("heading", name=f"Dead letter {name}").wait_for()

    async def fail(self, *ids: str) -> None:
        """Messages that Halo refuses, until they are dead letters."""
        for each in ids:
            await self.other.send({"serial": f"S-{each}", "customer": "Jane Doe"}, "cmdb.computers", message_id=each)
        await self.other.settles("cmdb.computers.dead", len(ids))

    async def join(self, name: str, ticket: int) -> None:
        """A run of the runbook, which fails for a ticket that Halo does not have."""
        await self.other.send({"name": name, "ticket": ticket}, "hr.joiners")
        await self.other.settles("halo.run.onboarding.dead", 1)


@pytest.fixture
async def scene(stage, halos, other) -> AsyncIterator[Scene]:  # noqa: F811 - the fixtures
    halo = await halos()
    async with stage.within(scene_routes(halo)) as running, page_of(running.service) as address, chromium() as browser:
        made = Scene(address, running, halo, other, browser)
        yield made
        for context in made.contexts:
            await context.close()
