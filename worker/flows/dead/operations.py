"""The two ways through the dead letters of a route: looking, and settling what was chosen."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, field

from worker.core.errors import BrokerError, WorkerError
from worker.core.header_codec import HeaderCodec
from worker.core.jsontext import MAX_BYTES
from worker.core.message import up_to
from worker.core.ports import Broker, Clock
from worker.flows.dead.dead_queues import DeadQueue
from worker.flows.dead.letter import letter_of
from worker.flows.dead.letter_selector import LetterSelector
from worker.flows.dead.plan import Keep
from worker.flows.dead.queue_scan import QueueScan, open_scan
from worker.flows.dead.replay import SettleLetter

LOCK_WAIT = 5.0  # seconds that a look of somebody else's may take
LOCK_RETRY = 0.1


class Interrupted(WorkerError):
    """The broker was lost over it; `tally` is what was done until then."""

    def __init__(self, reason: str, tally: SettlementTally) -> None:
        super().__init__(reason)
        self.tally = tally


@dataclass(slots=True)
class SettlementTally:
    """What became of the chosen letters: `gone` by how, `left` by why."""

    removed: Counter[str] = field(default_factory=Counter)
    kept: Counter[Keep] = field(default_factory=Counter)
    missing: int = 0
    """Chosen ones that were not there any more, or in somebody else's hands."""
    stopped: bool = False

    @property
    def count(self) -> int:
        return self.removed.total() + self.kept.total()


Progress = Callable[[int], None]


@asynccontextmanager
async def exclusive_access(broker: Broker, clock: Clock, dead_queues: Sequence[DeadQueue]) -> AsyncIterator[bool]:
    """True while nobody else uses these commands on the same letters; False when somebody does, and does not end soon."""
    name = f"{dead_queues[0].name}.lock"
    until = clock.monotonic() + LOCK_WAIT
    while True:
        async with broker.lock(name) as had:
            if had or clock.monotonic() >= until:
                yield had
                return
        await clock.sleep(LOCK_RETRY)


async def scan_letters(
    broker: Broker, clock: Clock, dead_queues: Sequence[DeadQueue], selector: LetterSelector, progress: Progress, *, largest: int = MAX_BYTES
) -> None:
    """Let the selector meet every letter; all of them go back. `largest`: bytes of a body that is read, where any is.

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
    settled: Mapping[DeadQueue, SettleLetter],
    stop: asyncio.Event,
    progress: Progress,
    *,
    largest: int = MAX_BYTES,
) -> SettlementTally:
    """Settle the letters with these fingerprints (by queue), in order, until `stop`. `largest`: bytes of a body that is read. Raises `Interrupted`."""
    tally = SettlementTally()
    for dead_queue, settle_one in settled.items():
        wanted = Counter(fingerprints.get(dead_queue.name, {}))
        if wanted and not stop.is_set():
            try:
                scan = open_scan(broker, clock, dead_queue.name, leaving=wanted.total(), keep=up_to(largest))
                await _settle_queue(scan, codec, dead_queue, wanted, settle_one, stop=stop, progress=progress, tally=tally)
            except BrokerError as error:
                raise Interrupted(str(error), tally) from error
        tally.missing += 0 if stop.is_set() else wanted.total()
    tally.stopped = stop.is_set()
    return tally


async def _settle_queue(
    walking_it: AbstractAsyncContextManager[QueueScan],
    codec: HeaderCodec,
    dead_queue: DeadQueue,
    wanted: Counter[bytes],
    settle_one: SettleLetter,
    *,
    stop: asyncio.Event,
    progress: Progress,
    tally: SettlementTally,
) -> None:
    async with walking_it as scan, aclosing(scan.deliveries()) as deliveries:
        async for delivery in deliveries:
            letter = letter_of(dead_queue, delivery.message, codec, delivery.unread)
            if not wanted[letter.fingerprint]:
                continue
            result = await settle_one(letter, delivery.message)
            if isinstance(result, Keep):
                tally.kept[result] += 1
            else:
                await scan.ack(delivery)
                tally.removed[result.result] += 1
            wanted[letter.fingerprint] -= 1
            progress(1)
            if stop.is_set() or not +wanted:
                return
