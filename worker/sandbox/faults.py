"""Faults on demand: what goes wrong, with which requests, and how often."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from random import Random

from worker.sandbox.journal import path_matches


class FaultKind(StrEnum):
    """What a fault does to a request. Kinds marked * apply after the operation if `executed`, otherwise instead of it."""

    DELAY = "delay"  # * waits `seconds`, then continues
    HOLD = "hold"  # * waits until the fault is removed, then continues
    RESET = "reset"  # * resets the connection
    CLOSE = "close"  # * closes the connection without an answer, as a server does with an idle one
    ANSWER = "answer"  # * answers `status` with a body of the kind `body`
    HTML = "html"  # * answers with a login page, status 200
    REDIRECT = "redirect"  # * redirects to `location` with `status` (302)
    REVOKE = "revoke"  # revokes all tokens before the request is processed
    CUT = "cut"  # stops half way through the answer
    DRIP = "drip"  # sends one byte of the answer every `seconds`
    REPEAT_PAGE = "repeat_page"  # answers every page with the first one
    ENDLESS_PAGES = "endless_pages"  # starts again with the first page after the last one
    IGNORE_FILTERS = "ignore_filters"  # ignores all parameters except paging and order
    WRONG_COUNT = "wrong_count"  # sets `record_count` to `size`
    HUGE = "huge"  # pads the answer to `size` bytes (36 MB)
    BOMB = "bomb"  # sends a small compressed answer that decompresses to `size` bytes


REPLACING = frozenset({FaultKind.RESET, FaultKind.CLOSE, FaultKind.ANSWER, FaultKind.HTML, FaultKind.REDIRECT})


class FaultBody(StrEnum):
    """The body of an ANSWER."""

    EMPTY = "empty"
    HTML = "html"
    STRING = "string"
    EXCEPTION = "exception"
    JSON = "json"


@dataclass(frozen=True)
class Fault:
    """Applies to requests with this `method` and `path` (a pattern, with or without /api): from the `nth` on, `times` of them (None: all), each with `probability`."""

    does: FaultKind
    method: str = "*"
    path: str = "*"
    nth: int = 1
    times: int | None = 1
    probability: float = 1.0
    seed: int = 0
    executed: bool = False
    seconds: float = 0.0
    status: int = 500
    body: FaultBody = FaultBody.EMPTY
    text: str = "An error has occurred"
    location: str = "/auth/login"
    headers: tuple[tuple[str, str], ...] = ()
    size: int = 36_000_000


@dataclass
class ActiveFault:
    """A fault in force. `fitted`: requests that match it; `struck`: requests to which it was applied."""

    number: int
    fault: Fault
    random: Random
    fitted: int = 0
    struck: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the fault is applied for the first time."""
    removed: asyncio.Event = field(default_factory=asyncio.Event)

    def matches(self, method: str, path: str) -> bool:
        """Whether a request matches; counts it."""
        fits = self.fault.method in {"*", method} and path_matches(self.fault.path, path)
        self.fitted += fits
        return fits

    def consume(self) -> bool:
        """Whether to apply the fault to the request that was counted last; counts that too."""
        fault = self.fault
        if self.fitted < fault.nth or (fault.times is not None and self.struck >= fault.times) or self.random.random() >= fault.probability:
            return False
        self.struck += 1
        return True


class Faults:
    """The faults in force. A request gets all that match it, in the order in which they were added."""

    def __init__(self) -> None:
        self._active: dict[int, ActiveFault] = {}
        self._numbers = count(1)

    def add(self, fault: Fault) -> ActiveFault:
        active = ActiveFault(next(self._numbers), fault, Random(fault.seed))  # noqa: S311  must be reproducible
        self._active[active.number] = active
        return active

    def remove(self, number: int) -> None:
        """Removes a fault. Requests that it holds continue."""
        active = self._active.pop(number, None)
        if active is not None:
            active.removed.set()

    def clear(self) -> None:
        for number in list(self._active):
            self.remove(number)

    def active_faults(self) -> list[ActiveFault]:
        return list(self._active.values())

    def matching(self, method: str, path: str) -> list[ActiveFault]:
        """The faults to apply to this request; each call counts as one request. Of the faults that replace the answer only the first applies."""
        struck: list[ActiveFault] = []
        for active in [active for active in self.active_faults() if active.matches(method, path)]:
            replaces = active.fault.does in REPLACING
            if not (replaces and any(earlier.fault.does in REPLACING for earlier in struck)) and active.consume():
                struck.append(active)
        return struck
