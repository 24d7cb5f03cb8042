"""The writing side of the echo guard: a Halo client that records its writes for all subscribers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from urllib.parse import unquote

import structlog

from worker.catalogue.catalogue import load
from worker.catalogue.errors import MethodNotAllowed, RequestError, UnknownEntity
from worker.catalogue.operation import Operation, id_space
from worker.changes.records import record_key
from worker.core.entropy import new_id
from worker.core.errors import BrokerError
from worker.core.exchange import Exchange, Priority, Request
from worker.core.ports import Halo, Slot
from worker.core.sending import send_reserved
from worker.flows.echoes.footprints import footprint_of, stamp_of
from worker.flows.polling.details import details_request
from worker.flows.writes.write_request import names_record
from worker.state.write_index import WriteFootprint
from worker.state.write_notices import WriteNotices

logger = structlog.get_logger()
Record = dict[str, Any]
ANNOUNCEMENT_TIMEOUT = 2.0  # seconds that a write waits for the broker to confirm its announcement
READ_TIMEOUT = 10.0  # seconds that a write waits for the record as it is before


@dataclass(frozen=True, slots=True)
class WriteTarget:
    """The target of a write. `space`: the resource under which its ids are unique.

    `records`: the records that Halo answers, in order; for a deletion, the members that identify the record.
    """

    resource: str
    space: str
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
    """Announces one write right before it is sent, so that a poll that meets its record waits for its end. Then reports its footprints."""

    def __init__(self, notices: WriteNotices, client: str, target: WriteTarget) -> None:
        self._notices = notices
        self._client = client
        self._target = target
        self._write = new_id()

    async def begin(self) -> None:
        target = self._target
        keys = [key for record in target.updates() if (key := target.key(record)) is not None]
        try:
            async with asyncio.timeout(ANNOUNCEMENT_TIMEOUT):
                await self._notices.begin(self._write, self._client, target.space, keys, target.creates)
        except (BrokerError, TimeoutError) as error:
            self._warn(error)

    async def end(self, footprints: Iterable[WriteFootprint]) -> None:
        try:
            await self._notices.end(self._write, self._client, self._target.space, footprints)
        except BrokerError as error:
            self._warn(error)

    def _warn(self, error: Exception) -> None:
        reason = str(error) or "the broker did not confirm the notice in time"
        logger.warning("echo.unannounced", client=self._client, resource=self._target.resource, reason=reason)


@dataclass(slots=True)
class RecordingSlot:
    """A slot that remembers its exchange."""

    slot: Slot
    exchange: Exchange | None = None

    async def send(self, until: float | None = None) -> Exchange:
        self.exchange = await self.slot.send(until)
        return self.exchange


class WriteRecordingHalo:
    """Implements `Halo` through another one, and records its writes to the records of these id `spaces`. Every other request passes unchanged.

    It reads a record before it updates it: only the stamp found there shows that no other writer came between. A write whose answer has no stamp leaves no
    footprint, so subscribers publish it; after one such answer, writes to that resource are neither read before nor announced. No failure here stops a write.
    """

    def __init__(self, halo: Halo, spaces: frozenset[str], notices: WriteNotices) -> None:
        self._halo = halo
        self._spaces = spaces
        self._notices = notices
        self._catalogue = load()
        self._unstamped: set[str] = set()

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
        return await send_reserved(partial(self.reserve, request, priority=priority))

    @asynccontextmanager
    async def reserve(self, request: Request, *, priority: Priority, after: Exchange | None = None) -> AsyncIterator[Slot | Exchange]:
        target = self._target(request)
        announced = target is not None and target.resource not in self._unstamped
        before = await self._read(target, priority) if target is not None and announced and not target.deletes else {}
        async with self._halo.reserve(request, priority=priority, after=after) as slot:
            if target is None or isinstance(slot, Exchange):
                yield slot
                return
            announcement, recording = WriteAnnouncement(self._notices, self.name, target), RecordingSlot(slot)
            if announced:
                await announcement.begin()
            try:
                yield recording
            finally:
                exchange = recording.exchange
                if announced:
                    await announcement.end(footprints_of(target, before, exchange.body) if exchange is not None and exchange.ok else ())
            if exchange is not None:
                self._note_stamping(target, exchange)

    def _note_stamping(self, target: WriteTarget, exchange: Exchange) -> None:
        """Note whether Halo stamps its answers to a POST of this resource."""
        for answer in answers_of(exchange.body)[-1:] if exchange.ok and not target.deletes else ():
            if isinstance(answer, dict) and target.key(answer) is not None:
                (self._unstamped.add if stamp_of(answer) is None else self._unstamped.discard)(target.resource)

    def _target(self, request: Request) -> WriteTarget | None:
        segments = [unquote(segment) for segment in request.path.split("/")[1:]]
        resource, space = segments[0].lower(), id_space(segments[0].lower())
        if space not in self._spaces or request.method not in {"POST", "DELETE"} or len(segments) != (1 if request.method == "POST" else 2):
            return None
        try:
            listing = self._catalogue.find(segments[0], "GET")
        except (UnknownEntity, MethodNotAllowed):
            return None
        details = self._catalogue.details_of(listing)
        if request.method == "DELETE":
            return WriteTarget(resource, space, listing, details, ({**request.query, "id": segments[1]},), deletes=True)
        records = request.body if isinstance(request.body, list) else [request.body]
        if not all(isinstance(record, dict) for record in records):
            return None
        all_answered = any(name.lower() == "returnall" and value.lower() == "true" for name, value in request.query.items())
        return WriteTarget(resource, space, listing, details, tuple(records if all_answered else records[-1:]), deletes=False)

    async def _read(self, target: WriteTarget, priority: Priority) -> dict[str, Record]:
        """Return the records that the write updates, by key, as far as Halo gives them."""
        found: dict[str, Record] = {}
        if target.details is None:
            return found
        for record in target.updates():
            key = target.key(record)
            if key is None or key in found:
                continue
            try:
                request = replace(details_request(target.details, record, {}), timeout=READ_TIMEOUT)
            except RequestError:
                continue
            exchange = await self._halo.send(request, priority=priority)
            if exchange.ok and isinstance(exchange.body, dict):
                found[key] = exchange.body
        return found


def footprints_of(target: WriteTarget, before: Mapping[str, Record], answer: Any) -> Iterator[WriteFootprint]:
    """Yield a footprint for each record that Halo answered with a stamp.

    A record that is written twice, or that could not be read before, gets none.
    """
    answers = answers_of(answer)
    if target.deletes:
        key = target.key(target.records[0])
        if key is not None and answers and isinstance(answers[0], dict):
            yield WriteFootprint(key, "deleted", before=stamp_of(answers[0]))
        return
    if len(answers) != len(target.records):
        return
    keys = [target.key(answered) if isinstance(answered, dict) else None for answered in answers]
    for sent, answered, key in zip(target.records, answers, keys, strict=True):
        if key is None or keys.count(key) > 1 or stamp_of(answered) is None:
            continue
        if not names_record(sent):
            yield footprint_of(key, sent, None, answered)
        elif key in before and key == target.key({**answered, "id": sent["id"]}):
            yield footprint_of(key, sent, before[key], answered)


def answers_of(body: Any) -> list[Any]:
    return body if isinstance(body, list) else [body]
