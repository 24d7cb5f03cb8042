"""The queues through which the replicas share the request budget of one Halo tenant."""

from __future__ import annotations

from hashlib import sha256

from worker.core.topology import Queue, Topology

PERMITS_MAX = 10
DAY = 24 * 60 * 60 * 1000  # milliseconds


def permits_queue(tenant: str) -> str:
    """The queue in which the permits of one Halo tenant wait for its senders. The name holds a digest, since a tenant's name is its address."""
    return f"halo.budget.{sha256(tenant.encode()).hexdigest()[:12]}.permits"


def issuer_marker(tenant: str) -> str:
    """The queue that holds a message while a replica issues permits."""
    return f"{permits_queue(tenant)}.minted"


def issuer_lock(tenant: str) -> str:
    return f"{permits_queue(tenant)}.lock"


def pause_queue(tenant: str) -> str:
    """The queue that informs the issuer that Halo refused a request."""
    return f"{permits_queue(tenant)}.pause"


def permits_topology(tenant: str) -> Topology:
    """Queues for short-lived messages whose loss does no harm. All rate limits have the same arguments: a message carries its lifetime, so a limit may change.

    They are still quorum queues. No node of a cluster can declare, read or delete a classic queue whose node is down, and no replica would start
    (tried on 3.10.8).
    """

    def short(name: str, length: int) -> Queue:
        return Queue(name, {"x-queue-type": "quorum", "x-max-length": length, "x-expires": DAY})

    return Topology(queues=(short(permits_queue(tenant), PERMITS_MAX), short(issuer_marker(tenant), 1), short(pause_queue(tenant), 1)))
