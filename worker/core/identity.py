"""What makes a message the same message: its queue, its id and its content. Senders choose ids freely, so an id alone proves nothing."""

from __future__ import annotations

from worker.core.message import Delivery, digest_of


def identity_of(delivery: Delivery) -> tuple[str, str, bytes]:
    """What a redelivered copy shares with the first: queue, id and content."""
    return delivery.queue, delivery.message.message_id, digest_of(delivery)
