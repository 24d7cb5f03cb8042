"""What makes a message the same message: its queue, its id and its content. Senders choose ids freely, so an id alone proves nothing."""

from __future__ import annotations

from hashlib import blake2b

from worker.core.message import Delivery


def content_digest(body: bytes) -> bytes:
    """16 bytes that stand for a body."""
    return blake2b(body, digest_size=16).digest()


def content_id(body: bytes) -> str:
    """Stands in for the id of a message that has none."""
    return f"content:{content_digest(body).hex()}"


def identity_of(delivery: Delivery) -> tuple[str, str, bytes]:
    """What a redelivered copy shares with the first: queue, id and content."""
    return delivery.queue, delivery.message.message_id, content_digest(delivery.message.body)
