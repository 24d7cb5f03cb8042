"""`halo-worker cursor`: shows how far a subscriber is, and moves its cursor."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from worker.app.clients import open_clients
from worker.app.route_evaluator import open_route_evaluator
from worker.broker.open import open_broker
from worker.catalogue.operation import Operation
from worker.catalogue.requests import build_request
from worker.changes.pages import Page, PageFailed, PageReader
from worker.changes.records import halo_time
from worker.cli.console import errors, output, write_json
from worker.cli.valid_definitions import load_routes_with_warning
from worker.config.compiled import Report
from worker.config.routes import Routes, Subscriber
from worker.config.statements import MAX_ROWS
from worker.core.clock import SystemClock
from worker.core.durations import format_duration, parse_duration
from worker.core.errors import ConfigError, Problem, WorkerError
from worker.core.exchange import Priority, Request
from worker.core.health import Health
from worker.core.ports import Broker, Evaluator, Reader
from worker.core.suggest import choices
from worker.flows.polling.plan import CLOCKS_APART
from worker.flows.polling.report_scan import report_request, rows_of_report
from worker.flows.requests import evaluated_request, subscriber_request
from worker.logs import configure
from worker.metrics import Metrics
from worker.settings import Settings, load_settings
from worker.state.backfill import Backfill
from worker.state.baton import Baton, KnownRef
from worker.state.cursor_admin import BatonStatus, read_status, replace_baton, with_cursor, without_lost_records

GOOD = 0
LEEWAY = 30.0  # seconds beyond the longest turn: by then the replica that holds the baton has returned it


class CannotMove(WorkerError):
    """The cursor of this subscriber cannot be moved this way; the text says what is possible instead."""


@dataclass(frozen=True, slots=True)
class CursorMove:
    """An operator's move. `successor`: returns the new baton; `sentence`: says what happens then; `since`: returns the start of the repeated records."""

    successor: Callable[[Baton | None], Baton]
    sentence: Callable[[Baton], str]
    since: Callable[[Baton | None], datetime | None]
    waits: bool


def show(name: str, environment: Mapping[str, str], *, as_json: bool) -> int:
    """Show the cursor. Raises `ConfigError`, `BrokerError`."""
    return asyncio.run(CursorContext(environment, name).show(as_json=as_json))


def set_to(name: str, at: str, environment: Mapping[str, str], *, dry_run: bool) -> int:
    """Move the cursor to a time. Raises `ConfigError`, `BrokerError`, `CannotMove`, `CannotReplaceBaton`."""
    moment = moment_of(at)
    context = CursorContext(environment, name)
    context.require_cursor()
    return asyncio.run(context.move(CursorMove(lambda baton: with_cursor(baton, moment), moved_sentence, lambda _: moment, waits=True), dry_run=dry_run))


def rewind(name: str, by: str, environment: Mapping[str, str], *, dry_run: bool) -> int:
    """Move the cursor back from its present place, like `set_to`."""
    seconds = duration_of(by)
    context = CursorContext(environment, name)
    context.require_cursor()

    def since(baton: Baton | None) -> datetime:
        if baton is None:
            raise CannotMove(f"the baton of {name} is gone, and with it the place to go back from: use `cursor set {name} --at ISO` or `cursor reset {name}`")
        if not baton.learnt:
            raise CannotMove(f"{name} has not ended its first scan: there is nothing to go back from")
        return (baton.cursor or datetime.fromtimestamp(baton.polled, UTC)) - timedelta(seconds=seconds)

    return asyncio.run(context.move(CursorMove(lambda baton: with_cursor(baton, since(baton)), moved_sentence, since, waits=True), dry_run=dry_run))


def reset(name: str, environment: Mapping[str, str], *, dry_run: bool) -> int:
    """Start the subscriber as at its first poll. Raises `ConfigError`, `BrokerError`, `CannotReplaceBaton`."""
    context = CursorContext(environment, name)
    start = context.route.start
    since = start if isinstance(start, datetime) else None
    return asyncio.run(context.move(CursorMove(lambda _: Baton(), lambda _: first_day(context.route), lambda _: since, waits=False), dry_run=dry_run))


class CursorContext:
    """The settings, the routes and the one subscriber that a command is about."""

    def __init__(self, environment: Mapping[str, str], name: str) -> None:
        self._settings: Settings = load_settings(environment)
        configure("error")
        self._routes: Routes = load_routes_with_warning(name, self._settings, environment)
        self.route = find_subscriber(self._routes.subscribers, name)

    def require_cursor(self) -> None:
        if self.route.changes == "all":
            raise CannotMove(f"{self.route.name} publishes every record at every poll (`changes: all`): it has no cursor to move")

    @property
    def longest(self) -> float:
        return self._settings.turn + LEEWAY

    def broker(self) -> Any:
        return open_broker(self._settings.amqp_url.get_secret_value(), name="halo-worker cursor", heartbeat=self._settings.heartbeat)

    async def show(self, *, as_json: bool) -> int:
        async with self.broker() as broker:
            status = await read_status(broker, SystemClock(), self.route.name)
        found = baton_object(self.route, status, self.longest)
        if as_json:
            write_json(found, indent=False)
        else:
            for member, value in found.items():
                output().print(f"{member.replace('_', ' '):12} {value}", soft_wrap=True)
        return GOOD

    async def move(self, move: CursorMove, *, dry_run: bool) -> int:
        async with self.broker() as broker:
            status = await self._status(broker, move)
            if dry_run:
                count = await self._count(move.since(status.baton))
                output().print(f"{self.route.name}: {move.sentence(move.successor(status.baton))}; {count}. Nothing was changed (--dry-run).", soft_wrap=True)
                return GOOD
            readable = await without_lost_records(broker, self.route.name, status.baton)
            forgets = status.baton is not None and readable != status.baton

            def successor(baton: Baton | None) -> Baton:
                found = move.successor(baton)
                return replace(found, known=KnownRef()) if forgets else found

            patience = self.longest if move.waits and status.baton is not None else 0.0  # the command has already waited for a baton that it did not see
            baton = await replace_baton(broker, SystemClock(), self.route.name, successor, max_wait=patience)
        output().print(f"{self.route.name}: {move.sentence(baton)}.", soft_wrap=True)
        return GOOD

    async def _status(self, broker: Broker, move: CursorMove) -> BatonStatus:
        """Return the baton, and wait for it while a replica holds it. A baton that does not return is gone."""
        status = await read_status(broker, SystemClock(), self.route.name)
        if status.baton is not None or not status.bootstrapped or not move.waits:
            return status
        console = errors()
        told = f"a replica holds the baton of {self.route.name}, or it is gone: waiting for at most {format_duration(round(self.longest))}"
        with console.status(told) if console.is_terminal else nullcontext():
            if not console.is_terminal:
                console.print(told, soft_wrap=True)
            clock = SystemClock()
            until = clock.monotonic() + self.longest
            while status.baton is None and clock.monotonic() < until:
                await clock.sleep(0.2)
                status = await read_status(broker, SystemClock(), self.route.name)
        return status

    async def _count(self, since: datetime | None) -> str:
        """Return how many records the subscriber would read again, as a sentence."""
        async with open_clients(self._routes, self._settings, Metrics(), Health(), SystemClock(), names=[self.route.client]) as clients:
            reader = clients[self.route.client]
            if self.route.report is not None:
                return await self._count_rows(reader, self.route.report, since)
            async with open_route_evaluator(self._routes, self._settings, self.route.client, SystemClock()) as evaluator:
                operation, request = await counted_list(self.route, evaluator)
            more = {"lastupdatefromdate": halo_time(since)} if since is not None and self.route.changes == "by_date" else {}
            page = await PageReader(reader, request, operation.listing, lambda *_: None).read(1, more)
        count = page_count(page)
        what = "record" if self.route.for_each is None else "parent"
        below = "" if self.route.for_each is None else ", with the list of its children each: one request a parent"
        return f"{count:,} {what}{'' if count == 1 else 's'} would be read again{below}" + (
            "" if more or since is None else ", and those published that changed since"
        )

    async def _count_rows(self, reader: Reader, report: Report, since: datetime | None) -> str:
        """Run the statement once. The rows of a cut answer are a minimum."""
        page = rows_of_report(await reader.send(report_request(report, since), priority=Priority.POLL))
        count = page_count(page)
        least = "at least " if count >= (report.top or MAX_ROWS) else ""
        return f"{least}{count:,} row{'' if count == 1 else 's'} of the report would be read again"


async def counted_list(route: Subscriber, evaluator: Evaluator) -> tuple[Operation, Request]:
    """Return the list whose count shows how much a subscriber reads: its own, or that of its parents."""
    if route.for_each is None:
        parameters = await subscriber_request(route, evaluator)
        return route.operation, build_request(route.operation, parameters["path"], parameters["query"])
    parameters = await evaluated_request(route.for_each.request, {}, {"route": route.name, "client": route.client}, evaluator)
    return route.for_each.operation, build_request(route.for_each.operation, parameters["path"], parameters["query"])


def page_count(page: Page | PageFailed) -> int:
    """Return the number of records of a page. Raises `CannotMove`."""
    if isinstance(page, PageFailed):
        raise CannotMove(f"Halo did not say how many records that are: {page.exchange.reason}")
    return len(page.rows) if page.count is None else page.count


def find_subscriber(subscribers: Mapping[str, Subscriber], name: str) -> Subscriber:
    if name in subscribers:
        return subscribers[name]
    raise ConfigError([Problem("SUBSCRIBER", 0, 0, f"there is no subscriber {name!r}{choices(name, subscribers, none='the route files have no subscribers')}")])


def moment_of(text: str, option: str = "--at") -> datetime:
    """Parse a time; without a zone it is UTC. `option`: named in the error. Raises `ConfigError`."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ConfigError([Problem(option, 0, 0, f"{text!r} is not an ISO date, such as 2026-03-01 or 2026-03-01T14:30:00Z")]) from None
    found = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    if found > datetime.now(UTC) + CLOCKS_APART:
        raise ConfigError([Problem(option, 0, 0, f"{text!r} lies in the future: write a time in the past")])
    return found


def duration_of(text: str) -> float:
    """Parse a duration into seconds. Raises `ConfigError`."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise ConfigError([Problem("--by", 0, 0, str(error))]) from None


def stamp(moment: datetime | None) -> str:
    return "none" if moment is None else moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def moved_sentence(baton: Baton) -> str:
    return f"what was updated since {stamp(baton.cursor)} is published again"


def first_day(route: Subscriber) -> str:
    if route.changes == "all":
        return "it starts as at its first poll"
    match route.start:
        case "now":
            return "it starts as at its first poll: the next scan learns what is there and publishes nothing (`start: now`)"
        case "beginning":
            return "it starts as at its first poll: every record is published again (`start: beginning`)"
        case moment:
            return f"it starts as at its first poll: what was updated since {stamp(moment)} is published again"


def baton_object(route: Subscriber, status: BatonStatus, longest: float) -> dict[str, Any]:
    """Return what `show` prints, in its order. `longest`: seconds after which a replica has put the baton back."""
    baton = status.baton
    if not status.bootstrapped:
        return {"subscriber": route.name, "state": "none: the worker has never run with it on this broker"}
    if baton is None:
        return {
            "subscriber": route.name,
            "state": f"polling: a replica holds the baton for its turn. Look again after the turn. If it does not return within "
            f"{format_duration(round(longest))}, it is gone: use `cursor set` or `cursor reset`",
        }
    at = {name: stamp(datetime.fromtimestamp(value, UTC)) if value else "never" for name, value in (("polled", baton.polled), ("due", baton.due))}
    scan = "none under way" if baton.scan is None else f"page {baton.scan['position']['page']}"
    known = {"known_records": baton.known.size, "polls": baton.polls, "turn": f"{baton.epoch}.{baton.generation}"}
    again = {} if baton.again is None else {"again_since": stamp(baton.again)}
    backfill = Backfill.of(baton.backfill)
    again |= {} if backfill is None else {"backfill": f"{backfill.state}, since {stamp(backfill.since)}"}
    return {"subscriber": route.name, "state": status.place, "cursor": stamp(baton.cursor), "learnt": baton.learnt, **at, "scan": scan, **known, **again}
