"""The two passes over the dead letters of a route: the first only reads, the second settles the selected letters."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field

from worker.core.errors import BrokerError, WorkerError
from worker.core.header_codec import HeaderCodec
from worker.core.json_codec import MAX_BYTES
from worker.core.message import up_to
from worker.core.ports import Broker, Clock
from worker.core.topology import letters_lock
from worker.flows.dead.letter import DeadQueue, letter_of
from worker.flows.dead.letter_selector import LetterSelector
from worker.flows.dead.plan import Retain
from worker.flows.dead.queue_scan import QueueScan, open_scan
from worker.flows.dead.replay import SettleLetter

LOCK_WAIT = 5.0  # seconds: longer than another command needs to list letters
EXCLUSIVE_RETRY = 0.1  # seconds


class SettlementInterrupted(WorkerError):
    """The connection to the broker was lost; `tally` counts the letters that were settled before."""

    def __init__(self, reason: str, tally: SettlementTally) -> None:
        super().__init__(reason)
        self.tally = tally


@dataclass(slots=True)
class SettlementTally:
    """Counts of the selected letters: `removed` by result, `kept` by reason."""

    removed: Counter[str] = field(default_factory=Counter)
    kept: Counter[Retain] = field(default_factory=Counter)
    missing: int = 0
    """Selected letters that are no longer in the queue, or that another consumer holds."""
    stopped: bool = False

    @property
    def count(self) -> int:
        return self.removed.total() + self.kept.total()


Progress = Callable[[int], None]


@asynccontextmanager
async def exclusive_access(broker: Broker, clock: Clock, dead_queues: Sequence[DeadQueue]) -> AsyncIterator[bool]:
    """True while no other command works on the same letters. False if another one holds a lock for longer than `LOCK_WAIT`."""
    deadline = clock.monotonic() + LOCK_WAIT
    while True:
        async with locked(broker, dead_queues) as mine:
            if mine or clock.monotonic() >= deadline:
                yield mine
                return
        await clock.sleep(EXCLUSIVE_RETRY)


@asynccontextmanager
async def locked(broker: Broker, dead_queues: Sequence[DeadQueue]) -> AsyncIterator[bool]:
    """Whether no other command works on any of them. Each has a lock of its own: a runbook has two, and commands name the runbook or one of the queues."""
    async with AsyncExitStack() as stack:
        for name in sorted({each.name for each in dead_queues}):
            if not await stack.enter_async_context(broker.lock(letters_lock(name))):
                yield False
                return
        yield True


async def scan_letters(
    broker: Broker, clock: Clock, dead_queues: Sequence[DeadQueue], selector: LetterSelector, progress: Progress, *, largest: int = MAX_BYTES
) -> None:
    """Offer every letter to the selector; all letters go back. `largest`: bytes of a body that is read, if the selector needs bodies.

    Raises `BrokerError`, `EvaluatorUnavailable`, `NoSuchLetter`.
    """
    keep = up_to(largest if selector.reads_bodies else 0)
    for dead_queue in dead_queues:
        async with open_scan(broker, clock, dead_queue.name, keep=keep) as scan:
            async for delivery in scan.deliveries():
                await selector.offer(dead_queue, delivery)
                progress(1)
    selector.finish()


async def settle_letters(
    broker: Broker,
    clock: Clock,
    codec: HeaderCodec,
    fingerprints: Mapping[str, Counter[bytes]],
    settlers: Mapping[DeadQueue, SettleLetter],
    stop: asyncio.Event,
    progress: Progress,
    *,
    largest: int = MAX_BYTES,
) -> SettlementTally:
    """Settle the letters with these fingerprints (by queue), in order, until `stop`. `largest`: bytes of a body that is read. Raises `SettlementInterrupted`."""
    tally = SettlementTally()
    for dead_queue, settle in settlers.items():
        wanted = Counter(fingerprints.get(dead_queue.name, {}))
        if wanted and not stop.is_set():
            try:
                async with open_scan(broker, clock, dead_queue.name, leaving=wanted.total(), keep=up_to(largest)) as scan:
                    await _settle_queue(scan, codec, dead_queue, wanted, settle, stop, progress, tally)
            except BrokerError as error:
                raise SettlementInterrupted(str(error), tally) from error
        tally.missing += 0 if stop.is_set() else wanted.total()
    tally.stopped = stop.is_set()
    return tally


async def _settle_queue(
    scan: QueueScan,
    codec: HeaderCodec,
    dead_queue: DeadQueue,
    wanted: Counter[bytes],
    settle: SettleLetter,
    stop: asyncio.Event,
    progress: Progress,
    tally: SettlementTally,
) -> None:
    async with aclosing(scan.deliveries()) as deliveries:
        async for delivery in deliveries:
            letter = letter_of(dead_queue, delivery.message, codec, delivery.dropped_body)
            if not wanted[letter.fingerprint]:
                continue
            result = await settle(letter, delivery.message)
            if isinstance(result, Retain):
                tally.kept[result] += 1
            else:
                await scan.ack(delivery)
                tally.removed[result.result] += 1
            wanted[letter.fingerprint] -= 1
            progress(1)
            if stop.is_set() or not +wanted:
                return
