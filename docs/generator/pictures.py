"""`python -m docs.generator.pictures` makes the pictures of the status page: of a worker with sample routes, on a RabbitMQ of the tests, in Chromium.

Nothing compares them: two runs differ in times and ids. Run it after a change of the page, look at them, and commit what changed.
"""

from __future__ import annotations

import asyncio
import math
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.async_api import Browser

from tests.flows.job.conftest import Running, serving
from tests.tools.browser import chromium
from tests.tools.job import OtherSystem, client
from tests.tools.page import TOKEN, page_of
from tests.tools.process import write_routes
from tests.tools.rabbitmq import rabbitmq
from tests.tools.waiting import until
from worker.app import Service
from worker.app.page.history import MINUTE, MINUTES
from worker.broker.open import open_broker
from worker.config.loader import load_routes
from worker.logs import configure
from worker.sandbox.server import serve
from worker.sandbox.settings import SandboxSettings
from worker.sandbox.simulated_halo import SimulatedHalo
from worker.settings import Settings
from worker.state.reports import ClientReport, ReplicaReport, RouteReport

FOLDER = Path(__file__).parents[1] / "pictures"
MOST_BYTES = 500_000  # of all pictures: they are in the repository for ever
WIDE, PHONE = {"width": 1180, "height": 760}, {"width": 390, "height": 760}
AWAY = range(600, 720)  # minutes ago
NOTE = {"ticket_id": "<<TicketId>>", "outcome": "Note", "note_html": "Welcome, <<Name>>"}
STEPS = {
    "asked": {"next": [{"when": "{{ $exists(Name) and TicketId > 0 }}", "go": "welcome"}, {"go": "unknown"}]},
    "welcome": {"action": "create_action", "client": "main", "body": NOTE, "retry": [], "next": "finished", "on_failure": "refused"},
    "finished": {"end": "done"},
    "refused": {"end": "failed", "reason": "Halo refused the note"},
    "unknown": {"end": "failed", "reason": "the starting message names no ticket"},
}
SHAPED = {"payload": {"inventory_number": "{{ serial }}", "client_id": "{{ customer }}"}}


def routes_for(halo: SimulatedHalo) -> dict[str, Any]:
    own = client(halo, rate_limit="700/5m")
    second = own | {"auth": own["auth"] | {"client_secret": "a-secret-that-was-rotated"}, "rate_limit": "none"}
    return {
        "clients": {"main": own, "second": second},
        "subscribers": {
            "tickets": {"client": "main", "entity": "Tickets", "every": "30s", "queue": "events.tickets"},
            "customers": {"client": "main", "entity": "Client", "every": "5m", "queue": "events.customers"},
        },
        "publishers": {
            "computers": {"client": "main", "queue": "cmdb.computers", "entity": "Asset", "transform": SHAPED},
            "contracts": {"client": "second", "queue": "erp.contracts", "entity": "ClientContract", "transform": {"payload": {"ref": "{{ ref }}"}}},
            "alarms": {"client": "main", "queue": "monitoring.alarms", "entity": "Tickets", "transform": {"payload": {"summary": "{{ text }}"}}},
        },
        "runbooks": {
            "onboarding": {"start": {"queue": "hr.joiners"}, "input": {"Name": "request^name!", "TicketId": "request^ticket"}, "first": "asked", "steps": STEPS}
        },
    }


def remember(service: Service) -> None:
    """A day of samples: a working day, a night, and two hours without the broker."""
    now = service.clock.now()
    totals = {"computers": 0, "tickets": 0, "alarms": 0, "onboarding": 0}
    for minute in range(MINUTES, 0, -1):
        at = now - minute * MINUTE
        busy = max(0.02, math.sin((at % 86400 / 86400 - 0.25) * 2 * math.pi))
        for place, name in enumerate(totals):
            totals[name] += round((40 - 9 * place) * busy * (1 + 0.4 * math.sin(minute / 7 + place)))
        if minute in AWAY:
            continue
        routes = tuple(
            RouteReport(name, "subscriber" if name == "tickets" else "publisher", settled=total, last_success=at - 12 - 25 * busy, empty_at=at - 90 * busy**3)
            for name, total in totals.items()
        )
        service.history.add(
            [ReplicaReport("sample", "", 0.0, at, 5.0, ready=True, routes=routes, clients=(ClientReport("main", True, round(520 * busy), 700),))], at
        )


@dataclass(frozen=True, slots=True)
class Shown:
    address: str
    browser: Browser
    running: Running
    other: OtherSystem

    async def stage(self) -> None:
        """Some messages that Halo refuses, a run that fails, and a paused route."""
        for number in range(6):
            await self.other.send({"serial": f"PC-{4711 + number}", "customer": "ACME"}, "cmdb.computers", message_id=f"computer-{4711 + number}")
        for ticket in (1, 999_999, 0):
            await self.other.send({"name": "Ann", "ticket": ticket}, "hr.joiners")
        await self.other.settles("cmdb.computers.dead", 6)
        await self.other.settles("halo.run.onboarding.dead", 2)

    async def take(self, name: str, path: str, *, ready: str = "", whole: bool = False, **options: Any) -> None:
        """`ready`: a text that has to be there."""
        page = await self.browser.new_page(**({"viewport": WIDE} | options))
        await page.goto(f"{self.address}/login")
        await page.get_by_label("Admin token").fill(TOKEN)
        await page.get_by_role("button", name="Sign in").click()
        await page.get_by_text("You may act").wait_for()

        async def there() -> bool:
            await page.goto(self.address + path)
            return not ready or await page.get_by_text(ready).count() > 0

        await until(there)
        if name == "letter":
            await page.get_by_role("link", name="computer-4711", exact=True).click()
            await page.get_by_role("heading", name="What a replay does").wait_for()
        await page.screenshot(path=FOLDER / f"{name}.png", full_page=whole)
        await page.close()


async def pictures(url: str, folder: Path) -> None:
    async with serve(SandboxSettings(rate_limit=None, tickets=20)) as halo, open_broker(url, name="other system") as broker, chromium() as browser:
        directory = write_routes(folder, routes_for(halo))
        settings = Settings(amqp_url=url, routes=directory, admin_port=0, instance="worker-1")
        service = Service(settings, load_routes(directory, {}, folder / "secrets"), asyncio.Event())
        remember(service)
        async with serving(service) as running, page_of(service) as address:
            shown = Shown(address, browser, running, OtherSystem(broker))
            await running.until(lambda: running.value("consuming", route="computers") > 0 and running.value("consuming", route="onboarding") > 0)
            await shown.stage()
            await shown.take("overview", "/", ready="rejected: Halo answered 400")
            await shown.take("overview-phone", "/", ready="rejected: Halo answered 400", viewport=PHONE, color_scheme="dark")
            await shown.take("route", "/route?name=computers", ready="6 rejected")
            await shown.take("letter", "/dead?route=computers", ready="computer-4711")
            await shown.take("runs", "/runs?runbook=onboarding", ready="1 dead", color_scheme="dark")


def main() -> int:
    configure("error", "json")
    FOLDER.mkdir(exist_ok=True)
    with rabbitmq() as broker, tempfile.TemporaryDirectory() as folder:
        asyncio.run(pictures(broker.new_vhost(), Path(folder)))
    sizes = {path: path.stat().st_size for path in sorted(FOLDER.glob("*.png"))}
    sys.stdout.writelines(f"{path.relative_to(FOLDER.parents[1])}: {size:,} bytes\n" for path, size in sizes.items())
    if sum(sizes.values()) <= MOST_BYTES:
        return os.EX_OK
    sys.stderr.write(f"the pictures have more than {MOST_BYTES:,} bytes: make them smaller\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
