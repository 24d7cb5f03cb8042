"""Reads, writes and proves the worker's own headers. The worker never trusts a value that a sender writes under their names.

A keyed MAC covers all our headers, the queue that the message belongs to, its id and its body. Only workers may read the stream that holds the key. So a sender
with write access to an exchange cannot make a MAC, and a copied MAC fits no other message and no other queue.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from hashlib import blake2b
from hmac import compare_digest
from typing import Any

from worker.core.delivery_state import Death, DeliveryState, OrderStamp
from worker.core.entropy import new_id
from worker.core.header_fields import COUNTS, DEATH, DEATHS, KNOWN, MAC, ORDER, SENDER, STATE, is_ours, is_reserved, read_fields, write_fields
from worker.core.message import NO_HEADERS, Delivery, Message, digest

VERSION = 1
COPIES = frozenset({"halo-attempts", "halo-doubtful", "halo-tries", "replays"})  # every copy for a retry has at least one of them
MAC_BYTES = 16
SCALARS = frozenset({str, int, bool})  # the types that the worker writes: it can refuse a sender's tables without reading them
PSEUDO_QUEUE = "amq.rabbitmq.reply-to"  # the broker closes a channel that publishes to it without consuming from it


class NoKey(RuntimeError):
    """The worker wrote headers before it had the key: a mistake in the worker."""


class HeaderCodec:
    """`key`: 32 bytes that all replicas share; without a key no header is proven."""

    def __init__(self, key: bytes = b"") -> None:
        self.key = key

    def read(self, delivery: Delivery, home: str | None = None) -> DeliveryState:
        """The state of a delivery; unproven headers are the sender's. `home`: the queue that it belongs to, if it came from another queue."""
        message, content = delivery.message, delivery.digest
        proven = self.is_proven(message, home or delivery.queue, content)
        state = state_of(message, content, {"exchange": delivery.exchange, "routing_key": delivery.routing_key}, trusted=proven)
        return replace(state, redelivered=True) if delivery.redelivered and not state.redelivered else state

    def is_proven(self, message: Message, home: str, content: bytes) -> bool:
        """Whether a worker wrote our headers on exactly this message. `content`: the digest of its body, which the worker may have left unread."""
        given = message.headers.get(MAC)
        if (
            not self.key
            or not isinstance(given, str)
            or any(type(value) not in SCALARS for header, value in message.headers.items() if is_ours(header) and header != SENDER)
        ):
            return False
        return compare_digest(given.encode(errors="replace"), self._mac(message.headers, home, message.message_id, content))

    def copy(self, message: Message, home: str, state: DeliveryState, *, headers: Mapping[str, Any] | None = None) -> Message:
        """The message with this state, for the queues of `home`. The sender's headers route it nowhere else, and it has no time to live.

        `headers`: the sender's headers to keep; default: those of the state.
        """
        if not self.key:
            raise NoKey("the key of the headers is not there yet")
        sent = state.headers if headers is None else headers
        kept = {header: value for header, value in sent.items() if not is_reserved(header)}
        displaced = {header: value for header, value in sent.items() if is_reserved(header)}
        own = headers_of(state)
        proof = self._mac(own, home, state.message_id, digest(message.body)).decode()
        return replace(
            message,
            headers=kept | own | ({SENDER: displaced} if displaced else {}) | {MAC: proof},
            message_id=state.message_id,
            correlation_id=state.correlation_id,
            reply_to=None if message.reply_to == PSEUDO_QUEUE else message.reply_to,
            expiration=None,
        )

    def sign(self, message: Message, home: str) -> Message:
        """A message of the worker itself for the queue `home`, with the MAC that `is_proven` checks."""
        if not self.key:
            raise NoKey("the key of the headers is not there yet")
        named = message if message.message_id else replace(message, message_id=new_id())
        return named.with_headers(**{MAC: self._mac(named.headers, home, named.message_id, digest(named.body)).decode()})

    def _mac(self, headers: Mapping[str, Any], home: str, message_id: str, content: bytes) -> bytes:
        own = {header: value for header, value in headers.items() if is_ours(header) and header not in {MAC, SENDER}}
        told = ascii((VERSION, home, message_id, content.hex(), sorted(own.items())))  # the same in every version of Python
        return blake2b(told.encode(), key=self.key, digest_size=MAC_BYTES).hexdigest().encode()


def state_of(message: Message, content: bytes, otherwise: Mapping[str, Any] = NO_HEADERS, *, trusted: bool) -> DeliveryState:
    """The state in the headers. Headers that are not `trusted` are the sender's own and give nothing. `otherwise`: attributes for missing headers."""
    headers, message_id = message.headers, message.message_id or new_id()
    found = {**otherwise, "origin": "" if message.message_id else f"content:{content.hex()}"}
    order: dict[str, Any] = {}
    death: dict[str, Any] = {}
    if trusted:
        found, order, death = found | read_fields(STATE, headers), read_fields(ORDER, headers), read_fields(DEATH, headers)
    return DeliveryState(
        message_id,
        message.correlation_id or message_id,
        **found,
        order=OrderStamp(**{"since": 0} | order) if "sequence" in order else None,
        death=Death(**death) if "dead_class" in death else None,
        headers=senders_of(headers, trusted=trusted),
        proven=trusted,
        copied=trusted and not COPIES.isdisjoint(headers),
        unproven=() if trusted or KNOWN.isdisjoint(headers) else tuple(sorted(KNOWN & headers.keys())),
    )


def senders_of(headers: Mapping[str, Any], *, trusted: bool) -> Mapping[str, Any]:
    """The sender's headers as sent. On a worker's copy, a separate table holds the sender's headers that have our names."""
    if not headers:
        return NO_HEADERS
    if not trusted:
        return {header: value for header, value in headers.items() if not header.startswith(COUNTS)}
    displaced = headers.get(SENDER)
    kept = {header: value for header, value in headers.items() if not is_ours(header) and not header.startswith((*COUNTS, *DEATHS))}
    return kept | (displaced if isinstance(displaced, dict) else {})


def headers_of(state: DeliveryState) -> dict[str, Any]:
    """Our headers that hold this state."""
    own = write_fields(STATE, state)
    if state.reason:  # a message that waits for a retry has these headers even with no counted attempt
        own = {"halo-attempts": state.attempts, "halo-doubtful": state.doubtful} | own
    if state.order is not None:
        own |= write_fields(ORDER, state.order)
    return own if state.death is None else own | write_fields(DEATH, state.death)
