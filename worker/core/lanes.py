"""The parts that parallel lanes of an iteration bring together at its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from worker.core.message import Message
from worker.core.ports import Publishing

Onward = Callable[[Mapping[int, Mapping[str, Any]]], tuple[Message, str]]
"""Makes the message with which the run goes on, and its queue, of the document of each lane. May raise `Undecodable`."""


@dataclass(frozen=True, slots=True)
class LanePart:
    """What one of `lanes` lanes brings. `key`: the same for all lanes of one iteration."""

    key: str
    lane: int
    lanes: int
    document: Mapping[str, Any]


class RunBroker(Publishing, Protocol):
    """Where runs publish, and where their lanes meet."""

    async def join(self, queue: str, part: LanePart, onward: Onward) -> bool:
        """Put the part on this queue. When those of all lanes are there: publish what `onward` makes of them, confirmed, and take them off; False: some are missing.

        Twice the same part is one. Of several lanes that end together the last one finds all parts. Raises `BrokerError`, and what `onward` raises.
        """
        ...
