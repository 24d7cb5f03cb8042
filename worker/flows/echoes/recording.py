"""The writing side of the echo guard: a Halo client whose writes to guarded records are told to all subscribers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import structlog

from worker.catalogue.catalogue import load
from worker.catalogue.errors import MethodNotAllowed, RequestError, UnknownEntity
from worker.catalogue.operation import Operation
from worker.changes.fingerprints import stamp_of
from worker.changes.records import record_key
from worker.core.errors import BrokerError
from worker.core.exchange import Exchange, Priority, Request
from worker.core.ports import Halo, Slot
from worker.flows.echoes.footprints import footprint_of
from worker.flows.polling.details import details_request
from worker.flows.writes.write_request import names_record
from worker.state.write_index import WriteFootprint
from worker.state.write_notices import WriteNotices

logger = structlog.get_logger()
Record = dict[str, Any]
ANNOUNCING = 2.0  # seconds that a write waits for its announcement to be confirmed
LOOK_TIMEOUT = 10.0  # seconds: a look that takes longer is not worth keeping the write for


@dataclass(frozen=True, slots=True)
class Target:
    """What a write is about: `records` are those that Halo will answer, in order; of a deletion, what identifies it."""

    resource: str
    listing: Operation
    details: Operation | None
    records: tuple[Record, ...]
    deletes: bool

    def key(self, record: Mapping[str, Any]) -> str | None:
        return record_key(record, self.listing.key)

    def updates(self) -> Iterator[Record]:
        return (record for record in self.records if names_record(record))

    @property
    def creates(self) -> int:
        return sum(1 for record in self.records if not names_record(record))


class WriteAnnouncement:
    """Tells of one write: right before it leaves, since whoever meets its record before it has ended waits for that, and what it left."""

    def __init__(self, echoes: WriteNotices, client: str, target: Target) -> None:
        self._echoes = echoes
        self._client = client
        self._target = target
        self._write = uuid4().hex

    async def begin(self) -> None:
        """Announce it right before it leaves."""
        target = self._target
        keys = [key for record in target.updates() if (key := target.key(record)) is not None]
        try:
            async with asyncio.timeout(ANNOUNCING):
                await self._echoes.begin(self._write, self._client, target.resource, keys, target.creates)
        except (BrokerError, TimeoutError) as error:
            self._untold(error)

    async def end(self, footprints: Iterable[WriteFootprint]) -> None:
        try:
            await self._echoes.end(self._write, self._client, self._target.resource, footprints)
        except BrokerError as error:
            self._untold(error)

    def _untold(self, error: Exception) -> None:
        reason = str(error) or "the broker did not confirm it in time"
        logger.warning("echo.untold", client=self._client, resource=self._target.resource, reason=reason)


@dataclass(slots=True)
class RecordingSlot:
    """A slot that remembers its exchange."""

    slot: Slot
    exchange: Exchange | None = None

    async def send(self, until: float | None = None) -> Exchange:
        self.exchange = await self.slot.send(until)
        return self.exchange


class WriteRecordingHalo:
    """Implements `Halo` through another one. `resources`: what is guarded; everything else goes as it is.

    A record is looked at before it is updated: only so can a change that somebody made before ours be told from ours. What cannot be told leaves no footprint, and is
    published by the subscribers. Nothing here keeps a write from being made.
    """

    def __init__(self, halo: Halo, resources: frozenset[str], echoes: WriteNotices) -> None:
        self._halo = halo
        self._resources = resources
        self._echoes = echoes
        self._catalogue = load()

    @property
    def name(self) -> str:
        return self._halo.name

    @property
    def timeout(self) -> float:
        return self._halo.timeout

    @property
    def available(self) -> bool:
        return self._halo.available

    async def wait_available(self) -> None:
        await self._halo.wait_available()

    async def wait_unavailable(self) -> None:
        await self._halo.wait_unavailable()

    def stop_waiting(self) -> None:
        self._halo.stop_waiting()

    def source(self, path: str) -> str:
        return self._halo.source(path)

    async def send(self, request: Request, *, priority: Priority) -> Exchange:
        exchange: Exchange | None = None
        while exchange is None or exchange.stale_token:
            async with self.reserve(request, priority=priority, after=exchange) as slot:
                exchange = slot if isinstance(slot, Exchange) else await slot.send()
        return exchange

    @asynccontextmanager
    async def reserve(self, request: Request, *, priority: Priority, after: Exchange | None = None) -> AsyncIterator[Slot | Exchange]:
        target = self._target(request)
        before = {} if target is None or target.deletes else await self._looked_at(target, priority)
        async with self._halo.reserve(request, priority=priority, after=after) as slot:
            if target is None or isinstance(slot, Exchange):
                yield slot
                return
            announcement, recording = WriteAnnouncement(self._echoes, self.name, target), RecordingSlot(slot)
            await announcement.begin()
            try:
                yield recording
            finally:
                exchange = recording.exchange
                await announcement.end([] if exchange is None or not exchange.ok else list(footprints_of(target, before, exchange.body)))

    def _target(self, request: Request) -> Target | None:
        segments = [unquote(segment) for segment in request.path.split("/")[1:]]
        resource = segments[0].lower()
        if resource not in self._resources or request.method not in {"POST", "DELETE"} or len(segments) != (1 if request.method == "POST" else 2):
            return None
        try:
            listing = self._catalogue.find(segments[0], "GET")
        except (UnknownEntity, MethodNotAllowed):
            return None
        details = self._catalogue.details_of(listing)
        if request.method == "DELETE":
            return Target(resource, listing, details, ({**request.query, "id": segments[1]},), deletes=True)
        records = request.body if isinstance(request.body, list) else [request.body]
        if not all(isinstance(record, dict) for record in records):
            return None
        all_answered = any(name.lower() == "returnall" and value.lower() == "true" for name, value in request.query.items())
        return Target(resource, listing, details, tuple(records if all_answered else records[-1:]), deletes=False)

    async def _looked_at(self, target: Target, priority: Priority) -> dict[str, Record]:
        """The records that are about to be updated, by key, as far as they can be had."""
        found: dict[str, Record] = {}
        if target.details is None:
            return found
        for record in target.updates():
            key = target.key(record)
            if key is None or key in found:
                continue
            try:
                request = replace(details_request(target.details, record, {}), timeout=LOOK_TIMEOUT)
            except RequestError:
                continue
            exchange = await self._halo.send(request, priority=priority)
            if exchange.ok and isinstance(exchange.body, dict):
                found[key] = exchange.body
        return found


def footprints_of(target: Target, before: Mapping[str, Record], answer: Any) -> Iterator[WriteFootprint]:
    """What the write left of each record that Halo answered; nothing of one that is written twice, or that could not be looked at."""
    answers = answer if isinstance(answer, list) else [answer]
    if target.deletes:
        key = target.key(target.records[0])
        if key is not None:
            yield WriteFootprint(key, "deleted", before=stamp_of(answers[0]) if answers and isinstance(answers[0], dict) else None)
        return
    if len(answers) != len(target.records):
        return
    keys = [target.key(answered) if isinstance(answered, dict) else None for answered in answers]
    for sent, answered, key in zip(target.records, answers, keys, strict=True):
        if key is None or keys.count(key) > 1:
            continue
        if not names_record(sent):
            yield footprint_of(key, sent, None, answered)
        elif key in before and key == target.key({**answered, "id": sent["id"]}):
            yield footprint_of(key, sent, before[key], answered)
