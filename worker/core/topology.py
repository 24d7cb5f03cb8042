"""The exchanges and queues of the worker, with their names and arguments. No other file defines them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from worker.core.durations import format_duration

ExchangeType = Literal["topic", "direct", "fanout", "headers"]
STANDARD_EXCHANGES: Mapping[str, ExchangeType] = {
    "amq.topic": "topic",
    "amq.direct": "direct",
    "amq.fanout": "fanout",
    "amq.headers": "headers",
    "amq.match": "headers",
}
"""The exchanges that every virtual host of RabbitMQ has."""

BROWSED_LIMIT = 1_000_000  # for queues that are listed or hold a baton: 4.x's default of 20 would empty them, and 3.10 and 4.x spell "none" differently
WORK_LIMIT = 20  # unfinished deliveries of a work message (crashes) before the broker dead-letters it
UNROUTED = "halo.unrouted"
UNROUTED_MAX = 100_000
RUNS = "halo.run."  # begins the queue of each runbook
CLAIMS = "halo.claims"
ECHOES = "halo.echoes"
CONTROL = "halo.control"
CONTROL_LOCK = "halo.control.lock"
STATUS = "halo.status"
TRACE = "halo.trace"
EDITED = "halo.edits.dead"
EDITED_MAX = 10_000
KEYS = "halo.keys"
KEYS_LOCK = "halo.keys.lock"
KEYS_MADE = "halo.keys.made"
MEBIBYTE = 1024 * 1024
ORDER_MARK = "halo.ordered"  # this queue exists if a route has, or had, `order_by` or `fair_by`
RETRIES_DUE = "halo.retry.due"
HOME = "halo-home"  # the header with the queue to which a copy in a retry queue returns; senders cannot set it: names that begin with `halo-` are ours
HELD_BACK = 60.0  # seconds before the next try to return a copy to a queue that is missing or full
OWN_OF_ROUTES = frozenset({"state", "dead", "run", "wake", "held", "ordered", "join"})
OWN_OF_WORKER = frozenset({"claims", "echoes", "control", "status", "keys", "budget", "retry", "unrouted", "edits", "trace"})


def is_own(queue: str) -> bool:
    """Whether the name belongs to the worker's own queues, or is below one of their names: `halo.unrouted`, `halo.budget.…`."""
    first, _, rest = queue.partition(".")
    return first == "halo" and rest.partition(".")[0] in OWN_OF_ROUTES | OWN_OF_WORKER


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable queue; `arguments` as RabbitMQ's queue.declare takes them. `passive`: it must exist, however it was declared."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    passive: bool = False


@dataclass(frozen=True, slots=True)
class AmqpExchange:
    """An exchange that may belong to another system. The worker uses an existing one as it is, and declares a missing one as durable, of this type."""

    name: str
    type: ExchangeType = "topic"


@dataclass(frozen=True, slots=True)
class Binding:
    exchange: str
    routing_key: str
    queue: str


@dataclass(frozen=True, slots=True)
class Source:
    """An exchange from which a work queue gets messages."""

    exchange: AmqpExchange
    routing_key: str = "#"

    def with_prefix(self, prefix: str) -> Source:
        return replace(self, exchange=replace(self.exchange, name=prefix + self.exchange.name))


@dataclass(frozen=True, slots=True)
class Topology:
    """The exchanges, queues and bindings that must exist; `+` makes the union of two."""

    exchanges: tuple[AmqpExchange, ...] = ()
    queues: tuple[Queue, ...] = ()
    bindings: tuple[Binding, ...] = ()

    def __add__(self, other: Topology) -> Topology:
        return Topology(
            tuple(dict.fromkeys(self.exchanges + other.exchanges)),
            tuple({queue.name: queue for queue in self.queues + other.queues}.values()),
            tuple(dict.fromkeys(self.bindings + other.bindings)),
        )


def union(parts: Iterable[Topology]) -> Topology:
    """The sum (`+`) of all parts, in one pass."""
    every = tuple(parts)
    return Topology(
        tuple(dict.fromkeys(exchange for part in every for exchange in part.exchanges)),
        tuple({queue.name: queue for part in every for queue in part.queues}.values()),
        tuple(dict.fromkeys(binding for part in every for binding in part.bindings)),
    )


def dead_queue(queue: str) -> str:
    return f"{queue}.dead"


def retry_queue(delay: float) -> str:
    """The queue in which the copies of all routes wait for this delay, in seconds."""
    return f"halo.retry.{format_duration(delay)}"


def letters_lock(queue: str) -> str:
    """The lock held while a process lists or settles the letters of a dead queue: a letter that one process holds is missing from another's list."""
    return f"halo.control.letters.{queue}"


def order_queue(queue: str) -> str:
    """The queue in which messages wait that the worker keeps in order by key, or in turns by customer."""
    return f"{queue}.order"


def order_lock(queue: str) -> str:
    return f"{queue}.order.lock"


def state_queue(subscriber: str) -> str:
    return f"halo.state.{subscriber}"


def wait_queue(subscriber: str) -> str:
    return f"halo.state.{subscriber}.wait"


def known_stream(subscriber: str) -> str:
    return f"halo.state.{subscriber}.known"


def bootstrap_marker(subscriber: str) -> str:
    return f"halo.state.{subscriber}.born"


def bootstrap_lock(subscriber: str) -> str:
    return f"halo.state.{subscriber}.lock"


def subscriber_dead_queue(subscriber: str) -> str:
    return f"halo.dead.{subscriber}"


def held_queue(webhook: str) -> str:
    """The queue in which the deliveries to a paused webhook wait."""
    return f"halo.held.{webhook}"


def browsable_queue(name: str, **more: Any) -> Queue:
    """A quorum queue that people or the worker inspect: frequent reads lose no message."""
    return Queue(name, {"x-queue-type": "quorum", "x-delivery-limit": BROWSED_LIMIT} | more)


def dead_lettering_queue(name: str, target: str, limit: int, **more: Any) -> Queue:
    """A quorum queue that dead-letters its messages to `target` (by time or by limit), at least once."""
    arguments = {
        "x-queue-type": "quorum",
        "x-delivery-limit": limit,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": target,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
    return Queue(name, arguments | more)


def stream(name: str, max_bytes: int, segment_bytes: int) -> Queue:
    """A stream that keeps at least its newest `max_bytes`. Segments are small, since the broker drops only whole ones."""
    return Queue(name, {"x-queue-type": "stream", "x-max-length-bytes": max_bytes, "x-stream-max-segment-size-bytes": segment_bytes})


def ordered_topology(queue: str, sources: Iterable[Source] = (), *, declare: bool = True) -> Topology:
    """As `work_topology`, for a queue whose messages wait in a separate queue of this route instead of the retry queues."""
    return work_topology(queue, (), sources, declare=declare) + Topology(queues=(browsable_queue(order_queue(queue)), browsable_queue(ORDER_MARK)))


def work_topology(queue: str, retry: Iterable[float], sources: Iterable[Source] = (), *, declare: bool = True) -> Topology:
    """A work queue with its dead queue and the shared retry queues of its delays. `sources`: the exchanges to which it is bound."""
    work = dead_lettering_queue(queue, dead_queue(queue), WORK_LIMIT) if declare else Queue(queue, passive=True)
    dead, *delays = companion_topology(queue, retry).queues
    bound = tuple(sources)
    return Topology(
        tuple(source.exchange for source in bound),
        (dead, work, *delays),
        tuple(Binding(source.exchange.name, source.routing_key, queue) for source in bound),
    )


def companion_topology(queue: str, retry: Iterable[float]) -> Topology:
    """The queues that a route needs beside its work queue: its dead queue, and the retry queues of its delays."""
    delays = tuple(retry)
    return Topology(queues=(browsable_queue(dead_queue(queue)), *(retry_topology(delays).queues if delays else ())))


def retry_topology(retry: Iterable[float]) -> Topology:
    """One queue per delay for all routes, and the queue to which they dead-letter. From there a worker returns each copy to its own queue.

    The broker does not return copies to their own queues itself. At-least-once dead-lettering has at most 32 messages in flight per queue. So 32 copies for a
    missing or full queue would stop the retries of all routes (measured on 3.10.8 and 4.0.5). `RETRIES_DUE` always exists and is never full.
    """
    due = dead_lettering_queue(RETRIES_DUE, dead_queue(RETRIES_DUE), BROWSED_LIMIT)
    delays = [
        dead_lettering_queue(retry_queue(delay), RETRIES_DUE, BROWSED_LIMIT, **{"x-message-ttl": round(delay * 1000)}) for delay in sorted({*retry, HELD_BACK})
    ]
    return Topology(queues=(browsable_queue(dead_queue(RETRIES_DUE)), due, *delays))


def lanes_queue(runbook: str) -> str:
    """The queue in which the parallel lanes of a runbook's iterations leave their results for the last lane."""
    return f"halo.join.{runbook}"


def baton_topology(route: str, *, records: bool = True) -> Topology:
    """The state of a subscriber or a schedule: the baton's two queues, and with `records` the stream of the known ones."""
    queues = (browsable_queue(state_queue(route)), dead_lettering_queue(wait_queue(route), state_queue(route), BROWSED_LIMIT))
    known = stream(known_stream(route), max_bytes=512 * MEBIBYTE, segment_bytes=8 * MEBIBYTE)
    return Topology(queues=(*queues, known) if records else queues)


def event_exchange(exchange: str) -> AmqpExchange:
    """An exchange for events."""
    return AmqpExchange(exchange, STANDARD_EXCHANGES.get(exchange, "topic"))


def events_topology(exchange: str, queue: str | None = None, routing_key: str = "#") -> Topology:
    """The target of a subscriber's events: the exchange, and a queue bound to it when the route names one."""
    if queue is None:
        return Topology((event_exchange(exchange),))
    return Topology((event_exchange(exchange),), (browsable_queue(queue),), (Binding(exchange, routing_key, queue),))


def claims_topology() -> Topology:
    """The stream of claims: about a day of them on a busy system."""
    return Topology(queues=(stream(CLAIMS, max_bytes=256 * MEBIBYTE, segment_bytes=8 * MEBIBYTE),))


def echoes_topology() -> Topology:
    """The stream of the replicas' writes to Halo: it holds some 30,000."""
    return Topology(queues=(stream(ECHOES, max_bytes=64 * MEBIBYTE, segment_bytes=4 * MEBIBYTE),))


def trace_topology() -> Topology:
    """The stream of the stages of records and messages: it holds about a million."""
    return Topology(queues=(stream(TRACE, max_bytes=128 * MEBIBYTE, segment_bytes=8 * MEBIBYTE),))


def keys_topology() -> Topology:
    """The stream with the key of the worker's own headers: one small message, kept for ever."""
    return Topology(queues=(Queue(KEYS, {"x-queue-type": "stream"}),))


def control_topology() -> Topology:
    """The stream of the paused routes: its newest message holds all of them, and a stream never drops its newest segment."""
    return Topology(queues=(stream(CONTROL, max_bytes=4 * MEBIBYTE, segment_bytes=MEBIBYTE),))


def status_topology() -> Topology:
    """The stream of the replicas' status reports: one replica with 500 routes writes about 8 MiB in 10 minutes."""
    return Topology(queues=(stream(STATUS, max_bytes=16 * MEBIBYTE, segment_bytes=2 * MEBIBYTE),))


def common_topology() -> Topology:
    """The queues that all routes share: unrouted events (a full queue drops its oldest messages), claims, and status."""
    unrouted = browsable_queue(UNROUTED, **{"x-max-length": UNROUTED_MAX, "x-overflow": "drop-head"})
    return union([Topology(queues=(unrouted,)), claims_topology(), status_topology()])


def edited_topology() -> Topology:
    """The queue that keeps the originals of edited dead letters (a full queue drops its oldest messages)."""
    return Topology(queues=(browsable_queue(EDITED, **{"x-max-length": EDITED_MAX, "x-overflow": "drop-head"}),))
