"""The status reports of replicas: each publishes them to the stream `halo.status`, and commands and pages that show the worker's state read them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from worker.core.errors import BrokerError, Undecodable
from worker.core.message import Delivery, Message
from worker.core.ports import Broker, Clock
from worker.core.topology import STATUS
from worker.state.sealed import seal, unseal
from worker.state.stream_follower import open_stream

FRESH = 3  # intervals after which a silent replica counts as down
LOOK_BACK = timedelta(minutes=2)
FIRST_WITHIN = 2.0  # seconds within which RabbitMQ delivers the messages of the stream
QUIET = 0.3  # seconds without a further report after which the end is reached


@dataclass(frozen=True, slots=True)
class RouteReport:
    """One route on one replica. `queues`, `dead`: the queues of its messages. `empty_at`: when no message waited, seconds since 1970; 0: never seen.

    `last_success`: for a subscriber, the last complete poll. `waiting`: messages in the waiting queue of an ordered route.
    `settled`: messages that ended, or events that were published, since the replica started.
    """

    name: str
    kind: str
    state: str = "down"
    reason: str = ""
    queues: tuple[str, ...] = ()
    dead: tuple[str, ...] = ()
    last_success: float = 0.0
    empty_at: float = 0.0
    retrying: int = 0
    waiting: int = 0
    settled: int = 0


@dataclass(frozen=True, slots=True)
class ClientReport:
    """`budget_limit`: requests of a window; None: no limit. `reason`: the detail of its health, such as why it is down."""

    name: str
    up: bool
    budget_used: int
    budget_limit: int | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ReplicaReport:
    """One replica. Times are seconds since 1970. `interval`: seconds until its next report. `problems`: mistakes in route files that it does not run."""

    name: str
    version: str
    since: float
    at: float
    interval: float
    ready: bool
    routes: tuple[RouteReport, ...] = ()
    clients: tuple[ClientReport, ...] = ()
    problems: tuple[str, ...] = field(default=())

    def fresh(self, now: float) -> bool:
        """Whether the replica is up. Clocks that differ by more than 5 s hide it."""
        return now - self.at <= FRESH * self.interval + 5

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """The report in a document. Ignores members of a newer version. Raises `Undecodable`."""
        try:
            routes = tuple(
                RouteReport(**known_members(RouteReport, each) | {part: tuple(each.get(part, ())) for part in ("queues", "dead")})
                for each in document["routes"]
            )
            clients = tuple(ClientReport(**known_members(ClientReport, each)) for each in document["clients"])
            return cls(**known_members(cls, document) | {"routes": routes, "clients": clients, "problems": tuple(document.get("problems", ()))})
        except (AttributeError, KeyError, TypeError) as error:
            raise Undecodable(f"a member of the report is missing or wrong: {error!r}") from None


def known_members(kind: type, document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name in kind.__dataclass_fields__}  # type: ignore[attr-defined]


async def publish_report(broker: Broker, key: bytes, report: ReplicaReport) -> None:
    """Publish a report to the stream. Raises `BrokerError`."""
    await broker.publish(Message(seal(report, key, STATUS)), routing_key=STATUS)


async def newest_reports(broker: Broker, clock: Clock, key: bytes) -> list[ReplicaReport]:
    """The last report of each replica in the last two minutes; without any, the reports at the end of the stream. Raises `BrokerError`."""
    if not await broker.queue_exists(STATUS):  # the stream's depth is some seconds old
        return []
    since = datetime.fromtimestamp(clock.now(), UTC) - LOOK_BACK
    return await read_reports(broker, key, since) or await read_reports(broker, key, "last")


async def read_reports(broker: Broker, key: bytes, start: datetime | str) -> list[ReplicaReport]:
    """The newest report of each replica, by name, without forged ones. A report of thousands of routes takes time: other work runs after each report."""
    newest: dict[str, Mapping[str, Any]] = {}
    try:
        async with open_stream(broker, STATUS, start) as reader:
            within = FIRST_WITHIN
            while batch := await reader.batch(within):
                within = QUIET
                for delivery in batch:
                    if (report := report_in(delivery, key)) is not None and report["at"] >= newest.get(report["name"], report)["at"]:
                        newest[report["name"]] = report
                    await asyncio.sleep(0)
    except BrokerError:
        if broker.lost:
            raise
    reports = []
    for name in sorted(newest):
        with suppress(Undecodable):
            reports.append(ReplicaReport.of(newest[name]))
        await asyncio.sleep(0)
    return reports


def report_in(delivery: Delivery, key: bytes) -> Mapping[str, Any] | None:
    """The document of a report, None if no worker wrote it. Only the newest becomes a `ReplicaReport`: it may have thousands of routes."""
    try:
        document = unseal(delivery.message.body, key, STATUS)
    except Undecodable:
        return None
    return document if "name" in document and "at" in document else None
