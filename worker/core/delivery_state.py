"""What the worker knows of a delivery besides its body: everything that travels with a message between attempts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from worker.core.message import NO_HEADERS


@dataclass(frozen=True, slots=True)
class OrderStamp:
    """The place of a message in the waiting queue of a route with `order_by` or `fair_by`.

    `sequence` is larger than that of every message that came before. Seconds since 1970: it may run from `due` on, and no worker started it before `since`.
    `starts` counts the starts that may have ended in a crash.
    """

    sequence: int
    since: int
    due: float = 0.0
    starts: int = 0


@dataclass(frozen=True, slots=True)
class Death:
    """Why a message is in a dead queue: class, reason without customer data, HTTP status, counted attempts, route, and when. `at` None: unknown.

    `left_out` names the sender's headers that found no room beside the worker's own.
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
    """One delivery, as its history and its headers tell.

    `attempts`: counted attempts before this one. `doubtful`: one of them may have had its effect. `redelivered`: another consumer had the message before and may still
    work on it. `replays`: how often an operator replayed it. `replay`: stands for the dead letter that was replayed. `edited`: stands for
    the dead letter that an operator changed into this one. `tries`: attempts that were claimed, counted or not. `waited`: whatever was in flight when this copy was
    made has ended since. `holder`: which holder of its `once` key it is, if it is one. `origin`: stands for the id of a message that its sender gave none.
    `reason`: why it is tried again. `headers`: the sender's own, as sent.

    Not on the wire: `proven` says that a worker wrote the headers of ours, `copied` that it made this copy to be tried again. `remembered` says whether claims about it still hold; None where the claims
    themselves tell. `unproven` names headers of ours that no worker wrote.
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
