"""Shared by the `dead` commands: the route's dead queues, the broker, the selection of letters, progress and confirmation."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from worker.app.route_evaluator import open_route_evaluator
from worker.broker.open import MEMORY, open_broker
from worker.cli.beside_mistakes import routes_with
from worker.cli.console import errors
from worker.config.expressions import compile_condition
from worker.config.routes import Routes
from worker.core.clock import SystemClock
from worker.core.errors import ConfigError, Problem, QueueMissing
from worker.core.header_codec import HeaderCodec
from worker.core.ports import Broker, Clock, Evaluator
from worker.flows.dead import operations
from worker.flows.dead.letter import UNROUTED, DeadQueue, all_dead_queues, dead_queues_of
from worker.flows.dead.letter_selector import LetterSelector, Selection
from worker.logs import configure
from worker.settings import Settings, load_settings
from worker.state.keys import shared_key

READS_BODY = re.compile(r"body|[*%]|\$(?!\w)")  # an expression that names `body`, or that uses the letter as a whole


class UsageError(ConfigError):
    """The command cannot run with these arguments."""

    def __init__(self, message: str, place: str = "") -> None:
        super().__init__([Problem(place, 0, 0, message)])


@dataclass(frozen=True, slots=True)
class RouteContext:
    """One route's dead queues, and what the commands need to work on them."""

    settings: Settings
    routes: Routes
    dead_queues: tuple[DeadQueue, ...]
    clock: Clock
    codec: HeaderCodec = field(default_factory=HeaderCodec)
    """Has its key once `broker` is open."""

    @property
    def route(self) -> str:
        return self.dead_queues[0].route

    @asynccontextmanager
    async def broker(self) -> AsyncIterator[Broker]:
        """Raises `BrokerUnreachable`."""
        url = self.settings.amqp_url.get_secret_value()
        async with open_broker(url, name="halo-worker dead", heartbeat=self.settings.heartbeat) as broker:
            self.codec.key = await shared_key(broker, self.clock)
            yield broker

    async def scan(self, broker: Broker, selector: LetterSelector) -> None:
        """Offer all letters to the selector. Raises `BrokerError`, `NoSuchLetter`."""
        async with self.evaluator() as selector.evaluator:
            with progress_bar("reading", await self.depth(broker)) as advance:
                await operations.scan_letters(broker, self.clock, self.dead_queues, selector, advance, largest=self.settings.max_message)

    def evaluator(self) -> AbstractAsyncContextManager[Evaluator]:
        """Starts its processes with the first expression, and asks Halo nothing before an expression does."""
        route = self.routes.subscribers.get(self.route)
        return open_route_evaluator(self.routes, self.settings, route.client if route is not None else None, self.clock)

    async def depth(self, broker: Broker) -> int:
        """Letters in all dead queues. Raises `QueueMissing` if an orphaned queue does not exist."""
        depths = {dead_queue: await broker.queue_depth(dead_queue.name) for dead_queue in self.dead_queues}
        for dead_queue, depth in depths.items():
            if depth is None and dead_queue.kind == "orphaned":
                raise QueueMissing(f"there is no queue {dead_queue.name!r}, and no route has a dead queue of this name")
        return sum(depth or 0 for depth in depths.values())


def open_context(route: str | None, environment: Mapping[str, str]) -> RouteContext:
    """`route` None: all routes. Raises `ConfigError`."""
    settings = load_settings(environment)
    configure("warning", settings.log_format)
    routes = routes_with(None if route is None or "." in route or route == UNROUTED else route, settings, environment)
    dead_queues = all_dead_queues(routes) if route is None else dead_queues_of(routes, route)
    if settings.amqp_url.get_secret_value().startswith(MEMORY):
        raise UsageError("memory:// exists within one process and holds no letters: set the URL of the broker that the worker uses", "WORKER_AMQP_URL")
    return RouteContext(settings, routes, dead_queues, SystemClock())


def required_selection(ids: Sequence[str], where: str | None, *, everything: bool) -> Selection:
    """For commands that need an explicit selection. Raises `ConfigError` if there is none, or a contradictory one."""
    if everything and ids:
        raise UsageError("either name letters or say --all")
    if not everything and not ids and where is None:
        raise UsageError("name letters by their ids, or say --where, or --all for all of them")
    if not all(ids):
        raise UsageError("an id cannot be empty")
    return selection(tuple(dict.fromkeys(ids)), where)


def selection(ids: tuple[str, ...], where: str | None) -> Selection:
    """Raises `ConfigError`."""
    if where is None:
        return Selection(ids)
    try:
        return Selection(ids, compile_condition(where), by_body=READS_BODY.search(where) is not None)
    except ConfigError as error:
        raise ConfigError(replace(problem, file="--where") for problem in error.problems) from None


@contextmanager
def progress_bar(what: str, total: int) -> Iterator[operations.Progress]:
    """A bar on a terminal; nothing elsewhere."""
    console = errors()
    hidden = not (console.is_terminal and sys.stderr.isatty())
    with Progress(TextColumn(what), BarColumn(), MofNCompleteColumn(), console=console, transient=True, disable=hidden) as bar:
        yield partial(bar.advance, bar.add_task(what, total=total))


async def confirm(question: str) -> bool:
    """Waits for a line on standard input; end of file means no. The event loop runs meanwhile, so that heartbeats keep the connection open."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[str] = loop.create_future()

    def read() -> None:
        if not answer.done():
            answer.set_result(sys.stdin.readline())

    errors().print(f"{question} [y/N] ", end="", soft_wrap=True)
    loop.add_reader(sys.stdin.fileno(), read)
    try:
        return (await answer).strip().lower() in {"y", "yes"}
    finally:
        loop.remove_reader(sys.stdin.fileno())
