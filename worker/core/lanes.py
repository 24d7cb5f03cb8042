"""The parts that parallel lanes of an iteration bring together at its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from worker.core.message import Message
from worker.core.ports import Publishing

Onward = Callable[[Mapping[int, Mapping[str, Any]]], tuple[Message, str]]
"""Makes the message that continues the run, and its queue, from the documents of all lanes. May raise `Undecodable`."""


@dataclass(frozen=True, slots=True)
class LanePart:
    """The part of one of `lanes` lanes. `key`: the same for all lanes of one iteration."""

    key: str
    lane: int
    lanes: int
    document: Mapping[str, Any]


class RunBroker(Publishing, Protocol):
    """The broker for runs: it publishes their messages and joins their lanes."""

    async def join(self, queue: str, part: LanePart, onward: Onward) -> bool:
        """Put the part on this queue. Once all lanes' parts are there, publish the message of `onward`, confirmed, and remove them. False: parts are missing.

        A part that comes twice counts once. When several lanes end together, the last one finds all parts. Raises `BrokerError`, and the errors of `onward`.
        """
        ...
