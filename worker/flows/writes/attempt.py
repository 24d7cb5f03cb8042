"""One attempt to send a write. Of all copies of a message exactly one sends it, within seconds after its claim in the ledger, or never."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any

import structlog

from worker.core.delivery_state import DeliveryState
from worker.core.entropy import new_id
from worker.core.errors import BrokerError
from worker.core.exchange import Exchange
from worker.core.ledger import Claim, Ledger, attempt_key, receipt_key
from worker.core.message import Delivery, identity_of
from worker.core.outcome import Ambiguous, DeadClass, NotSent, Outcome, Refused, with_state_updates
from worker.core.ports import Clock, Reserve
from worker.core.trace import NO_TRACE, Note, Tracer

SEND_WITHIN = 5.0  # seconds between the claim and the first byte: enough for a handshake; other copies add it to their wait
LIST_LAG = 5.0  # seconds after which Halo's lists are taken to show what was created
DENIED_PAUSE = 1.0  # seconds for which the worker holds a denied message: a lost channel shows in that time
RECEIPT_AFTER = 0.05  # seconds within which an attempt without a wait begins
FIRST, REPLAYED = "the first delivery", "a replay"
CLOCKS = 60.0  # seconds by which clocks of replicas may differ before an attempt that has ended is taken to be under way, or the reverse
logger = structlog.get_logger()


class Denial(Enum):
    """Why an attempt may not be made."""

    STARTED = "another copy of this message has made this attempt, or is making it"
    UNKNOWN = "it was delivered before, and the worker cannot know whether it was sent"
    UNCLAIMED = "the attempt could not be claimed"


@dataclass(frozen=True, slots=True)
class Attempts:
    """The attempts of one route or runbook."""

    name: str
    ledger: Ledger
    clock: Clock
    tracer: Tracer = NO_TRACE

    def of(self, delivery: Delivery, state: DeliveryState, delays: tuple[float, ...], *, remembered: bool | None = None, holder: int | None = None) -> Attempt:
        """Return the attempt of this delivery. `delays`: seconds between attempts.

        `remembered`: whether the ledger still knows claims about the message; None: its receipt decides. `holder`: the number of this holder of its `once` key.
        It distinguishes messages that a sender sends under the same id.
        """
        _, message_id, content = identity_of(delivery)
        return Attempt(self, f"{self.name}:{message_id}:{content.hex()}:{holder or 0}", state, delays, remembered=remembered, unnamed=not message_id)


class Attempt:
    """One delivery's right to send: `send` reserves, begins and sends; `with_history` adds to the outcome the facts that the next copy needs."""

    def __init__(self, attempts: Attempts, identity: str, state: DeliveryState, delays: tuple[float, ...], *, remembered: bool | None, unnamed: bool) -> None:
        self._attempts = attempts
        self._ledger = attempts.ledger
        self._clock = attempts.clock
        self._identity = identity
        self._state = state
        self._delays = delays
        self._remembered = remembered
        self._unnamed = unnamed
        # Two first deliveries with one id and one content are two messages of the sender. They share an owner, so that neither counts as a copy.
        # The same holds for two dead letters with one id and one content. A claim of the letter's own distinguishes the copies of one replay.
        self._replay = state.replay if not (state.redelivered or state.doubtful) else ""
        self._owner = REPLAYED if self._replay else new_id() if state.copied or state.redelivered else FIRST
        self._begun = 0
        self._waits = False
        self._leaving: asyncio.Task[None] | None = None

    @property
    def doubtful(self) -> bool:
        """An earlier attempt ended and may have had its effect."""
        return self._state.doubtful

    @property
    def suspect(self) -> bool:
        """The write may be done already: the message was delivered or attempted before, or is the edit of one that was."""
        return self._state.doubtful or self._state.redelivered or bool(self._state.edited)

    @property
    def waited(self) -> bool:
        """Any earlier attempt has had time to end: a lookup that finds nothing is conclusive."""
        return self._state.waited

    async def send(self, reserve: Reserve, *, without_lookup: bool) -> Exchange | Denial:
        """Reserve a slot, begin the attempt in the ledger, send. A 401 begins and sends again.

        `without_lookup`: the write cannot be looked up, so it is denied unless the ledger proves that it was never sent. While such a write waits for its slot
        it leaves a receipt, which distinguishes "never sent" from "unknown" after a crash.
        """
        self._waits = without_lookup and not self._state.redelivered and self._remembered is None
        if self._waits:
            asyncio.get_running_loop().call_soon(self._begin_receipt)  # if a slot is free at once, no receipt is begun
        try:
            exchange: Exchange | None = None
            while exchange is None or exchange.stale_token:
                async with reserve(after=exchange) as slot:
                    if isinstance(slot, Exchange):
                        return slot
                    self._waits = False
                    until = await self.begin(without_lookup=without_lookup)
                    if isinstance(until, Denial):
                        return until
                    exchange = await slot.send(until)
            return exchange
        finally:
            self._waits = False
            if self._leaving is not None:
                self._leaving.cancel()

    async def begin(self, *, without_lookup: bool) -> float | Denial:
        """Claim the next attempt. Return the monotonic time until which its first byte may leave, or why it must not leave."""
        until = self._clock.monotonic() + SEND_WITHIN  # from before the claim: other replicas read it later and wait at least as long
        try:
            denial = await self._claimed(check_receipt=without_lookup and self._state.redelivered and self._begun == 0)
        except BrokerError:
            return Denial.UNCLAIMED
        if denial is not None:
            return denial
        self.note_attempted()
        return until

    def note_attempted(self) -> None:
        """Note in the trace that a request is about to be sent."""
        number = (("attempt", self._state.attempts + 1),)
        self._attempts.tracer.note(Note("attempted", self._attempts.name, self._state.message_id, self._state.correlation_id, more=number))

    async def _claimed(self, *, check_receipt: bool) -> Denial | None:
        """Claim the attempt; return why it is denied, or None. Raises `BrokerError`."""
        number = self._state.tries + self._begun
        claims = [self._ledger.claim(attempt_key(self._identity, number), self._owner)]
        if self._replay:
            claims.append(self._ledger.claim(attempt_key(f"{self._identity}:{self._replay}", number), new_id()))
        answers = await asyncio.gather(*claims) if self._replay else [await claims[0]]
        self._begun += 1
        if Claim.TAKEN in answers:
            return Denial.STARTED
        # Once our own claim has returned, the ledger knows every earlier claim, so an absent receipt is conclusive.
        return Denial.UNKNOWN if check_receipt and not await self._is_remembered() else None

    async def _is_remembered(self) -> bool:
        return await self._ledger.knows(receipt_key(self._identity, self._state.tries)) if self._remembered is None else self._remembered

    def _begin_receipt(self) -> None:
        if self._waits:
            self._leaving = asyncio.create_task(self._leave_receipt())

    async def _leave_receipt(self) -> None:
        await self._clock.sleep(RECEIPT_AFTER)
        if self._waits:
            with suppress(BrokerError):  # without a receipt the message may become a dead letter though it was never sent
                await self._ledger.claim(receipt_key(self._identity, self._state.tries), self._owner)

    def retry_lookup(self) -> Outcome:
        """Return the outcome for another lookup before the create: Halo may still be executing an earlier attempt, or its lists may lag."""
        attempts = self._state.attempts
        delay = self._delays[min(attempts, len(self._delays) - 1)] if self._delays else 0.0
        reason = "looked for and not there; an earlier attempt may still be under way, so it is looked for again"
        return NotSent(reason, counted=False, after=max(delay, LIST_LAG), state_updates={"doubtful": True, "waited": True})

    async def denied(self, denial: Denial, limit: float, *, park: bool) -> Outcome:
        """Return the outcome of a denied attempt. `limit`: seconds that Halo has for an answer; `park`: the write cannot be looked up.

        An operator's replay does not wait for an attempt whose claim is old enough to have ended on every clock; it is looked up at once.
        """
        await self._clock.sleep(DENIED_PAUSE)
        if denial is Denial.UNCLAIMED:
            return NotSent(denial.value, counted=False)
        if park:
            return Refused(DeadClass.IN_DOUBT, f"{denial.value}, and it cannot be looked up", state_updates={"doubtful": True})
        reason = f"{denial.value}: it waits until that attempt must have ended"
        wait = SEND_WITHIN + limit + LIST_LAG
        if self._state.replay and await self._has_ended(wait + CLOCKS):
            wait = 0.0
        else:
            logger.warning("attempt.waits", message_id=self._state.message_id, seconds=wait, reason=reason)
        return NotSent(reason, counted=False, after=wait, state_updates={"doubtful": True, "waited": True})

    async def _has_ended(self, seconds: float) -> bool:
        """Whether the attempt that denied this one was claimed longer ago than this."""
        try:
            at = await self._ledger.claimed_at(attempt_key(self._identity, self._state.tries + max(0, self._begun - 1)))
        except BrokerError:
            return False
        return at is not None and self._clock.now() - at > seconds

    async def with_history(self, outcome: Outcome) -> Outcome:
        """Return the outcome with the number of begun attempts, for the next copy of the message.

        A message without an id gets one on its copy. If the original comes back, it must find its attempt claimed, so one is claimed here.
        """
        state_updates: dict[str, Any] = {}
        if self._unnamed and self._begun == 0 and isinstance(outcome, (NotSent, Ambiguous, Refused)):
            with suppress(BrokerError):
                state_updates = {} if await self._claimed(check_receipt=False) is None else {"doubtful": True}
        if self._begun:
            state_updates["tries"] = self._state.tries + self._begun
        if isinstance(outcome, NotSent) and self.waited:
            state_updates["waited"] = True
        return with_state_updates(outcome, state_updates)
