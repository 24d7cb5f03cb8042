"""A fence before creates: of all copies of a message one makes an attempt, and is on its way to Halo soon after it said so, or never."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any
from uuid import uuid4

from worker.core.delivery_state import DeliveryState
from worker.core.errors import BrokerError
from worker.core.identity import identity_of
from worker.core.message import Delivery
from worker.core.outcome import DeadClass, Doubtful, Outcome, Refused, Unsent, marked
from worker.core.ports import Claim, Claims, Clock

NOT_AFTER = 5.0  # seconds between claiming an attempt and its first byte: enough for a handshake, and what everybody else has to add to their patience
LAG = 5.0  # seconds after which Halo's lists are taken to show what was created
PAUSE = 1.0  # seconds that a message stays in hand when it cannot be claimed, or is somebody else's: a lost channel shows meanwhile
SOON = 0.05  # seconds in which what need not wait is at the gate
FIRST = "the first delivery"


class Bar(Enum):
    """Why an attempt was not made."""

    NONE = "none"
    STARTED = "another copy of this message has made this attempt, or is making it"
    FORGOTTEN = "it was delivered before, and it cannot be known whether it was sent"
    UNCLAIMED = "the attempt could not be claimed"


@dataclass(frozen=True, slots=True)
class Fence:
    """What the creates of one route or runbook have to pass."""

    name: str
    claims: Claims
    clock: Clock

    def attempt(
        self, delivery: Delivery, envelope: DeliveryState, delays: tuple[float, ...], *, remembered: bool | None = None, holder: int | None = None
    ) -> Attempt:
        """The attempt for which this message was delivered. `delays`: between attempts. `remembered`: whether claims about it still hold; None: it tells by itself.

        `holder`: which holder of its `once` key it is; that tells messages apart which a sender sends under the same id.
        """
        _, message_id, content = identity_of(delivery)
        return Attempt(self, f"{self.name}:{message_id}:{content.hex()}:{holder or 0}", envelope, delays, remembered=remembered, unnamed=not message_id)


class Attempt:
    """One delivery's right to send. `gate` is awaited right before the request leaves; the outcome is to be `told` to the next copy of the message."""

    def __init__(self, fence: Fence, identity: str, envelope: DeliveryState, delays: tuple[float, ...], *, remembered: bool | None, unnamed: bool) -> None:
        self._fence = fence
        self._identity = identity
        self._envelope = envelope
        self._delays = delays
        self._remembered = remembered
        self._unnamed = unnamed
        # A sender's own second message under the same id and with the same content is no copy of ours: the first deliveries of both have the same owner.
        self._owner = uuid4().hex if envelope.copied or envelope.redelivered else FIRST
        self._used = 0
        self._must_be_remembered = False
        self._at_gate = False
        self.bar = Bar.NONE

    @property
    def doubtful(self) -> bool:
        """An attempt that came to its end may have had its effect."""
        return self._envelope.doubtful

    @property
    def suspect(self) -> bool:
        """It is worth a look whether it is done already: somebody had this message before."""
        return self._envelope.doubtful or self._envelope.redelivered

    @property
    def waited(self) -> bool:
        """A look that finds nothing means that there is nothing: what may have been under way has had its time."""
        return self._envelope.waited

    @asynccontextmanager
    async def unlooked(self) -> AsyncIterator[None]:
        """Around sending what nobody can look up: the gate then lets nothing through of which it cannot be told whether it was sent before.

        What does not come to the gate soon (it waits for its turn, or for a token) leaves word that the message is here: so that when it comes again after a crash,
        "never sent" can be told from "nobody knows" (whoever had it died before it left word, or that is forgotten).
        """
        self._must_be_remembered = True
        if self._envelope.redelivered or self._remembered is not None:
            yield
            return
        leaving_word = asyncio.create_task(self._leave_word())
        try:
            yield
        finally:
            leaving_word.cancel()

    async def _leave_word(self) -> None:
        await self._fence.clock.sleep(SOON)
        if not self._at_gate:
            with suppress(BrokerError):  # then it may be parked though it was never sent
                await self._fence.claims.claim(self._key("received"), self._owner)

    async def gate(self) -> float | None:
        """Claim the attempt: until when (monotonic) the request may leave, None when it must not. Each request under the same delivery is an attempt of its own."""
        self._at_gate = True
        not_after = self._fence.clock.monotonic() + NOT_AFTER  # from before the claim: whoever reads it later waits at least as long
        try:
            self.bar = await self._claimed()
        except BrokerError:
            self.bar = Bar.UNCLAIMED
        return not_after if self.bar is Bar.NONE else None

    async def _claimed(self) -> Bar:
        """Raises `BrokerError`."""
        ask = self._used == 0 and self._must_be_remembered and self._envelope.redelivered
        claim = await self._fence.claims.claim(self._key("attempt", self._used), self._owner)
        self._used += 1
        if claim is Claim.TAKEN:
            return Bar.STARTED
        if ask and not await self._is_remembered():
            return Bar.FORGOTTEN
        return Bar.NONE

    async def _is_remembered(self) -> bool:
        """Whether a claim of an earlier delivery would still be known: its receipt is, and was claimed before. (Asked after a claim of our own, so that all is read.)"""
        return await self._fence.claims.seen(self._key("received")) if self._remembered is None else self._remembered

    def looked_in_vain(self) -> Outcome:
        """Look again before it is created: Halo may not have come to its end, or its lists may lag behind."""
        attempts = self._envelope.attempts
        delay = self._delays[min(attempts, len(self._delays) - 1)] if self._delays else 0.0
        reason = "looked for and not there; an earlier attempt may still be under way, so it is looked for again"
        return Unsent(reason, counted=False, after=max(delay, LAG), marks={"doubtful": True, "waited": True})

    async def left(self, limit: float, *, park: bool) -> Outcome:
        """What becomes of a message whose attempt was not made. `limit`: seconds that Halo is given for a request; `park`: nobody can look it up."""
        await self._fence.clock.sleep(PAUSE)
        if self.bar is Bar.UNCLAIMED:
            return Unsent(self.bar.value, counted=False)
        if park:
            return Refused(DeadClass.IN_DOUBT, f"{self.bar.value}, and it cannot be looked up", marks={"doubtful": True})
        reason = f"{self.bar.value}: it waits until that must have come to its end"
        return Unsent(reason, counted=False, after=NOT_AFTER + limit + LAG, marks={"doubtful": True, "waited": True})

    async def told(self, outcome: Outcome) -> Outcome:
        """The outcome with what the next copy of the message must know: which attempt is the next.

        The copy of a message without an id gets one, and is nobody's copy from then on: so that the message itself, should it come again, finds its attempt claimed.
        """
        marks: dict[str, Any] = {}
        if self._unnamed and self._used == 0 and isinstance(outcome, (Unsent, Doubtful, Refused)):
            with suppress(BrokerError):
                marks = {} if await self._claimed() is Bar.NONE else {"doubtful": True}
        if self._used:
            marks["tries"] = self._envelope.tries + self._used
        if isinstance(outcome, Unsent) and self.waited:
            marks["waited"] = True
        return marked(outcome, marks)

    def _key(self, kind: str, further: int = 0) -> str:
        return f"{kind}:{self._identity}:{self._envelope.tries + further}"
