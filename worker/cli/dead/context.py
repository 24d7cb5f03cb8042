"""Shared by the `dead` commands: the route's dead queues, the broker, the selection of letters, progress and confirmation."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from worker.app.letters.context import LettersContext
from worker.broker.open import MEMORY, open_broker
from worker.cli.console import errors
from worker.cli.valid_definitions import load_routes_with_warning
from worker.config.expressions import compile_condition
from worker.core.clock import SystemClock
from worker.core.errors import ConfigError, Problem
from worker.core.ports import Broker
from worker.flows.dead import operations
from worker.flows.dead.letter import UNROUTED, all_dead_queues, dead_queues_of
from worker.flows.dead.letter_selector import LetterSelector, Selection
from worker.logs import configure
from worker.settings import load_settings
from worker.state.keys import shared_key

READS_BODY = re.compile(r"body|[*%]|\$(?!\w)")  # an expression that names `body`, or uses the whole letter


class UsageError(ConfigError):
    """The command cannot run with these arguments."""

    def __init__(self, message: str, place: str = "") -> None:
        super().__init__([Problem(place, 0, 0, message)])


@asynccontextmanager
async def attached(context: LettersContext) -> AsyncIterator[Broker]:
    """Raises `BrokerUnreachable`."""
    url = context.settings.amqp_url.get_secret_value()
    async with open_broker(url, name="halo-worker dead", heartbeat=context.settings.heartbeat) as broker:
        context.codec.key = await shared_key(broker, context.clock)
        yield broker


async def scan(context: LettersContext, broker: Broker, selector: LetterSelector) -> None:
    """Offer all letters to the selector, with a progress bar. Raises `BrokerError`, `NoSuchLetter`."""
    async with context.evaluator() as selector.evaluator:
        with progress_bar("reading", await context.depth(broker)) as advance:
            await operations.scan_letters(broker, context.clock, context.dead_queues, selector, advance, largest=context.settings.max_message)


def open_context(route: str | None, environment: Mapping[str, str]) -> LettersContext:
    """`route` None: all routes. Raises `ConfigError`."""
    settings = load_settings(environment)
    configure("warning", settings.log_format)
    routes = load_routes_with_warning(None if route is None or "." in route or route == UNROUTED else route, settings, environment)
    dead_queues = all_dead_queues(routes) if route is None else dead_queues_of(routes, route)
    if settings.amqp_url.get_secret_value().startswith(MEMORY):
        raise UsageError("memory:// exists within one process and holds no letters: set the URL of the broker that the worker uses", "WORKER_AMQP_URL")
    return LettersContext(settings, routes, dead_queues, SystemClock())


def required_selection(ids: Sequence[str], where: str | None, *, everything: bool) -> Selection:
    """Return the selection for commands that require one. Raises `ConfigError` if it is missing or contradictory."""
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
    """Wait for a line on standard input; end of file means no. The event loop continues, so that heartbeats keep the connection open."""
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
