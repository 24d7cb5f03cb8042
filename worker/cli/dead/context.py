"""What the `dead` commands share: the route's dead queues, the broker, the choice of letters, and progress."""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from worker.broker.open import MEMORY, open_broker
from worker.cli.console import errors
from worker.config.compiled import Condition
from worker.config.expressions import compile_condition
from worker.config.loader import load_routes
from worker.config.routes import Routes
from worker.core.clock import SystemClock
from worker.core.errors import ConfigError, Problem, QueueMissing
from worker.core.header_codec import HeaderCodec
from worker.core.ports import Broker, Clock, Evaluator
from worker.evaluator.evaluators import open_evaluator
from worker.evaluator.limits import Limits
from worker.flows.dead import operations
from worker.flows.dead.dead_queues import DeadQueue, dead_queues_of
from worker.flows.dead.letter_selector import LetterSelector, Selection
from worker.logs import configure
from worker.settings import Settings, load_settings
from worker.state.keys import shared_key

LETTERS_IN_USE = "somebody else is at these letters: those in their hands are not seen here until they have finished"


class UsageError(ConfigError):
    """The command cannot be carried out as it was typed."""

    def __init__(self, message: str, place: str = "") -> None:
        super().__init__([Problem(place, 0, 0, message)])


@dataclass(frozen=True, slots=True)
class RouteContext:
    """One route's dead letters."""

    settings: Settings
    routes: Routes
    dead_queues: tuple[DeadQueue, ...]
    clock: Clock
    codec: HeaderCodec = field(default_factory=HeaderCodec)
    """Knows its key once there is a broker."""

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
        """Let the selector meet all letters. Raises `BrokerError`, `NoSuchLetter`."""
        async with self.evaluator() as selector.evaluator:
            with progress_bar("looking", await self.depth(broker)) as step:
                await operations.scan_letters(broker, self.clock, self.dead_queues, selector, step, largest=self.settings.max_message)

    def evaluator(self) -> AbstractAsyncContextManager[Evaluator]:
        """Its processes are started once there is something to evaluate."""
        return open_evaluator(Limits(self.settings.expression_memory))

    async def depth(self, broker: Broker) -> int:
        """Raises `QueueMissing` for a queue that is known by its name only."""
        depths = {dead_queue: await broker.queue_depth(dead_queue.name) for dead_queue in self.dead_queues}
        for dead_queue, depth in depths.items():
            if depth is None and dead_queue.kind == "orphaned":
                raise QueueMissing(f"there is no queue {dead_queue.name!r}, and no route whose dead queue it would be")
        return sum(depth or 0 for depth in depths.values())


def open_context(route: str, environment: Mapping[str, str]) -> RouteContext:
    """Raises `ConfigError`."""
    settings = load_settings(environment)
    configure("warning", settings.log_format)
    routes = load_routes(settings.routes, environment, settings.secrets)
    dead_queues = dead_queues_of(routes, route)
    if settings.amqp_url.get_secret_value().startswith(MEMORY):
        raise UsageError("memory:// lives within one process and keeps no letters: let it name the broker that the worker uses", "WORKER_AMQP_URL")
    return RouteContext(settings, routes, dead_queues, SystemClock())


def require_selection(ids: Sequence[str], where: str | None, *, everything: bool) -> Selection:
    """Raises `ConfigError` where nothing, or too much at once, is chosen."""
    if everything and ids:
        raise UsageError("either name letters or say --all")
    if not everything and not ids and where is None:
        raise UsageError("name letters by their ids, or say --where, or --all for all of them")
    if not all(ids):
        raise UsageError("an id cannot be empty")
    return select(tuple(dict.fromkeys(ids)), where)


def select(ids: tuple[str, ...], where: str | None) -> Selection:
    """Raises `ConfigError`. An expression that never names `body`, and never looks at a letter as a whole, does not need bodies."""
    return Selection(ids) if where is None else Selection(ids, compile_where(where), by_body=re.search(r"body|[*%]|\$(?!\w)", where) is not None)


def compile_where(text: str) -> Condition:
    """Raises `ConfigError`."""
    try:
        return compile_condition(text)
    except ConfigError as error:
        raise ConfigError(replace(problem, file="--where") for problem in error.problems) from None


@contextmanager
def progress_bar(what: str, total: int) -> Iterator[operations.Progress]:
    """A bar on a terminal, where it takes long enough to be seen; nothing elsewhere."""
    console = errors()
    if not console.is_terminal or not sys.stderr.isatty():
        yield lambda _: None
        return
    with Progress(TextColumn(what), BarColumn(), MofNCompleteColumn(), console=console, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)
