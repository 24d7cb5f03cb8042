"""The worker's own headers in tests: a codec with a key of its own, and copies as the worker makes them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from worker.core.delivery_state import DeliveryState
from worker.core.header_codec import HeaderCodec
from worker.core.message import Delivery, Message
from worker.core.settlement import Bury, Retry
from worker.flows.consuming.copies import buried, retried

CODEC = HeaderCodec(b"a key for tests, of 32 bytes ...")


def proven(delivery: Delivery, **state: Any) -> Message:
    """The message as a worker copied it, with this state."""
    return CODEC.copy(delivery.message, delivery.queue, replace(CODEC.read(delivery), **state))


def opened(delivery: Delivery) -> DeliveryState:
    return CODEC.read(delivery)


def retry_copy(delivery: Delivery, state: DeliveryState, retry: Retry) -> Message:
    return CODEC.copy(delivery.message, delivery.queue, retried(state, retry))


def dead_letter(delivery: Delivery, state: DeliveryState, bury: Bury, route: str, at: datetime) -> Message:
    return CODEC.copy(delivery.message, delivery.queue, buried(state, bury, route, at))
