"""The ledger over a stream that all replicas read: the first offset for a key wins.

The ledger publishes a claim and reads it back before it returns. By then it has read all earlier claims.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import TypeVar

import structlog

from worker.core.entropy import new_id
from worker.core.errors import BrokerError, ChannelLost
from worker.core.ledger import Claim, Key
from worker.core.message import Delivery, Message
from worker.core.ports import Broker, Clock
from worker.core.topology import CLAIMS, claims_topology
from worker.metrics import Metrics
from worker.state.claim_index import CLAIM_LIFETIME, ClaimEntry, ClaimIndex, NotAClaim, decoded, encoded
from worker.state.stream_follower import MARGIN, Batch, StreamFollower, StreamPosition
from worker.waits import waiting_for

logger = structlog.get_logger()
T = TypeVar("T", Claim, bool)
MAX_BATCH = 100  # claims in one entry of the stream
QUIET = 8  # turns of the event loop in a row without a further claim, before a batch is sent: a turn of an idle loop takes some 20 us
MOST_TURNS = 40  # turns that a batch waits at most


class StreamLedger:
    """Implements `worker.core.ledger.Ledger`; `open_ledger` makes it."""

    def __init__(self, broker: Broker, clock: Clock, index: ClaimIndex, metrics: Metrics) -> None:
        self._broker = broker
        self._clock = clock
        self._index = index
        self._metrics = metrics
        self._follower = StreamFollower(CLAIMS, claims_topology(), clock, kept=CLAIM_LIFETIME, position=index.last)
        self._outbox: list[tuple[Key, str, asyncio.Future[Claim | str]]] = []
        self._sending: asyncio.Task[None] | None = None
        self._asked: dict[str, list[tuple[ClaimEntry, asyncio.Future[Claim | str]]]] = {}
        self._awaited: dict[str, set[asyncio.Future[bool | str]]] = {}
        self._why_closed = ""
        self._reading = False

    async def claim(self, key: Key, owner: str) -> Claim:
        self._require_open()
        answer: asyncio.Future[Claim | str] = asyncio.get_running_loop().create_future()
        self._outbox.append((key, owner, answer))
        self._send_soon()
        with waiting_for("claim", f"its claim in {CLAIMS}"):
            return answer_or_raise(await answer)

    def _send_soon(self) -> None:
        """Start to send claims once the stream is read: a claim published while the reader attaches might never come back to it."""
        if self._reading and self._outbox and self._sending is None:
            self._sending = asyncio.create_task(self._send(), name="claims going out")

    async def _send(self) -> None:
        """Publish the claims in batches, one after the other. Claims that come while a batch is in flight form the next one."""
        try:
            while batch := await self._gathered():
                now = self._clock.now()
                await self._publish([(ClaimEntry.of(str(key), owner, now), answer) for key, owner, answer in batch])
        finally:
            self._sending = None

    async def _gathered(self) -> list[tuple[Key, str, asyncio.Future[Claim | str]]]:
        """The next batch. It waits while the event loop brings further claims, since a batch costs the same with any number of claims."""
        quiet, turns = 0, 0
        while self._outbox and quiet < QUIET and turns < MOST_TURNS:
            before = len(self._outbox)
            await asyncio.sleep(0)
            quiet, turns = (quiet + 1 if len(self._outbox) == before else 0), turns + 1
        batch = self._outbox[:MAX_BATCH]
        del self._outbox[:MAX_BATCH]
        return batch

    async def _publish(self, batch: list[tuple[ClaimEntry, asyncio.Future[Claim | str]]]) -> None:
        token = new_id()
        self._asked[token] = batch
        try:
            await self._follower.publish(self._broker, Message(encoded([entry for entry, _ in batch]), message_id=token))
            self._require_open()
        except BrokerError as error:
            self._asked.pop(token, None)
            answer_all((answer for _, answer in batch), str(error))

    async def knows(self, key: Key, *, within: float = 0.0) -> bool:
        self._require_open()
        if within <= 0 or self._index.knows(str(key), self._clock.now()):
            return self._index.knows(str(key), self._clock.now())
        came: asyncio.Future[bool | str] = asyncio.get_running_loop().create_future()
        wanted = ClaimEntry.of(str(key), "", 0).key
        self._awaited.setdefault(wanted, set()).add(came)
        try:
            async with asyncio.timeout(within):
                return answer_or_raise(await came)
        except TimeoutError:
            return False
        finally:
            self._awaited[wanted].discard(came)
            if not self._awaited[wanted]:
                del self._awaited[wanted]

    async def claimed_at(self, key: Key) -> float | None:
        self._require_open()
        return self._index.claimed_at(str(key), self._clock.now())

    async def follow(self) -> None:
        """Read the stream as long as the attachment lives."""
        await self._follower.follow(self._broker, self._apply_batch)

    def _apply_batch(self, batch: Batch) -> None:
        if batch.interrupted:
            self.close(batch.interrupted)
            return
        if batch.restarted:
            self._index.clear()
        self._why_closed, self._reading = "", True
        for delivery in batch.deliveries:
            self._note(delivery)
        self._send_soon()

    def _note(self, delivery: Delivery) -> None:
        self._index.last = StreamPosition.of(delivery)
        if (asked := self._asked.pop(delivery.message.message_id, None)) is not None:  # our own batch: its id is random, and was in no earlier message
            for entry, answer in asked:
                claim = self._add(entry)
                if not answer.done():
                    answer.set_result(claim)
            return
        try:
            entries = decoded(delivery.message.body)
        except NotAClaim as error:
            self._metrics.refused_state.labels("claim").inc()
            logger.warning("claim.unreadable", offset=delivery.offset, reason=str(error))
            return
        for entry in entries:
            if entry.at > self._clock.now() + MARGIN.total_seconds():
                self._refuse(delivery)
            else:
                self._add(entry)

    def _add(self, entry: ClaimEntry) -> Claim:
        claim = self._index.add(entry)
        for came in self._awaited.get(entry.key, ()):
            if not came.done():
                came.set_result(True)
        return claim

    def _refuse(self, delivery: Delivery) -> None:
        """Ignore a claim from the future: it would hold for longer than any of ours."""
        self._metrics.refused_state.labels("claim").inc()
        logger.error(
            "claim.refused", offset=delivery.offset, reason="its time lies in the future: no worker wrote it, or a clock is wrong by more than an hour"
        )

    def close(self, why: str) -> None:
        """Fail every waiting caller: the stream is not read any more."""
        self._why_closed, self._reading = why, False
        for batch in self._asked.values():
            answer_all((answer for _, answer in batch), why)
        self._asked.clear()
        answer_all((answer for *_, answer in self._outbox), why)
        self._outbox.clear()
        for came in set().union(*self._awaited.values()):
            if not came.done():
                came.set_result(why)

    async def end(self) -> None:
        """Stop sending claims."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.wait([self._sending])

    def _require_open(self) -> None:
        if self._why_closed:
            raise ChannelLost(self._why_closed)


def answer_all(answers: Iterable[asyncio.Future[Claim | str]], why: str) -> None:
    for answer in answers:
        if not answer.done():
            answer.set_result(why)


def answer_or_raise(answer: T | str) -> T:
    """The answer. Raises `ChannelLost` for a text, which is the reason why there is none."""
    if isinstance(answer, str):
        raise ChannelLost(answer)
    return answer


@asynccontextmanager
async def open_ledger(broker: Broker, clock: Clock, index: ClaimIndex | None = None, metrics: Metrics | None = None) -> AsyncIterator[StreamLedger]:
    """A ledger over one broker attachment. With an `index` that outlives it, the next ledger need not read all claims again.

    The first answers wait until a day of claims is read. Calls while the stream cannot be read raise `BrokerError`.
    """
    claims = StreamLedger(broker, clock, ClaimIndex() if index is None else index, Metrics() if metrics is None else metrics)
    following = asyncio.create_task(claims.follow(), name="claims")
    following.add_done_callback(lambda _: claims.close("the claims are not read any more"))
    try:
        yield claims
    finally:
        following.cancel()
        await asyncio.wait([following])
        await claims.end()
