"""Spans of the work for a tracing system, and the trace context that travels with messages (W3C Trace Context). Without one nothing is recorded."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, Literal, Protocol

from worker.core.message import Message

Kind = Literal["internal", "consumer", "producer", "client"]
Value = str | int | float | bool | None
TRACEPARENT, TRACESTATE = "traceparent", "tracestate"
PARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
STATE = re.compile(r"[\x20-\x7e]{1,512}")
LONGEST = 200  # characters of an attribute: senders choose their ids


class Span(Protocol):
    """One piece of work while it lasts."""

    def set(self, attributes: Mapping[str, Value]) -> None:
        """Ids, names from route files, classes and numbers; no customer data. None is left out."""
        ...

    def fail(self, kind: str) -> None:
        """It ended badly. `kind`: a class, no text of a sender's."""
        ...


class Spans(Protocol):
    """Where spans are recorded. It never waits and never fails."""

    def span(self, name: str, kind: Kind, attributes: Mapping[str, Value], parent: Mapping[str, str]) -> AbstractContextManager[Span]:
        """Around the work; what begins within it is its child. `parent`: a trace context from elsewhere; the current span where it is empty."""
        ...

    def context(self) -> Mapping[str, str]:
        """The trace context of the current span, as headers."""
        ...


class NoSpan:
    """Implements `Span`: nothing is recorded."""

    def set(self, attributes: Mapping[str, Value]) -> None:
        """Forget them."""

    def fail(self, kind: str) -> None:
        """Forget it."""


NO_SPAN = NoSpan()
NOTHING: Mapping[str, str] = {}
SPANS: ContextVar[Spans | None] = ContextVar("spans", default=None)


@contextmanager
def recording(spans: Spans) -> Iterator[None]:
    """Record the spans of everything that begins within."""
    token = SPANS.set(spans)
    try:
        yield
    finally:
        SPANS.reset(token)


def span(name: str, kind: Kind = "internal", attributes: Mapping[str, Value] = NOTHING, parent: Mapping[str, Any] = NOTHING) -> AbstractContextManager[Span]:
    """Around one piece of work. `parent`: headers of a message; what they say of a trace is a claim of its sender and only names the parent."""
    spans = SPANS.get()
    return nullcontext(NO_SPAN) if spans is None else spans.span(name, kind, attributes, claimed_context(parent))


def trace_context() -> Mapping[str, str]:
    """The headers that pass the current span on; none where nothing is recorded."""
    spans = SPANS.get()
    return NOTHING if spans is None else spans.context()


def carrying(message: Message) -> Message:
    """The message with the current trace context among its headers."""
    context = trace_context()
    return message.with_headers(**context) if context else message


def claimed_context(headers: Mapping[str, Any]) -> Mapping[str, str]:
    """The trace context in these headers where it is valid, otherwise none. Only version 00 is read, and a state of at most 512 characters."""
    parent, state = headers.get(TRACEPARENT), headers.get(TRACESTATE)
    if not isinstance(parent, str) or PARENT.fullmatch(parent) is None:
        return NOTHING
    return {TRACEPARENT: parent} | ({TRACESTATE: state} if isinstance(state, str) and STATE.fullmatch(state) else {})
