"""Edits a dead letter: another body under the same id, proved again, with the original kept in a queue of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from worker.core.delivery_state import Death
from worker.core.errors import WorkerError
from worker.core.header_codec import HeaderCodec
from worker.core.message import Message
from worker.core.ports import Broker, Clock
from worker.core.topology import EDITED, edited_topology
from worker.flows.dead.letter import DeadQueue, Letter
from worker.flows.dead.plan import Retain, incomplete_letter
from worker.flows.dead.replay import Removed

Step = str | int
"""The name of a member, or the number of an element from 0."""


class CannotSet(WorkerError):
    """The place that a change names is not in the body."""


def with_value(document: Any, path: Sequence[Step], value: Any) -> Any:
    """Return a copy of the document with this value at the path. Creates a missing object on the way. Raises `CannotSet`."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(document, list):
        if not isinstance(step, int) or step >= len(document):
            raise CannotSet(f"{step!r} is no element: the array has {len(document)}, counted from 0")
        return [*document[:step], with_value(document[step], rest, value), *document[step + 1 :]]
    if document is None and isinstance(step, str):
        document = {}
    if not isinstance(document, dict) or isinstance(step, int):
        raise CannotSet(f"there is no {'array' if isinstance(step, int) else 'object'} in which {step!r} could be set: set the whole value as JSON")
    return document | {step: with_value(document.get(step), rest, value)}


class EditLetter:
    """Puts the letter with another body at the end of its dead queue. `body`: JSON."""

    def __init__(self, dead_queue: DeadQueue, body: bytes, broker: Broker, codec: HeaderCodec, clock: Clock) -> None:
        self._dead_queue = dead_queue
        self._body = body
        self._broker = broker
        self._codec = codec
        self._clock = clock

    async def __call__(self, letter: Letter, message: Message) -> Removed | Retain:
        """Settle the original. After a crash both letters are there, and a replay leaves the original. Raises `BrokerError`."""
        if keep := incomplete_letter(letter):
            return keep
        await self._broker.declare(edited_topology())
        original = replace(message, headers=message.headers, message_id=letter.id, expiration=None)
        await self._broker.publish(original, routing_key=EDITED)
        await self._broker.publish(self.edited(letter, message), routing_key=self._dead_queue.name)
        return Removed("edited")

    def edited(self, letter: Letter, message: Message) -> Message:
        """The letter with the new body; class, reason, time and attempts stay."""
        now = datetime.fromtimestamp(self._clock.now(), UTC)
        death = letter.state.death or Death(str(letter.dead_class), letter.reason, letter.status, letter.attempts, self._dead_queue.route, letter.at or now)
        state = replace(letter.state, message_id=letter.id, death=death, edited=letter.fingerprint.hex())
        body = replace(message, body=self._body, content_type="application/json", content_encoding=None)
        return self._codec.copy(body, self._dead_queue.home or self._dead_queue.name, state)
