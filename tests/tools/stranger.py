"""A sender that keeps to no rules: whatever AMQP can carry goes out as it is, past the worker's own port."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import aio_pika
import orjson
from aiormq.abc import AbstractChannel
from pamqp.commands import Basic


@dataclass(frozen=True)
class Stranger:
    """Publishes on one channel."""

    channel: AbstractChannel

    async def send(self, document: Any, routing_key: str, exchange: str = "", headers: dict[str, Any] | None = None, **properties: Any) -> str:
        """Bytes go as they are. Returns the message's id."""
        body = document if isinstance(document, bytes) else orjson.dumps(document)
        message_id = properties.pop("message_id", uuid4().hex)
        made = Basic.Properties(message_id=message_id, headers=headers or None, delivery_mode=2, **properties)
        await self.channel.basic_publish(body, exchange=exchange, routing_key=routing_key, properties=made)
        return message_id


@asynccontextmanager
async def stranger(url: str) -> AsyncIterator[Stranger]:
    """A connection of its own."""
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        yield Stranger(await channel.get_underlay_channel())
