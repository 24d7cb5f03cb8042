"""One HTTP exchange with Halo, and its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, IntEnum
from typing import Any


class Priority(IntEnum):
    """The order of requests when the request budget is short: the lower value goes first."""

    WRITE = 0
    RUNBOOK = 1
    POLL = 2
    BACKFILL = 3


@dataclass(frozen=True, slots=True)
class Request:
    """A request below the client's API address: `path` is encoded and starts with a slash; query values are text already; `body` is any JSON value.

    `form`: the body is an object whose members are the fields of a multipart form.
    `timeout`: seconds for the exchange from its budget slot on, in place of the client's.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    form: bool = False
    timeout: float | None = None


PROBE = Request("GET", "/Status", {"count": "1"})
"""A request that shows whether Halo is up: it is small, and needs a token but hardly a permission. A 403 is an answer too."""


class RequestResult(Enum):
    """The result of a request."""

    NOT_SENT = "not_sent"  # no byte of the request reached Halo: it may be repeated freely
    DONE = "done"  # 2xx with a readable answer (or an empty one)
    DONE_UNREAD = "done_unread"  # 2xx, but the answer was cut, too large or not JSON: the effect happened, the answer is unknown
    REJECTED = "rejected"  # Halo refused it: a 4xx other than those below
    AUTH = "auth"  # 403, or 401 after a fresh token
    THROTTLED = "throttled"  # 429: the effect did not happen, all requests wait
    AMBIGUOUS = "ambiguous"  # sent, effect unknown: reset, timeout, 408, 5xx, redirect, a web page instead of JSON


@dataclass(frozen=True, slots=True)
class Exchange:
    """The result of one request. `reason` is a sentence for people, without customer data or secrets.

    `down` says that the failure concerns Halo as a whole (unreachable, 502, 503, 504, no token), not this request.
    `date` is Halo's own clock (the Date header), UTC. `duration` is in seconds.
    `oversized`: the answer has more bytes or values than the worker reads; the same request gets the same answer again.
    `headers` (names in lower case), `cookies`: of the answer of another API.
    `stale_token`: the token that Halo refused with a 401, otherwise empty. The caller may reserve and send the request again, once.
    """

    result: RequestResult
    status: int | None = None
    reason: str = ""
    body: Any = None
    retry_after: float | None = None
    date: datetime | None = None
    down: bool = False
    duration: float = 0.0
    oversized: bool = False
    stale_token: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    cookies: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def documents(self) -> dict[str, Any]:
        """The parts of the answer that expressions of output variables read, by the first word of the expression."""
        return {"response": self.body, "status": self.status, "headers": self.headers, "cookies": self.cookies}

    @property
    def ok(self) -> bool:
        return self.result is RequestResult.DONE
