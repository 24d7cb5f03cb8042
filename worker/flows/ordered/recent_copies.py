"""The messages that were moved last: after a crash, originals of some of them are still in the route's queue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from worker.core.message import Delivery
from worker.flows.ordered.returned_messages import identity_by_content


class RecentCopies:
    """Copies in the waiting queue whose originals may come again.

    An id and a content identify a message: if a sender sends two such messages, one may count as a copy. `looks`: how many messages the queue can have
    delivered before. It delivers these first.
    """

    def __init__(self, copies: Iterable[Delivery], looks: int) -> None:
        self._copies = Counter(identity_by_content(copy) for copy in copies)
        self._looks = looks

    def has_copy_of(self, delivery: Delivery) -> bool:
        """Whether this message was moved before; its copy then replaces it."""
        if not (delivery.redelivered and delivery.message.message_id and self._looks):
            return False
        self._looks -= 1
        if not self._copies[identity_by_content(delivery)]:
            return False
        self._copies[identity_by_content(delivery)] -= 1
        return True
