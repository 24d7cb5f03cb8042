"""The exceptions that the worker's packages raise to each other, as a tree.

WorkerError
├── ConfigError            route files or settings are wrong: every problem with its place
├── BrokerError
│   ├── BrokerUnreachable  no connection, or refused (credentials, virtual host, TLS)
│   ├── ChannelLost        the channel or its connection is gone; what was published on it may be stored
│   ├── PublishDoubtful    no confirm in time; the message may be stored
│   ├── PublishRefused     the broker said no (queue full, exchange missing): not stored
│   │   └── Unpublishable  no broker ever takes this message as it is
│   │       └── HeadersTooLarge
│   ├── Unroutable         no queue took the message
│   ├── QueueMissing
│   └── TopologyMismatch   a queue or exchange exists with other arguments
├── CallRefused            a call of an integration may not be sent: where it goes or what it holds is not allowed
├── EvaluatorUnavailable   no process that evaluates expressions can be had: no fault of any message
│   └── LookupUnanswered   Halo did not answer a lookup of an expression
├── ExpressionError        an expression failed on this input
│   └── ExpressionFailed   the same, before its place in the route file is known
└── Undecodable            a body is not the JSON that we accept
    └── Oversized          it has more bytes or values than are read
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from worker.core.exchange import Exchange


class WorkerError(Exception):
    """The root: its text is a sentence for the operator, never a secret or customer data."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake in a route file or setting: `line` and `column` count from 1, 0 when unknown.

    `excerpt`: the line as it may be shown, empty where there is none; `caret`: the index of the place in it.
    """

    file: str
    line: int
    column: int
    message: str
    excerpt: str = field(default="", compare=False, repr=False)
    caret: int = field(default=0, compare=False, repr=False)

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        return f"{place}: {self.message}" if place else self.message


class ConfigError(WorkerError):
    """All problems found, sorted by place. `warnings`: probable mistakes."""

    def __init__(self, problems: Iterable[Problem], warnings: Iterable[Problem] = ()) -> None:
        self.problems = tuple(sorted(set(problems)))
        self.warnings = tuple(sorted(set(warnings)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class BrokerError(WorkerError):
    """A failure between the worker and the broker."""


class BrokerUnreachable(BrokerError):
    """No connection, or a refused one."""


class ChannelLost(BrokerError):
    """The channel is gone; a message that was published on it may be stored."""


class PublishDoubtful(BrokerError):
    """No confirm in time; the message may be stored."""


class PublishRefused(BrokerError):
    """The broker refused the message and did not store it."""


class Unpublishable(PublishRefused):
    """No broker ever takes the message as it is: it is too large, or holds a value that AMQP cannot carry. Waiting does not help."""


class HeadersTooLarge(Unpublishable):
    """The headers do not fit into one frame."""


class Unroutable(BrokerError):
    """No queue took the message."""


class QueueMissing(BrokerError):
    """There is no such queue."""


class TopologyMismatch(BrokerError):
    """A queue or exchange exists with other arguments; the text says which and how."""


class CallRefused(WorkerError):
    """A call may not be sent: a path segment, a host or a header is not allowed; the text names which, never its value."""


class EvaluatorUnavailable(WorkerError):
    """No process that evaluates expressions can be had now; the same evaluation may succeed later."""


class LookupUnanswered(EvaluatorUnavailable):
    """Halo did not answer a lookup of an expression, so that the expression has no value yet. `exchange`: the failed request."""

    def __init__(self, entity: str, exchange: Exchange) -> None:
        super().__init__(f"the lookup of `$id` in {entity} failed: {exchange.reason}")
        self.exchange = exchange


class ExpressionError(WorkerError):
    """An expression failed on this input."""


class ExpressionFailed(ExpressionError):
    """`index`: which expression of the question failed."""

    def __init__(self, reason: str, index: int) -> None:
        super().__init__(reason)
        self.index = index


class Undecodable(WorkerError):
    """A body is not the JSON that we accept."""


class Oversized(Undecodable):
    """A body has more bytes or values than are read; whether it is JSON was not looked at."""


def reason_of(group: BaseExceptionGroup[BrokerError]) -> str:
    """The first sentence in a group of failures."""
    first = group.exceptions[0]
    return reason_of(first) if isinstance(first, BaseExceptionGroup) else str(first)
