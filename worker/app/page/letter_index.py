"""Lists the dead letters of the routes without their bodies, read from the broker in bounded portions. Every letter goes back to its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import groupby

from worker.core.errors import Undecodable
from worker.core.header_codec import HeaderCodec
from worker.core.json_codec import decode
from worker.core.message import Delivery, Message, up_to
from worker.core.ports import Broker, Clock
from worker.flows.dead.letter import DeadQueue, letter_of
from worker.flows.dead.operations import locked
from worker.flows.dead.queue_scan import open_scan
from worker.flows.running.run_message import MAX_RUN_DEPTH
from worker.web.page.model import LetterRow, Letters

MAX_LETTERS = 10_000
"""Letters of one dead queue that are listed; the oldest."""
MAX_SCAN_BYTES = 32 * 1024 * 1024  # of bodies that one scan reads: the list ends there, so that the scan of a queue stays short
RUN_BYTES = 64 * 1024  # a larger run is listed without its step
OLD = 300.0  # seconds after which a queue is read again although its depth is the same
BUSY = "another `dead` command works on the letters of {route}: they are as they were before"
CUT = "{queue} holds {depth:,} letters: the oldest {listed:,} are listed"


@dataclass(frozen=True, slots=True)
class ListedQueue:
    """The rows read from one dead queue. `read_at`: monotonic time. `depth`: its number of letters at that time."""

    rows: tuple[LetterRow, ...]
    depth: int
    read_at: float


class LetterIndex:
    """Lists dead letters. It reads a queue again when the depth has changed or the last read is old."""

    def __init__(self, clock: Clock, codec: HeaderCodec) -> None:
        self._clock = clock
        self._codec = codec
        self._listed: dict[str, ListedQueue] = {}

    async def read(self, broker: Broker, dead_queues: Sequence[DeadQueue]) -> Letters:
        """Return the letters of these queues, newest first. Raises `BrokerError`."""
        notes: list[str] = []
        for route, group in groupby(dead_queues, key=lambda dead_queue: dead_queue.route):
            queues = list(group)
            depths = {each: await broker.queue_depth(each.name) or 0 for each in queues}
            changed = [each for each, depth in depths.items() if self._is_old(each, depth)]
            if not changed:
                continue
            async with locked(broker, queues) as mine:  # as in the commands: a letter that one reader holds is missing from another reader's list
                if mine:
                    for each in changed:
                        self._listed[each.name] = await self._scan(broker, each, depths[each])
                else:
                    notes.append(BUSY.format(route=route))
        listed = [self._listed[each.name] for each in dead_queues if each.name in self._listed]
        names = [each.name for each in dead_queues if each.name in self._listed]
        notes += [
            CUT.format(queue=name, depth=each.depth, listed=len(each.rows)) for name, each in zip(names, listed, strict=True) if each.depth > len(each.rows)
        ]
        rows = sorted((row for each in listed for row in each.rows), key=lambda row: row.at or 0.0, reverse=True)
        return Letters(rows, sum(each.depth for each in listed), notes)

    def _is_old(self, dead_queue: DeadQueue, depth: int) -> bool:
        known = self._listed.get(dead_queue.name)
        if known is None or known.depth != depth:
            return bool(depth or known)
        return bool(depth) and self._clock.monotonic() - known.read_at > OLD

    def forget(self, queue: str) -> None:
        """Read the queue again next time, at any depth: letters were settled."""
        self._listed.pop(queue, None)

    async def _scan(self, broker: Broker, dead_queue: DeadQueue, depth: int) -> ListedQueue:
        runs = dead_queue.kind == "steps"
        texts: dict[str, str] = {}  # reasons repeat
        rows: list[LetterRow] = []
        passed = 0
        async with (
            open_scan(broker, self._clock, dead_queue.name, keep=up_to(RUN_BYTES if runs else 0), most=MAX_LETTERS) as scan,
            aclosing(scan.deliveries()) as deliveries,
        ):
            async for delivery in deliveries:
                rows.append(self._row(dead_queue, delivery, texts, runs=runs))
                passed += len(delivery.message.body) if delivery.dropped_body is None else delivery.dropped_body.size
                if passed > MAX_SCAN_BYTES:
                    break
        return ListedQueue(tuple(rows), depth, self._clock.monotonic())

    def _row(self, dead_queue: DeadQueue, delivery: Delivery, texts: dict[str, str], *, runs: bool) -> LetterRow:
        letter = letter_of(dead_queue, delivery.message, self._codec, delivery.dropped_body)
        run, step = run_in(delivery.message) if runs and delivery.dropped_body is None else ("", "")
        return LetterRow(
            letter.fingerprint.hex(),
            dead_queue.name,
            dead_queue.route,
            letter.id,
            texts.setdefault(str(letter.dead_class), str(letter.dead_class)),
            texts.setdefault(letter.reason, letter.reason),
            letter.status,
            letter.attempts,
            letter.replays,
            None if letter.at is None else letter.at.timestamp(),
            letter.state.edited,
            texts.setdefault(step, step),
            run,
        )


def run_in(message: Message) -> tuple[str, str]:
    """Return id and step of a run; empty if absent. Compressed state is not decompressed: for many letters that would block the event loop for seconds."""
    try:
        document = decode(message.body, max_depth=MAX_RUN_DEPTH)
    except Undecodable:
        return "", ""
    found = [document.get(name) if isinstance(document, dict) else None for name in ("id", "step")]
    run, step = (text if isinstance(text, str) else "" for text in found)
    return run, step


def holding(dead_queues: Sequence[DeadQueue], depths: Mapping[str, int]) -> Iterator[DeadQueue]:
    """Yield the dead queues whose route has letters. `depths`: by route; a route without a depth may have letters."""
    for each in dead_queues:
        if depths.get(each.route, 1):
            yield each
