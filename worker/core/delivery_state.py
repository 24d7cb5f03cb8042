"""What the worker knows about a delivery besides its body: the data that travels with a message between attempts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from worker.core.message import NO_HEADERS


@dataclass(frozen=True, slots=True)
class OrderStamp:
    """The place of a message in the waiting queue of a route with `order_by` or `fair_by`.

    `sequence` is larger than that of every earlier message. The worker may start it from `due` on; no worker started it before `since`. Both are seconds
    since 1970. `starts` counts the starts that may have ended in a crash.
    """

    sequence: int
    since: int
    due: float = 0.0
    starts: int = 0


@dataclass(frozen=True, slots=True)
class Death:
    """Why a message is in a dead queue: class, reason without customer data, HTTP status, counted attempts, route, and when. `at` None: unknown.

    `left_out` names the sender's headers for which the worker's own headers left no room.
    """

    dead_class: str
    reason: str = ""
    status: int | None = None
    attempts: int | None = None
    route: str = ""
    at: datetime | None = None
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class DeliveryState:
    """One delivery, as its history and its headers describe it.

    `attempts`: counted attempts before this one. `doubtful`: one of them may have had its effect. `redelivered`: another consumer had the message before and
    may still work on it. `replays`: how often an operator replayed it. `replay`: identifies the dead letter that an operator replayed. `edited`: identifies
    the dead letter that an operator changed into this message. `tries`: attempts that a worker claimed, counted or not. `waited`: everything that was in
    flight when the worker made this copy has ended since. `holder`: its number among the holders of its `once` key, if it is one. `origin`: replaces the id
    when the sender gave the message none. `reason`: why the worker tries it again. `headers`: the sender's own, as sent.

    Not on the wire: `proven`: a worker wrote our headers. `copied`: a worker made this copy for a retry. `remembered`: whether claims about the message still
    hold; None: the claims themselves show it. `unproven`: our headers on the message that no worker wrote.
    """

    message_id: str
    correlation_id: str
    exchange: str = ""
    routing_key: str = ""
    attempts: int = 0
    doubtful: bool = False
    redelivered: bool = False
    replays: int = 0
    replay: str = ""
    edited: str = ""
    tries: int = 0
    waited: bool = False
    holder: int | None = None
    origin: str = ""
    reason: str = ""
    order: OrderStamp | None = None
    death: Death | None = None
    headers: Mapping[str, Any] = field(default_factory=lambda: NO_HEADERS, repr=False)
    proven: bool = False
    copied: bool = False
    remembered: bool | None = None
    unproven: tuple[str, ...] = ()
