"""Our messages as AMQP properties, and anybody's AMQP properties as our messages."""

from __future__ import annotations

from datetime import datetime
from uuid import uuid4

from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic

from worker.broker.tables import from_field, require_short, to_milliseconds, to_table
from worker.core.errors import PublishRefused
from worker.core.message import Message

PERSISTENT = 2
MAX_HEADERS = 120_000  # bytes; properties travel in one frame, whose usual maximum is 131,072: the broker closes the connection over a larger one


def to_properties(message: Message) -> Basic.Properties:
    """Raises `PublishRefused` when AMQP cannot carry the message's properties."""
    for name in ("message_id", "correlation_id", "reply_to", "content_type", "type"):
        require_short(name.replace("_", " "), getattr(message, name))
    properties = Basic.Properties(
        message_id=message.message_id or uuid4().hex,
        correlation_id=message.correlation_id,
        reply_to=message.reply_to,
        content_type=message.content_type,
        message_type=message.type,
        headers=to_table(message.headers) or None,
        delivery_mode=PERSISTENT,
        expiration=None if message.expiration is None else str(to_milliseconds(message.expiration)),
        timestamp=message.timestamp if message.timestamp and message.timestamp.timestamp() >= 0 else None,
    )
    if message.headers and (size := len(properties.marshal())) > MAX_HEADERS:
        raise PublishRefused(f"the headers have {size:,} bytes; at most {MAX_HEADERS:,} can be published")
    return properties


def to_message(delivered: DeliveredMessage) -> Message:
    """Never raises, whatever the sender wrote."""
    properties = delivered.header.properties
    headers = properties.headers
    lifetime = properties.expiration or ""
    return Message(
        body=delivered.body,
        headers={name: from_field(value) for name, value in headers.items()} if isinstance(headers, dict) else {},
        message_id=properties.message_id or "",
        correlation_id=properties.correlation_id,
        reply_to=properties.reply_to,
        content_type=properties.content_type,
        type=properties.message_type,
        timestamp=from_field(properties.timestamp) if isinstance(properties.timestamp, datetime) else None,
        expiration=int(lifetime) / 1000 if lifetime.isdecimal() else None,
    )
