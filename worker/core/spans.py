"""Spans for a tracing system, and the trace context that travels with messages (W3C Trace Context). Without a tracing system it records nothing."""

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
    """One unit of work while it lasts."""

    def set(self, attributes: Mapping[str, Value]) -> None:
        """Add ids, names from route files, classes and numbers; no customer data. A value None is left out."""
        ...

    def fail(self, kind: str) -> None:
        """Mark the span as failed. `kind`: a class of error, never a sender's text."""
        ...


class Spans(Protocol):
    """Records spans. It never waits and never fails."""

    def span(self, name: str, kind: Kind, attributes: Mapping[str, Value], parent: Mapping[str, str]) -> AbstractContextManager[Span]:
        """Record a span around a block; spans that begin in it are its children. `parent`: a trace context from elsewhere; empty: the current span."""
        ...

    def context(self) -> Mapping[str, str]:
        """The trace context of the current span, as headers."""
        ...


class NoSpan:
    """Implements `Span` without recording."""

    def set(self, attributes: Mapping[str, Value]) -> None:
        """Ignore them."""

    def fail(self, kind: str) -> None:
        """Ignore it."""


NO_SPAN = NoSpan()
NOTHING: Mapping[str, str] = {}
SPANS: ContextVar[Spans | None] = ContextVar("spans", default=None)


@contextmanager
def recording(spans: Spans) -> Iterator[None]:
    """Record the spans that begin in the block."""
    token = SPANS.set(spans)
    try:
        yield
    finally:
        SPANS.reset(token)


def span(name: str, kind: Kind = "internal", attributes: Mapping[str, Value] = NOTHING, parent: Mapping[str, Any] = NOTHING) -> AbstractContextManager[Span]:
    """A span around one unit of work. `parent`: headers of a message. Their trace context is only the sender's claim, and only names the parent."""
    spans = SPANS.get()
    return nullcontext(NO_SPAN) if spans is None else spans.span(name, kind, attributes, claimed_context(parent))


def trace_context() -> Mapping[str, str]:
    """The headers that carry the current span; none where nothing is recorded."""
    spans = SPANS.get()
    return NOTHING if spans is None else spans.context()


def carrying(message: Message) -> Message:
    """The message with the current trace context among its headers."""
    context = trace_context()
    return message.with_headers(**context) if context else message


def claimed_context(headers: Mapping[str, Any]) -> Mapping[str, str]:
    """The trace context in these headers if it is valid, otherwise none. It reads version 00 only, and a state of at most 512 characters."""
    parent, state = headers.get(TRACEPARENT), headers.get(TRACESTATE)
    if not isinstance(parent, str) or PARENT.fullmatch(parent) is None:
        return NOTHING
    return {TRACEPARENT: parent} | ({TRACESTATE: state} if isinstance(state, str) and STATE.fullmatch(state) else {})
