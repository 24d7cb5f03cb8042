"""The ports of the flows to the outside: a broker and its channels, Halo, the expression engine, a clock."""

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
    """One AMQP channel with confirms. Operations that must fail together (take, publish, acknowledge) use the same channel."""

    async def publish(self, message: Message, *, routing_key: str, exchange: str = "") -> None:
        """Publish persistent and mandatory and wait for the confirm.

        Raises `Unroutable` (no queue took it), `PublishRefused` (the broker refused it and did not store it), or `ChannelLost` / `PublishDoubtful`
        (it may or may not be stored: publish again, the idempotency key absorbs the copy). The broker refuses a missing exchange and closes the channel.
        The channel leaves out the broker's own headers (`x-death`, `x-delivery-count`, `x-stream-offset` …): the broker may drop a copy that carries them.
        """
        ...

    async def get(self, queue: str, *, keep: Keep = OURS) -> Delivery | None:
        """Take one ready message, None when there is none. Raises `ChannelLost`, or `QueueMissing`, which closes the channel.

        The channel drops a body that `keep` refuses while it comes; the delivery then has `Delivery.dropped_body`.
        """
        ...

    async def consume(self, queue: str, on_delivery: OnDelivery, *, arguments: Mapping[str, Any] | None = None, keep: Keep = OURS) -> str:
        """Start consuming, and return the consumer's tag. The channel's reader calls `on_delivery`, which must only pass the delivery on.

        `keep` decides which bodies are kept, as in `get`; the channel's reader calls it.

        Raises `ChannelLost`, or `QueueMissing`, which closes the channel. A stream needs a channel with prefetch and takes `x-stream-offset`
        (first, last, next or a number) in `arguments`.
        """
        ...

    async def cancel(self, tag: str) -> None:
        """Stop consuming. The messages delivered before stay unacknowledged with the worker."""
        ...

    async def ack_all(self) -> None:
        """Acknowledge all deliveries of the channel so far: for streams, where an acknowledgement only requests more messages. Raises `ChannelLost`."""
        ...

    async def ack_through(self, delivery: Delivery) -> None:
        """Acknowledge this delivery of the channel, and all its earlier ones, at once. Raises `ChannelLost`."""
        ...

    async def wait_closed(self) -> str:
        """Wait until the channel, its connection or one of its consumers is gone, and say why."""
        ...


class Publishing(Protocol):
    """A port that publishes messages."""

    async def publish(self, message: Message, *, routing_key: str, exchange: str = "") -> None:
        """As `Channel.publish`."""
        ...


class Broker(Protocol):
    """One live attachment to a broker. A lost attachment is not repaired: the worker makes a new one."""

    def channel(self, *, prefetch: int = 0, publishing: bool = False) -> AbstractAsyncContextManager[Channel]:
        """Open a channel, on the publishing connection or on the consuming one; closing it returns unacked messages to their queues."""
        ...

    async def publish(self, message: Message, *, routing_key: str, exchange: str = "") -> None:
        """Publish as `Channel.publish`, on the attachment's own channel, which it opens again after a loss."""
        ...

    async def declare(self, topology: Topology) -> None:
        """Declare missing queues and exchanges and verify existing ones, without a change to them. Raises `TopologyMismatch` with a sentence per difference."""
        ...

    async def delete(self, topology: Topology) -> None:
        """Delete these queues with their messages, and these exchanges. Missing ones are no error."""
        ...

    async def queue_exists(self, queue: str) -> bool: ...

    async def queue_depth(self, queue: str) -> int | None:
        """Messages that are ready (without the unacknowledged ones), None when there is no such queue."""
        ...

    async def consumers(self, queue: str) -> int:
        """How many consumers a queue has, over all attachments; none when there is no such queue."""
        ...

    def lock(self, name: str) -> AbstractAsyncContextManager[bool]:
        """Take an exclusive lock on `name` for this connection: yields False when another connection holds it. It ends at exit or with the connection."""
        ...

    @property
    def lost(self) -> bool:
        """Whether the attachment is gone."""
        ...

    @property
    def blocked(self) -> str:
        """Why the broker blocks publishing (a memory or disk alarm), empty when it does not. The attachment stays alive."""
        ...

    async def wait_lost(self) -> str:
        """Wait until the attachment is gone and say why."""
        ...

    def lose(self, why: str) -> None:
        """Give up the attachment, for this reason. The worker then makes a new one, on another node if there are several."""
        ...


class Slot(Protocol):
    """The right to send one request now: a token, a place in the budget, and a prepared call."""

    async def send(self, until: float | None = None) -> Exchange:
        """Send the request, once. `until`: the monotonic time after which its first byte must not leave; the exchange is then NOT_SENT."""
        ...


class Reserve(Protocol):
    """Reserves a slot for one request, as `Halo.reserve` does."""

    def __call__(self, *, after: Exchange | None) -> AbstractAsyncContextManager[Slot | Exchange]: ...


class Reader(Protocol):
    """The part of a client that reads of lists and records need."""

    async def send(self, request: Request, *, priority: Priority) -> Exchange:
        """As `Halo.send`."""
        ...


class Halo(Protocol):
    """One Halo client: authorised, budgeted requests. It raises nothing for a failure of Halo or the network; cancellation passes through."""

    @property
    def name(self) -> str: ...

    @property
    def timeout(self) -> float:
        """Default timeout for an answer of Halo, in seconds; a request may have its own."""
        ...

    def reserve(self, request: Request, *, priority: Priority, after: Exchange | None = None) -> AbstractAsyncContextManager[Slot | Exchange]:
        """Wait for a token and a place in the budget. An exchange instead of a slot says why the request cannot be sent. An unused slot returns its place.

        `after`: the exchange whose `stale_token` Halo refused.
        """
        ...

    async def send(self, request: Request, *, priority: Priority) -> Exchange:
        """Reserve and send; after a refused token, once again."""
        ...

    async def wait_available(self) -> None:
        """Wait until Halo can be reached and gives tokens; return at once while it does."""
        ...

    @property
    def available(self) -> bool: ...

    async def wait_unavailable(self) -> None:
        """Wait until Halo cannot be reached or gives no token."""
        ...

    def stop_waiting(self) -> None:
        """End as NOT_SENT the requests that wait for budget or a token, and later ones that would have to wait: the worker stops."""
        ...

    def source(self, path: str) -> str:
        """The absolute URL of an API path, without query: the `source` of events."""
        ...


class Permits(Protocol):
    """The right to send to one tenant of Halo, shared by all replicas."""

    def ask(self, granted: Callable[[Permit], None]) -> Callable[[], None]:
        """Ask for one permit: the loop calls `granted` once, when it is there. Return a function that withdraws the request. Without a broker it waits."""
        ...

    def throttled(self, seconds: float) -> None:
        """Ask all reachable replicas to pause for these seconds, after Halo answered 429."""
        ...


class Evaluator(Protocol):
    """Evaluates expressions outside the event loop's thread, where the worker can stop them."""

    async def answer(self, question: Question) -> list[Any]:
        """A value, or `UNDEFINED`, for each expression of the question; `Needed` for one that first needs the answers to lookups.

        Raises `EvaluatorUnavailable`, or `ExpressionFailed` for the first expression that fails, takes too much time or memory, or breaks the engine.
        """
        ...


class Ids(Protocol):
    """Finds the ids of records by their members, for `$id`: through one client of Halo, or a substitute for it."""

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
