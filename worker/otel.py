"""Spans by OpenTelemetry, for installations with the extra `otel`, set up by its own `OTEL_*` variables."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING

import structlog

from worker import __version__
from worker.core.spans import LONGEST, Kind, Span, Value, recording

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span as OtelSpan

logger = structlog.get_logger()
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
LAST = 5.0  # seconds to export the last spans when the worker ends
INSTALL = "install it with `pip install 'halo-worker[otel]'`, or remove the variable"


class RecordedSpan:
    """Implements `worker.core.spans.Span`."""

    def __init__(self, inner: OtelSpan) -> None:
        self._inner = inner

    def set(self, attributes: Mapping[str, Value]) -> None:
        self._inner.set_attributes(bounded(attributes))

    def fail(self, kind: str) -> None:
        from opentelemetry.trace import Status, StatusCode

        self._inner.set_attribute("error.type", kind)
        self._inner.set_status(Status(StatusCode.ERROR))


class OtelSpans:
    """Implements `worker.core.spans.Spans`."""

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._tracer = provider.get_tracer("halo-worker", __version__)
        self._propagator = TraceContextTextMapPropagator()
        self._kinds: Mapping[Kind, SpanKind] = {
            "internal": SpanKind.INTERNAL,
            "consumer": SpanKind.CONSUMER,
            "producer": SpanKind.PRODUCER,
            "client": SpanKind.CLIENT,
        }

    @contextmanager
    def span(self, name: str, kind: Kind, attributes: Mapping[str, Value], parent: Mapping[str, str]) -> Iterator[Span]:
        context = self._propagator.extract(parent) if parent else None
        # The text and the stack of an exception may hold data of customers or of the worker: only its class is recorded.
        with self._tracer.start_as_current_span(
            name, context, self._kinds[kind], bounded(attributes), record_exception=False, set_status_on_exception=False
        ) as inner:
            made = RecordedSpan(inner)
            with ExitStack() as ending:
                ending.push(partial(failed_by, made))
                yield made

    def context(self) -> Mapping[str, str]:
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        return carrier


def failed_by(span: RecordedSpan, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
    """Mark the span as failed if its block ended with an exception, which propagates."""
    if kind is not None:
        span.fail(kind.__name__)


def bounded(attributes: Mapping[str, Value]) -> dict[str, str | int | float | bool]:
    return {name: value[:LONGEST] if isinstance(value, str) else value for name, value in attributes.items() if value is not None and value != ""}


@contextmanager
def tracing(environment: Mapping[str, str], instance: str) -> Iterator[None]:
    """Record and export spans in the block if an endpoint is set. An obstacle is logged: the worker then works without tracing."""
    endpoint = next((name for name in ENDPOINTS if environment.get(name)), None)
    if endpoint is None or environment.get("OTEL_SDK_DISABLED", "").lower() == "true" or environment.get("OTEL_TRACES_EXPORTER") == "none":
        yield
        return
    if (reason := unsupported(environment)) is not None:
        logger.error("tracing.off", reason=reason)
        yield
        return
    try:
        provider = exporting(environment, instance)
    except ImportError:
        logger.error("tracing.off", reason=f"{endpoint} is set, but the extra `otel` is not installed: {INSTALL}")
        yield
        return
    logger.info("tracing.on", endpoint=endpoint)
    try:
        with recording(OtelSpans(provider)):
            yield
    finally:
        ending = threading.Thread(target=provider.shutdown, name="last spans", daemon=True)  # an exporter without an answer must not delay the end
        ending.start()
        ending.join(LAST)


def unsupported(environment: Mapping[str, str]) -> str | None:
    """Why these variables cannot be followed; None if they can."""
    exporter = environment.get("OTEL_TRACES_EXPORTER", "otlp") or "otlp"
    if exporter != "otlp":
        return f"OTEL_TRACES_EXPORTER cannot be {exporter!r}; valid are otlp and none"
    protocol = next((value for name in PROTOCOLS if (value := environment.get(name))), "http/protobuf")
    return None if protocol == "http/protobuf" else f"the protocol of OTLP cannot be {protocol!r}; valid is http/protobuf"


def exporting(environment: Mapping[str, str], instance: str) -> TracerProvider:
    """A provider that sends in batches, from a separate thread. Raises `ImportError` without the extra."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named = environment.get("OTEL_SERVICE_NAME") or "service.name=" in environment.get("OTEL_RESOURCE_ATTRIBUTES", "")
    own = {"service.version": __version__, "service.instance.id": instance} | ({} if named else {"service.name": "halo-worker"})
    provider = TracerProvider(resource=Resource.create(own), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
