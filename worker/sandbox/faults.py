"""Faults on demand: what is to go wrong, with which requests, how often."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from random import Random

from worker.sandbox.journal import path_matches


class FaultKind(StrEnum):
    """What a fault does to a request. Those marked * happen after the operation was carried out if `executed`, otherwise instead of it."""

    DELAY = "delay"  # * waits `seconds`, then goes on
    HOLD = "hold"  # * waits until the fault is removed, then goes on
    RESET = "reset"  # * the connection is reset
    CLOSE = "close"  # * the connection is closed without an answer, as an idle one would be
    ANSWER = "answer"  # * answers `status` with a body of the kind `body`
    HTML = "html"  # * a login page, status 200
    REDIRECT = "redirect"  # * `status` (302) to `location`
    REVOKE = "revoke"  # all tokens end before the request is looked at
    CUT = "cut"  # the answer stops half way
    DRIP = "drip"  # the answer comes one byte every `seconds`
    REPEAT_PAGE = "repeat_page"  # every page is the first
    ENDLESS_PAGES = "endless_pages"  # no page is empty: after the last one the first comes again
    IGNORE_FILTERS = "ignore_filters"  # only paging and order count
    WRONG_COUNT = "wrong_count"  # `record_count` is `size`
    HUGE = "huge"  # the answer grows to `size` bytes (36 MB)
    BOMB = "bomb"  # a small compressed answer that unpacks to `size` bytes


REPLACING = frozenset({FaultKind.RESET, FaultKind.CLOSE, FaultKind.ANSWER, FaultKind.HTML, FaultKind.REDIRECT})


class BodyKind(StrEnum):
    """The body of an ANSWER."""

    EMPTY = "empty"
    HTML = "html"
    STRING = "string"
    EXCEPTION = "exception"
    JSON = "json"


@dataclass(frozen=True)
class Fault:
    """Which requests: `method` and `path` (a pattern, with or without /api), from the `nth` that fits, `times` of them (None: all), by `probability`."""

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
    body: BodyKind = BodyKind.EMPTY
    text: str = "An error has occurred"
    location: str = "/auth/login"
    headers: tuple[tuple[str, str], ...] = ()
    size: int = 36_000_000


@dataclass
class ActiveFault:
    """A fault in force: how many requests fitted, how many it struck."""

    number: int
    fault: Fault
    chance: Random
    fitted: int = 0
    struck: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the first request has been struck."""
    removed: asyncio.Event = field(default_factory=asyncio.Event)

    def matches(self, method: str, path: str) -> bool:
        """Whether a request fits; counts it."""
        fits = self.fault.method in {"*", method} and path_matches(self.fault.path, path)
        self.fitted += fits
        return fits

    def consume(self) -> bool:
        """Whether the fitting request that was just counted is to be struck; counts that."""
        fault = self.fault
        if self.fitted < fault.nth or (fault.times is not None and self.struck >= fault.times) or self.chance.random() >= fault.probability:
            return False
        self.struck += 1
        return True


class Faults:
    """The faults in force. A request is struck by those that fit, in the order in which they were added."""

    def __init__(self) -> None:
        self._active: dict[int, ActiveFault] = {}
        self._numbers = count(1)

    def add(self, fault: Fault) -> ActiveFault:
        active = ActiveFault(next(self._numbers), fault, Random(fault.seed))  # noqa: S311  reproducible chance is the point
        self._active[active.number] = active
        return active

    def remove(self, number: int) -> None:
        """Ends a fault; requests that it holds go on."""
        active = self._active.pop(number, None)
        if active is not None:
            active.removed.set()

    def clear(self) -> None:
        for number in list(self._active):
            self.remove(number)

    def active_faults(self) -> list[ActiveFault]:
        return list(self._active.values())

    def matching(self, method: str, path: str) -> list[ActiveFault]:
        """The faults that strike this request; each call counts as one request. Of those that take the answer's place only the first does."""
        struck: list[ActiveFault] = []
        for active in [active for active in self.active_faults() if active.matches(method, path)]:
            replaces = active.fault.does in REPLACING
            if not (replaces and any(earlier.fault.does in REPLACING for earlier in struck)) and active.consume():
                struck.append(active)
        return struck
