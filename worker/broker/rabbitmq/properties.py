"""Turns our messages into AMQP properties, and the AMQP properties of any sender into our messages."""

from __future__ import annotations

from datetime import datetime

from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic

from worker.broker.amqp_types import MAX_HEADERS, from_field, short_properties, to_milliseconds, to_moment, to_table
from worker.core.message import Message

PERSISTENT = 2


def to_properties(message: Message, max_bytes: int = MAX_HEADERS) -> Basic.Properties:
    """The AMQP properties of a message. `max_bytes`: bytes for headers. Raises `Unpublishable` when AMQP cannot carry them."""
    texts = short_properties(message)
    return Basic.Properties(
        message_id=texts["message_id"],
        correlation_id=texts["correlation_id"],
        reply_to=texts["reply_to"],
        content_type=texts["content_type"],
        content_encoding=texts["content_encoding"],
        message_type=texts["type"],
        app_id=texts["app_id"],
        priority=message.priority,
        headers=to_table(message.headers, max_bytes) or None,
        delivery_mode=PERSISTENT,
        expiration=None if message.expiration is None else str(to_milliseconds(message.expiration)),
        timestamp=to_moment(message.timestamp),
    )


def to_message(delivered: DeliveredMessage) -> Message:
    """The message of a delivery. It raises nothing, whatever the sender wrote."""
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
        content_encoding=properties.content_encoding,
        type=properties.message_type,
        app_id=properties.app_id,
        priority=properties.priority,
        timestamp=from_field(properties.timestamp) if isinstance(properties.timestamp, datetime) else None,
        expiration=int(lifetime) / 1000 if lifetime.isdecimal() else None,
    )
