"""The stream of known records: a turn appends its changes, and sometimes a snapshot; the next turn reads them back.

Each message names the one before it (`prev`), and the baton names the last. Messages of a replica that did not pass its baton on belong to no chain and have no
effect. So the known records are exactly as old as the baton.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

import orjson

from worker.core.entropy import new_id
from worker.core.errors import ChannelLost, WorkerError
from worker.core.message import Message
from worker.core.ports import Broker
from worker.core.topology import known_stream
from worker.state.baton import KnownRef
from worker.state.record_index import RecordIndex
from worker.state.stream_follower import SILENCE, open_stream

PART = 5_000  # records in one message, some 200 KB
SNAPSHOT_AFTER = 256 * 1024  # bytes of changes before the first snapshot; later, the size of the last snapshot
PREFETCH = 200


class KnownLost(WorkerError):
    """The stream does not hold the records that the baton refers to."""


class KnownStream:
    """Reads and writes the known records of one subscriber through one broker attachment."""

    def __init__(self, broker: Broker, subscriber: str) -> None:
        self._broker = broker
        self._stream = known_stream(subscriber)

    async def load(self, ref: KnownRef) -> RecordIndex:
        """Read the known records that the baton refers to. Raises `KnownLost`, or `ChannelLost`."""
        known = RecordIndex()
        if ref.last is None:
            return known
        found = await self._read_to(ref.last, ref.offset)
        if found is None:
            await self._require_lost(ref.last)
            raise KnownLost(
                f"the stream {self._stream} does not hold the known records that the baton refers to: it was deleted, purged or cut by its size limit"
            )
        for document in unrolled(found[1], ref.last):
            known.apply(document)
        known.clear_delta()
        return known

    async def save(self, ref: KnownRef, known: RecordIndex, *, seen: Iterable[str] | None, scan_ended: bool) -> KnownRef:
        """Append the changes, and the keys that the scan in progress has `seen`. Write a snapshot when the changes since the last one exceed its size."""
        deltas = list(parts(known.pending()))
        if seen is not None:
            deltas.extend({"seen": chunk} for chunk in chunked(seen))
        elif scan_ended and known.seen:
            deltas.append({"scan_ended": True})
        ref = await self._append(ref, deltas)
        known.clear_delta()
        if ref.appended > max(SNAPSHOT_AFTER, ref.snapshot):
            ref = await self._snapshot(ref, known, seen)
        return replace(ref, size=len(known.hashes))

    async def _append(self, ref: KnownRef, documents: Iterable[Mapping[str, Any]]) -> KnownRef:
        for document in documents:
            name = new_id()
            body = orjson.dumps({"id": name, "prev": ref.last, **document})
            await self._broker.publish(Message(body, message_id=name), routing_key=self._stream)
            ref = replace(ref, last=name, appended=ref.appended + len(body))
        return ref

    async def _snapshot(self, ref: KnownRef, known: RecordIndex, seen: Iterable[str] | None) -> KnownRef:
        """Begin a new chain, and find the offset from which to read it."""
        begun = await self._append(replace(ref, last=None, appended=0), [{"snapshot": True}])
        offset = await self._offset_of(begun.last or "", ref.offset)
        whole = {"put": known.hashes, "trace": known.traces, "owner": known.owners, "missing": sorted(known.missing)}
        documents = [*parts(whole), *({"seen": chunk} for chunk in chunked(seen or ()))]
        done = await self._append(begun, documents)
        return replace(done, offset=offset, snapshot=done.appended, appended=0)

    async def _offset_of(self, name: str, floor: int) -> int:
        """The offset of the message just written: in the last chunk of the stream, or above it when another replica wrote meanwhile."""
        for start in ("last", floor):
            if (found := await self._read_to(name, start)) is not None:
                return found[0]
        return floor

    async def _read_to(self, name: str, start: str | int) -> tuple[int, dict[str, dict[str, Any]]] | None:
        """Read from `start` to the document `name`. Return its offset and all documents by name, None if it does not arrive. Raises `ChannelLost`."""
        chain: dict[str, dict[str, Any]] = {}
        async with open_stream(self._broker, self._stream, start, prefetch=PREFETCH) as reader:
            while batch := await reader.batch(SILENCE):
                for delivery in batch:
                    if delivery.dropped_body is not None:  # larger than any message of a worker
                        continue
                    document = orjson.loads(delivery.message.body)
                    chain[document["id"]] = document
                    if document["id"] == name:
                        return delivery.offset or 0, chain
        return None

    async def _require_lost(self, name: str) -> None:
        """Raise `ChannelLost` if the stream holds the document after all, or does not deliver a mark stored now: then its silence proves nothing.

        A node of a cluster can hold messages back for a minute after a fault. The document is lost if the mark arrives and `name` does not.
        """
        mark = new_id()
        async with open_stream(self._broker, self._stream, "first", prefetch=PREFETCH) as reader:
            await self._broker.publish(Message(orjson.dumps({"id": mark, "prev": None}), message_id=mark), routing_key=self._stream)
            while batch := await reader.batch(SILENCE):
                came = {delivery.message.message_id for delivery in batch}
                if name in came:
                    break
                if mark in came:
                    return
        raise ChannelLost(f"the stream {self._stream} did not deliver all that is stored in it; it is read again")


def unrolled(chain: Mapping[str, dict[str, Any]], last: str) -> list[dict[str, Any]]:
    """The documents of the chain that ends at `last`, oldest first. Raises `KnownLost` when one is missing."""
    found = []
    name: str | None = last
    while name is not None:
        if name not in chain:
            raise KnownLost("a part of the known records is missing from their stream: it was cut by its size limit")
        found.append(chain[name])
        name = chain[name]["prev"]
    return found[::-1]


def chunked(keys: Iterable[str]) -> Iterator[list[str]]:
    iterator = iter(keys)
    while chunk := list(islice(iterator, PART)):
        yield chunk


def parts(delta: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A delta in pieces of at most `PART` records, in the order in which to apply them."""
    yield from ({"gone": chunk} for chunk in chunked(delta.get("gone", ())))
    puts = delta.get("put", {})
    for chunk in chunked(puts):
        beside = {name: {key: values[key] for key in chunk if key in values} for name in ("trace", "owner") if (values := delta.get(name))}
        yield {"put": {key: puts[key] for key in chunk}} | {name: values for name, values in beside.items() if values}
    for name in ("missing", "met"):
        yield from ({name: chunk} for chunk in chunked(delta.get(name, ())))
