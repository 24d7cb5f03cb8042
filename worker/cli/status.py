"""`halo-worker status`: shows replicas, routes, clients and waiting messages, as a table or as JSON, from any machine that reaches the broker."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from worker.app.overview import overview
from worker.app.route_queues import RouteQueues, queues_by_route
from worker.broker.open import MEMORY, open_broker
from worker.cli.console import output, table, with_noun, write_json
from worker.config.valid_routes import load_valid_routes
from worker.core.clock import SystemClock
from worker.core.durations import format_duration
from worker.core.errors import ConfigError, Problem
from worker.core.ports import Broker
from worker.logs import configure
from worker.settings import Settings, load_settings
from worker.state.keys import shared_key

GOOD, NOT_WELL = 0, 1
WATCH_EVERY = 2.0  # seconds
STYLES = {"running": "green", "paused": "yellow", "waiting": "yellow", "down": "red"}


def status(environment: Mapping[str, str], *, watch: bool, as_json: bool) -> int:
    """Show the status. Return 0 when a replica is ready and no route is down, otherwise 1. Raises `ConfigError`, `BrokerError`."""
    settings = load_settings(environment)
    configure("error")
    require_broker(settings)
    return asyncio.run(show_overview(settings, local_route_queues(settings, environment), watch=watch, as_json=as_json))


def require_broker(settings: Settings) -> None:
    """Require a broker outside of this process. Raises `ConfigError`."""
    if settings.amqp_url.get_secret_value().startswith(MEMORY):
        raise ConfigError([Problem("WORKER_AMQP_URL", 0, 0, "memory:// exists within one process: set the address of the broker that the worker uses")])


def local_route_queues(settings: Settings, environment: Mapping[str, str]) -> list[RouteQueues]:
    """Return the places of this machine's route files, if it has any: replicas report theirs."""
    try:
        return queues_by_route(load_valid_routes(settings.routes, environment, settings.secrets).routes)
    except ConfigError:
        return []


async def show_overview(settings: Settings, places: list[RouteQueues], *, watch: bool, as_json: bool) -> int:
    clock, console = SystemClock(), output()
    async with open_broker(settings.amqp_url.get_secret_value(), name="halo-worker status", heartbeat=settings.heartbeat) as broker:
        key = await shared_key(broker, clock)
        if watch:
            return await watch_status(broker, clock, key, places, console, as_json=as_json)
        found = await overview(broker, clock, key, places)
    if as_json:
        write_json(found)
    else:
        console.print(render_status(found, console, clock.now()))
    return GOOD if is_well(found) else NOT_WELL


async def watch_status(broker: Broker, clock: SystemClock, key: bytes, places: list[RouteQueues], console: Console, *, as_json: bool) -> int:
    """Show the status until interrupted: one JSON text per line, or a table that is drawn again."""
    if as_json:
        while True:
            write_json(await overview(broker, clock, key, places), indent=False)
            await clock.sleep(WATCH_EVERY)
    with Live(console=console, auto_refresh=False, screen=console.is_terminal) as live:
        while True:
            live.update(render_status(await overview(broker, clock, key, places), console, clock.now()), refresh=True)
            await clock.sleep(WATCH_EVERY)


def is_well(found: Mapping[str, Any]) -> bool:
    return any(replica["ready"] for replica in found["replicas"]) and all(route["state"] != "down" for route in found["routes"])


def render_status(found: Mapping[str, Any], console: Console, now: float) -> RenderableType:
    """Return the status for people: problems stand out."""
    parts: list[RenderableType] = [replicas_line(found, now)]
    if found["routes"]:
        shown = table(console, "route", "kind", "state", "backlog", "oldest", "retrying", "dead", "last success", "lag", "reason")
        for route in found["routes"]:
            ages = (span(route["oldest_s"]), span(route["lag_s"]))
            numbers = (number(route["backlog"]), ages[0], number(route["retrying"]), Text(number(route["dead"]), style="red" if route["dead"] else ""))
            state = Text(route["state"], style=STYLES[route["state"]])
            shown.add_row(route["name"], route["kind"], state, *numbers, moment(route["last_success"]), ages[1], route["reason"])
        parts.append(shown)
    if found["clients"]:
        shown = table(console, "client", "halo", "budget used", "limit", "reason")
        for client in found["clients"]:
            up = Text("up", style="green") if client["up"] else Text("down", style="red")
            shown.add_row(client["name"], up, str(client["budget_used"]), number(client["budget_limit"]) or "none", "" if client["up"] else client["reason"])
        parts.append(shown)
    if found["unrouted"]:
        parts.append(Text(f"{with_noun(found['unrouted'], 'event')} in halo.unrouted: no queue took them (`halo-worker dead list unrouted`)", style="red"))
    parts += [Text(problem, style="red") for problem in found["problems"]]
    return Group(*parts)


def replicas_line(found: Mapping[str, Any], now: float) -> Text:
    if not found["replicas"]:
        return Text("no replica is there: the worker is down, or its clock differs from this machine's by more than 5 s", style="red")
    replicas = [f"{each['name']} {each['version']}, {'ready' if each['ready'] else 'NOT READY'}, up {span(now - each['since'])}" for each in found["replicas"]]
    return Text("; ".join(replicas), style="" if all(each["ready"] for each in found["replicas"]) else "yellow")


def span(seconds: float | None) -> str:
    return "" if seconds is None else format_duration(float(max(0, round(seconds))))


def number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def moment(stamp: float | None) -> str:
    return "" if stamp is None else datetime.fromtimestamp(stamp, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
