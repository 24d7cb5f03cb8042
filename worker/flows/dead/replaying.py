"""Carries out a replay: publish, confirm, then take the letter off. A crash in between leaves it where it is, and then it is known that it may have been replayed."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol
from uuid import uuid4

import structlog

from worker.core.errors import BrokerError, ExpressionError, PublishRefused, QueueMissing, Undecodable, Unroutable
from worker.core.message import Message
from worker.core.ports import Broker, Claim, Claims, Clock
from worker.flows.dead.boxes import Box
from worker.flows.dead.effects import Effects
from worker.flows.dead.letter import Letter
from worker.flows.dead.plan import Again, Left, Plan, Planner, TakenAsDone, replay_copy

logger = structlog.get_logger()
FILTERED = "left out by the route's `when`"


@dataclass(frozen=True, slots=True)
class Gone:
    """The letter is to be taken off; `how`: replayed, filtered, done or discarded."""

    how: str


class Settled(Protocol):
    async def __call__(self, letter: Letter, message: Message) -> Gone | Left:
        """What became of the letter; when it is gone, whoever holds it acks it. Raises `BrokerError`."""
        ...


class ToItsQueue:
    """Replays what came from a queue, into that queue: others that its exchange serves had it already."""

    def __init__(self, box: Box, home: str, plan: Planner, broker: Broker, claims: Claims) -> None:
        self._box = box
        self._home = home
        self._plan = plan
        self._broker = broker
        self._claims = claims
        self._command = uuid4().hex

    async def __call__(self, letter: Letter, message: Message) -> Gone | Left:
        plan: Plan = self._plan(letter, message)
        match plan:
            case Left():
                return plan
            case TakenAsDone(onward):
                if onward is not None:
                    await self._publish(onward)
                logger.warning("letter.taken_as_done", route=self._box.route, message_id=letter.id, dead_class=str(letter.dead_class))
                return Gone("done")
            case Again(doubtful):
                await self._again(letter, message, doubtful=doubtful)
                return Gone("replayed")

    async def _again(self, letter: Letter, message: Message, *, doubtful: bool) -> None:
        """Who replays a letter claims it first: one that was claimed before may have been put into its queue already, and only its end was not seen."""
        turn = 0
        while await self._claims.claim(key := f"replay:{self._home}:{letter.mark.hex()}:{turn}", self._command) is not Claim.WON:
            if not await self._claims.seen(f"{key}:refused"):
                doubtful = True
                break
            turn += 1
        try:
            await self._publish(replay_copy(self._box, letter, message, doubtful=doubtful))
        except (QueueMissing, PublishRefused):
            with suppress(BrokerError):
                await self._claims.claim(f"{key}:refused", self._command)
            raise

    async def _publish(self, message: Message) -> None:
        try:
            await self._broker.publish(message, routing_key=self._home)
        except Unroutable:
            raise QueueMissing(f"there is no queue {self._home!r} to put the letters back into: the worker declares it when it runs") from None


class ByItsRoute:
    """Replays what came from no queue: its effects are worked out anew, and published."""

    def __init__(self, effects: Effects, broker: Broker, clock: Clock) -> None:
        self._effects = effects
        self._broker = broker
        self._clock = clock

    async def __call__(self, letter: Letter, message: Message) -> Gone | Left:
        try:
            effects = self._effects(letter, message, self._clock.now())
        except (ExpressionError, Undecodable) as error:
            return Left(str(error))
        for effect in effects:
            try:
                await self._broker.publish(effect.message, routing_key=effect.routing_key, exchange=effect.exchange)
            except (Unroutable, PublishRefused) as error:
                if self._broker.lost:
                    raise BrokerError(str(error)) from error
                return Left(str(error))
        return Gone("replayed" if effects else "filtered")


async def discarded(letter: Letter, message: Message) -> Gone | Left:  # noqa: ARG001 - as `Settled` has it
    """For letters that nobody wants any more."""
    return Gone("discarded")
