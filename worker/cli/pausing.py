"""`halo-worker pause` and `resume`: a pause holds on all replicas until the route is resumed."""

from __future__ import annotations

import asyncio
import getpass
import socket
from collections.abc import Callable, Mapping

from worker.app.pausing import UnknownRoute, change_sentence, for_known_routes
from worker.app.route_queues import queues_by_route
from worker.broker.open import open_broker
from worker.cli.console import output
from worker.cli.status import require_broker
from worker.config.valid_routes import load_valid_routes
from worker.core.clock import SystemClock
from worker.core.errors import ConfigError, Problem
from worker.core.pauses import MAX_TEXT, Pause, Pauses
from worker.core.ports import Broker
from worker.core.route_names import routes_of_name
from worker.logs import configure
from worker.settings import Settings, load_settings
from worker.state.keys import shared_key
from worker.state.reports import newest_reports
from worker.state.route_control import change_pauses

GOOD = 0


def pause(name: str, reason: str, environment: Mapping[str, str]) -> int:
    """Pause a route. For a subscriber over several clients, `name` is one of its routes or all. Raises `ConfigError`, `BrokerError`."""
    clock = SystemClock()
    made = Pause(clock.now(), whoami(), reason[:MAX_TEXT])
    return asyncio.run(change_pause(name, environment, lambda pauses, route: pauses.with_pause(route, made), paused=True))


def resume(name: str, environment: Mapping[str, str]) -> int:
    """Resume a route, also one that is no longer defined. Raises `ConfigError`, `BrokerError`."""
    clock = SystemClock()
    return asyncio.run(change_pause(name, environment, lambda pauses, route: pauses.without(route, clock.now()), paused=False))


async def change_pause(name: str, environment: Mapping[str, str], change: Callable[[Pauses, str], Pauses], *, paused: bool) -> int:
    settings, clock = load_settings(environment), SystemClock()
    configure("error")
    require_broker(settings)
    async with open_broker(settings.amqp_url.get_secret_value(), name="halo-worker pause", heartbeat=settings.heartbeat) as broker:
        key = await shared_key(broker, clock)
        kinds = await known_kinds(broker, key, settings, environment)
        try:
            before, after = await change_pauses(broker, clock, key, for_known_routes(name, kinds, change))
        except UnknownRoute as error:
            raise ConfigError([Problem("ROUTE", 0, 0, str(error))]) from None
    for route in routes_of_name(name, [*kinds, *before.routes]):
        output().print(change_sentence(route, kinds.get(route, ""), before, after, paused=paused), soft_wrap=True)
    return GOOD


async def known_kinds(broker: Broker, key: bytes, settings: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the kinds of the routes that replicas report or the local route files have, by name. A broken file does not matter."""
    found = {route.name: route.kind for report in await newest_reports(broker, SystemClock(), key) for route in report.routes}
    try:
        routes = load_valid_routes(settings.routes, environment, settings.secrets).routes
    except ConfigError:
        return found
    return {place.name: place.kind for place in queues_by_route(routes)} | found


def whoami() -> str:
    """Return the user and the machine, for operators who see the pause later."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user id may have no name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
