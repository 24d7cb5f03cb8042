"""`halo-worker backfill`: starts, shows and ends a backfill. The workers read the history between polls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from worker.cli.console import errors, output, write_json
from worker.cli.cursor import Desk, moment_of, stamp
from worker.core.clock import SystemClock
from worker.core.durations import format_duration
from worker.core.entropy import new_id
from worker.core.errors import ConfigError, Problem, WorkerError
from worker.core.ports import Broker
from worker.state.backfill import Backfill
from worker.state.baton import Baton
from worker.state.cursor_admin import read_status, replace_baton

GOOD, FAILED = 0, 1
LOOK = 0.2  # seconds between two looks for a baton that a replica holds
AGAIN = 1.0  # seconds between two looks of a command that follows


class CannotBackfill(WorkerError):
    """The backfill cannot start, end or be shown. The text says why, and what to do."""


def backfill(name: str, since: str | None, environment: Mapping[str, str], *, status: bool, cancel: bool, wait: bool | None, as_json: bool) -> int:
    """Return 1 when the backfill ended before it was complete. Raises `ConfigError`, `BrokerError`, `CannotBackfill`, `CannotReplaceBaton`."""
    if (since is not None) + status + cancel != 1:
        raise ConfigError([Problem("backfill", 0, 0, "say one of --from ISO, --status and --cancel")])
    desk = BackfillDesk(environment, name)
    if since is not None:
        desk.require_list()
        return asyncio.run(desk.begin(moment_of(since, "--from"), follow=errors().is_terminal if wait is None else wait, as_json=as_json))
    return asyncio.run(desk.cancel(as_json=as_json) if cancel else desk.status(follow=bool(wait), as_json=as_json))


class BackfillDesk(Desk):
    """The one subscriber that the command is about."""

    def require_list(self) -> None:
        """Raises `CannotBackfill`."""
        if self.route.report is not None or self.route.for_each is not None:
            way = "a report" if self.route.report is not None else "children of other records"
            raise CannotBackfill(f"{self.route.name} reads {way}, and a backfill reads one list: use `halo-worker cursor set {self.route.name} --at ISO`")
        if self.route.operation.listing is None:
            raise CannotBackfill(f"{self.route.name} reads one record, which has no history: use `halo-worker cursor reset {self.route.name}`")

    async def begin(self, since: datetime, *, follow: bool, as_json: bool) -> int:
        now = datetime.now(UTC)
        made = Backfill(new_id()[:12], since, now, now.timestamp())

        def started(before: Backfill | None) -> Backfill:
            if before is not None and before.running:
                raise CannotBackfill(
                    f"a backfill of {self.route.name} since {stamp(before.since)} is under way: see `halo-worker backfill {self.route.name} --status`, or --cancel it"
                )
            return made

        async with self.broker() as broker:
            await self._replaced(broker, started)
            if not follow:
                self._print(made, as_json=as_json)
                return GOOD
            return await self._follow(broker, as_json=as_json)

    async def cancel(self, *, as_json: bool) -> int:
        def cancelled(before: Backfill | None) -> Backfill:
            if before is None or not before.running:
                raise CannotBackfill(f"no backfill of {self.route.name} is under way")
            return replace(before, state="cancelled", reason="an operator ended it", at=SystemClock().now())

        async with self.broker() as broker:
            self._print(await self._replaced(broker, cancelled), as_json=as_json)
        return GOOD

    async def status(self, *, follow: bool, as_json: bool) -> int:
        async with self.broker() as broker:
            if follow:
                return await self._follow(broker, as_json=as_json)
            found = await self._found(broker)
        if found is None:
            raise CannotBackfill(f"{self.route.name} has had no backfill: start one with --from ISO")
        self._print(found, as_json=as_json)
        return FAILED if found.state == "incomplete" else GOOD

    async def _replaced(self, broker: Broker, change: Callable[[Backfill | None], Backfill]) -> Backfill:
        """Replace the backfill in the baton. Raises the errors of `change`, and `CannotBackfill` while a replica holds the baton."""
        made: list[Backfill] = []

        def successor(baton: Baton | None) -> Baton:
            if baton is None:
                raise CannotBackfill(f"the baton of {self.route.name} has been missing for longer than a turn: see `halo-worker cursor show {self.route.name}`")
            made.append(change(Backfill.of(baton.backfill)))
            return replace(baton, backfill=made[-1].as_object())

        await replace_baton(broker, SystemClock(), self.route.name, successor, patience=self.longest)
        return made[-1]

    async def _found(self, broker: Broker) -> Backfill | None:
        """Return the backfill. Wait while a replica holds the baton: some seconds during a backfill. Raises `CannotBackfill`."""
        clock = SystemClock()
        until = clock.monotonic() + self.longest
        while True:
            status = await read_status(broker, clock, self.route.name)
            if status.baton is not None or not status.bootstrapped:
                return None if status.baton is None else Backfill.of(status.baton.backfill)
            if clock.monotonic() >= until:
                raise CannotBackfill(f"the baton of {self.route.name} has been missing for longer than a turn: see `halo-worker cursor show {self.route.name}`")
            await clock.sleep(LOOK)

    async def _follow(self, broker: Broker, *, as_json: bool) -> int:
        """Follow the backfill to its end. An interruption ends only the command."""
        console = errors()
        with Progress(
            TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[told]}"),
            console=console, transient=True, disable=not console.is_terminal,
        ) as bar:  # fmt: skip
            task = bar.add_task(self.route.name, total=1.0, told="")
            while (found := await self._found(broker)) is not None and found.running:
                bar.update(task, completed=found.share or 0.0, told=remaining(found))
                await SystemClock().sleep(AGAIN)
        if found is None:
            raise CannotBackfill(f"{self.route.name} has had no backfill: start one with --from ISO")
        self._print(found, as_json=as_json)
        return GOOD if found.state == "done" else FAILED

    def _print(self, found: Backfill, *, as_json: bool) -> None:
        if as_json:
            write_json(described(self.route.name, found), indent=False)
        else:
            output().print(sentence(self.route.name, found), soft_wrap=True)


def described(name: str, found: Backfill) -> dict[str, Any]:
    """Return the object that `--json` prints. `share`: from 0 to 1; `left_s`: seconds; null while unknown. `ended_at`: null while the backfill runs."""
    ends = None if found.left is None else stamp(datetime.fromtimestamp(found.at + found.left, UTC))
    told = {"subscriber": name, "id": found.id, "state": found.state, "from": stamp(found.since), "until": stamp(found.until)}
    counts = {"rows": found.rows, "published": found.published, "total": found.total, "share": found.share}
    return (
        told
        | counts
        | {
            "left_s": None if found.left is None else round(found.left),
            "ends_at": ends,
            "ended_at": ended(found),
            "failures": found.failures,
            "reason": found.reason,
        }
    )


def sentence(name: str, found: Backfill) -> str:
    """Return the sentence that `--status` prints."""
    about = f"{name}: backfill of what was updated since {stamp(found.since)}"
    counts = f"{found.published:,} events published of {found.rows:,} records read"
    if not found.running:
        return f"{about}: {found.state} at {ended(found)}{f', {found.reason}' if found.reason else ''}; {counts}"
    trouble = f"; the last turn failed ({found.failures} in a row): {found.reason}" if found.failures else ""
    if not found.at:
        return f"{about}: starts with the next turn of a worker{trouble}"
    return f"{about}: {counts}; {remaining(found)}{trouble}"


def ended(found: Backfill) -> str | None:
    return None if found.running else stamp(datetime.fromtimestamp(found.at, UTC))


def remaining(found: Backfill) -> str:
    if found.share is None or found.left is None:
        return "it is counting what there is"
    at = datetime.fromtimestamp(found.at + found.left, UTC)
    return f"{found.share:.0%}, ends in about {format_duration(max(1, round(found.left)))}, at {stamp(at)}"
