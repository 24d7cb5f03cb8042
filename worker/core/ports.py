"""What the flows know of the world: a broker and its channels, Halo, the expression engine, a clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from worker.core.allowance import Permit
from worker.core.evaluation import Question
from worker.core.exchange import Exchange, Priority, Request
from worker.core.lookups import LookupAnswer
from worker.core.message import OURS, Delivery, Keep, Message
from worker.core.topology import Topology

OnDelivery = Callable[[Delivery], None]


class Channel(Protocol):
    """One AMQP channel with confirms. Everything that must share a fate (take, publish, ack) happens on one of these."""

    async def publish(self, message: Message, *, routing_key: str, exchange: str = "") -> None:
        """Publish persistent and mandatory and wait for the confirm.

        Raises `Unroutable` (no queue took it), `PublishRefused` (the broker said no: it is not stored), or `ChannelLost` / `PublishDoubtful`
        (it may or may not be stored: publish again, the dedupe key absorbs the copy). A missing exchange is refused and closes the channel.
        Headers that belong to the broker (`x-death`, `x-delivery-count`, `x-stream-offset` …) are left out: a copy that carries them can be dropped by it.
        """
        ...

    async def get(self, queue: str, *, keep: Keep = OURS) -> Delivery | None:
        """Take one ready message, None when there is none. Raises `ChannelLost`, or `QueueMissing`, which closes the channel.

        A body that `keep` does not want is dropped as it comes, and is `Delivery.unread`.
        """
        ...

    async def consume(self, queue: str, on_delivery: OnDelivery, *, arguments: Mapping[str, Any] | None = None, keep: Keep = OURS) -> str:
        """Start consuming; `on_delivery` is called from the channel's reader and must only hand the delivery over. Returns the consumer's tag.

        `keep` decides which bodies are kept, as in `get`; it is called from the channel's reader.

        Raises `ChannelLost`, or `QueueMissing`, which closes the channel. A stream needs a channel with prefetch and takes `x-stream-offset`
        (first, last, next or a number) in `arguments`.
        """
        ...

    async def cancel(self, tag: str) -> None:
        """Stop consuming; what was delivered stays ours."""
        ...

    async def ack_all(self) -> None:
        """Take off everything that the channel has handed out so far: for streams, where an acknowledgement only asks for more. Raises `ChannelLost`."""
        ...

    async def ack_through(self, delivery: Delivery) -> None:
        """Take this delivery of the channel, and all that it handed out before it, off their queues at once. Raises `ChannelLost`."""
        ...

    async def wait_closed(self) -> str:
        """Wait until the channel, its connection or one of its consumers is gone, and say why."""
        ...


class Publishing(Protocol):
    """Where messages are published."""

    async def publish(self, message: Message, *, routing_key: str, exchange: str = "") -> None:
        """As `Channel.publish`."""
        ...


class Broker(Protocol):
    """One live attachment to a broker. It is not repaired: when it is lost, a new one is made."""

    def channel(self, *, prefetch: int = 0, publishing: bool = False) -> AbstractAsyncContextManager[Channel]:
        """Open a channel, on the publishing connection or on the consuming one; closing it returns unacked messages to their queues."""
        ...

    async def publish(self, message: Message, *, routing_key: str, exchange: str = "") -> None:
        """As `Channel.publish`, on a channel of the broker's own that is opened again when it was lost."""
        ...

    async def declare(self, topology: Topology) -> None:
        """Declare what is missing and verify what exists. Raises `TopologyMismatch` with a sentence per difference; changes nothing that exists."""
        ...

    async def delete(self, topology: Topology) -> None:
        """Delete these queues with what is in them, and these exchanges. What is not there is passed over."""
        ...

    async def queue_exists(self, queue: str) -> bool: ...

    async def queue_depth(self, queue: str) -> int | None:
        """Messages ready (without those that are unacknowledged), None when there is no such queue."""
        ...

    async def consumers(self, queue: str) -> int:
        """How many consumers a queue has, over all attachments; none when there is no such queue."""
        ...

    def lock(self, name: str) -> AbstractAsyncContextManager[bool]:
        """An exclusive lock of this connection on `name`: yields True when it was taken, False when another connection holds it. Released at exit or with the connection."""
        ...

    @property
    def lost(self) -> bool:
        """Whether the attachment is gone."""
        ...

    @property
    def blocked(self) -> str:
        """Why the broker blocks publishing (a memory or disk alarm), empty when it does not; the attachment is not lost by it."""
        ...

    async def wait_lost(self) -> str:
        """Wait until the attachment is gone and say why."""
        ...

    def lose(self, why: str) -> None:
        """Give the attachment up, for this reason. The worker then makes a new one, on another node where there are several."""
        ...


class Slot(Protocol):
    """The right to send one request now: a token, a place in the budget, and a call that is ready to leave."""

    async def send(self, until: float | None = None) -> Exchange:
        """Send it, once. `until`: the monotonic time after which its first byte must not leave any more; it is NOT_SENT then."""
        ...


class Reserve(Protocol):
    """Reserves a slot for one request, as `Halo.reserve` does."""

    def __call__(self, *, after: Exchange | None) -> AbstractAsyncContextManager[Slot | Exchange]: ...


class Reader(Protocol):
    """What reads of lists and records need of a client."""

    async def send(self, request: Request, *, priority: Priority) -> Exchange:
        """As `Halo.send`."""
        ...


class Halo(Protocol):
    """One Halo client: authorised, budgeted requests. Never raises for what Halo or the network does; cancellation passes through."""

    @property
    def name(self) -> str: ...

    @property
    def timeout(self) -> float:
        """Seconds that Halo is given for an answer, where a request does not say otherwise."""
        ...

    def reserve(self, request: Request, *, priority: Priority, after: Exchange | None = None) -> AbstractAsyncContextManager[Slot | Exchange]:
        """Wait for a token and a place in the budget; an exchange instead of a slot says why the request cannot be sent. An unused slot is given back.

        `after`: the exchange whose `stale_token` Halo refused.
        """
        ...

    async def send(self, request: Request, *, priority: Priority) -> Exchange:
        """Reserve and send; after a refused token once more."""
        ...

    async def wait_available(self) -> None:
        """Returns at once while Halo can be reached and gives tokens; else when it can again."""
        ...

    @property
    def available(self) -> bool: ...

    async def wait_unavailable(self) -> None:
        """Returns when Halo cannot be reached or gives no token."""
        ...

    def stop_waiting(self) -> None:
        """The worker stops: what still waits for budget or a token ends as NOT_SENT, and so does what would have to wait."""
        ...

    def source(self, path: str) -> str:
        """The absolute URL of an API path, without query: the `source` of events."""
        ...


class Permits(Protocol):
    """The right to send to one tenant of Halo, shared by all replicas."""

    def ask(self, granted: Callable[[Permit], None]) -> Callable[[], None]:
        """Ask for one permit: `granted` is called once, from the loop, when it is there. What is returned withdraws the question. Without a broker it waits."""
        ...

    def throttled(self, seconds: float) -> None:
        """Halo answered 429: asks all replicas that can be reached to pause for this long."""
        ...


class Evaluator(Protocol):
    """Evaluates expressions where they can be stopped: never in the event loop's thread."""

    async def answer(self, question: Question) -> list[Any]:
        """A value, or `UNDEFINED`, for each expression of the question; `Needed` for one that first needs the answers to lookups.

        Raises `ExpressionFailed` (the first one that fails; also what takes too much time or memory, or breaks the engine), or `EvaluatorUnavailable`.
        """
        ...


class Ids(Protocol):
    """Finds the ids of records by their members, for `$id`. One client of Halo, or what stands in for it."""

    async def find(self, entity: str, members: Mapping[str, Any]) -> LookupAnswer:
        """The id of the one record of `entity` whose members have these values. Raises `LookupUnanswered`."""
        ...


class Clock(Protocol):
    """Time, so that tests can move it."""

    def monotonic(self) -> float: ...
    def now(self) -> float:
        """Seconds since the epoch, UTC."""
        ...

    async def sleep(self, seconds: float) -> None: ...
