"""Carries out a replay: publish, confirm, then the letter may be taken off. A crash in between leaves it where it is: a second copy of it then meets the first one's claims."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import structlog

from worker.core.errors import (
    BrokerError,
    EvaluatorUnavailable,
    ExpressionError,
    PublishRefused,
    QueueMissing,
    Undecodable,
    Unpublishable,
    Unroutable,
)
from worker.core.header_codec import HeaderCodec
from worker.core.message import Message
from worker.core.ports import Broker, Clock
from worker.flows.dead.dead_queues import DeadQueue
from worker.flows.dead.effects import ReplayEffects
from worker.flows.dead.letter import Letter
from worker.flows.dead.plan import Keep, MarkDone, Replay, ReplayPlan, ReplayPlanner, incomplete, replay_state

logger = structlog.get_logger()
FILTERED = "left out by the route's `when`"


@dataclass(frozen=True, slots=True)
class Removed:
    """The letter is to be taken off; `how`: replayed, filtered, done or discarded."""

    result: str


class SettleLetter(Protocol):
    async def __call__(self, letter: Letter, message: Message) -> Removed | Keep:
        """What became of the letter; when it is gone, whoever holds it acks it. Raises `BrokerError`."""
        ...


class ReplayToQueue:
    """Replays what came from a queue, into that queue: others that its exchange serves had it already."""

    def __init__(self, dead_queue: DeadQueue, home: str, plan: ReplayPlanner, broker: Broker, codec: HeaderCodec) -> None:
        self._box = dead_queue
        self._home = home
        self._plan = plan
        self._broker = broker
        self._codec = codec

    async def __call__(self, letter: Letter, message: Message) -> Removed | Keep:
        plan: ReplayPlan = incomplete(letter) or self._plan(letter, message)
        match plan:
            case Keep():
                return plan
            case MarkDone(onward):
                if onward is not None:
                    await self._publish(onward)
                logger.warning("letter.taken_as_done", route=self._box.route, message_id=letter.id, dead_class=str(letter.dead_class))
                return Removed("done")
            case Replay(verdict):
                try:
                    await self._publish(self._codec.copy(message, self._home, replay_state(letter, verdict)))
                except Unpublishable as error:
                    return Keep(str(error))
                return Removed("replayed")

    async def _publish(self, message: Message) -> None:
        try:
            await self._broker.publish(message, routing_key=self._home)
        except Unroutable:
            raise QueueMissing(f"there is no queue {self._home!r} to put the letters back into: the worker declares it when it runs") from None


class ReplayThroughRoute:
    """Replays what came from no queue: its effects are worked out anew, and published."""

    def __init__(self, effects: ReplayEffects, broker: Broker, clock: Clock) -> None:
        self._effects = effects
        self._broker = broker
        self._clock = clock

    async def __call__(self, letter: Letter, message: Message) -> Removed | Keep:
        if left := incomplete(letter):
            return left
        try:
            effects = await self._effects(letter, message, self._clock.now())
        except (EvaluatorUnavailable, ExpressionError, Undecodable) as error:
            return Keep(str(error))
        for effect in effects:
            try:
                await self._broker.publish(effect.message, routing_key=effect.routing_key, exchange=effect.exchange)
            except (Unroutable, PublishRefused) as error:
                if self._broker.lost:
                    raise BrokerError(str(error)) from error
                return Keep(str(error))
        return Removed("replayed" if effects else "filtered")


async def discard(letter: Letter, message: Message) -> Removed | Keep:  # noqa: ARG001 - as `SettleLetter` has it
    """For letters that nobody wants any more."""
    return Removed("discarded")
