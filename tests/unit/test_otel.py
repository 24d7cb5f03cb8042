"""Where spans go: decided by the variables of OpenTelemetry."""

from __future__ import annotations

import sys

import pytest
from structlog.testing import capture_logs

from worker.core.message import Message
from worker.core.spans import LONGEST, NO_SPAN, SPANS, carrying, claimed_context, span, trace_context
from worker.otel import bounded, tracing

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


def test_without_a_recorder_a_span_is_nothing_and_messages_stay_the_same_objects():
    message = Message(b"{}")
    with span("x", attributes={"a": 1}, parent={"traceparent": "x"}) as nothing:
        assert nothing is NO_SPAN
        nothing.set({"a": 2})
        nothing.fail("x")
        assert trace_context() == {}
        assert carrying(message) is message


@pytest.mark.parametrize(
    "environment", [{}, ENDPOINT | {"OTEL_SDK_DISABLED": "true"}, ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"}, {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}]
)
def test_nothing_is_recorded_or_said_where_it_is_not_asked_for(environment):
    with capture_logs() as logs, tracing(environment, "one"):
        assert SPANS.get() is None
    assert logs == []


def test_an_endpoint_without_the_extra_is_told_with_the_remedy(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("opentelemetry")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with capture_logs() as logs, tracing(ENDPOINT, "one"):
        assert SPANS.get() is None
    (line,) = logs
    assert (line["event"], line["log_level"]) == ("tracing.off", "error")
    assert "pip install 'halo-worker[otel]'" in line["reason"]


def test_attributes_are_bounded_and_what_is_not_known_is_left_out():
    assert bounded({"id": "x" * 10_000, "none": None, "empty": "", "number": 0}) == {"id": "x" * LONGEST, "number": 0}


def test_a_state_that_is_too_long_or_not_printable_is_left_out_and_the_parent_stays():
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    for state in ("x" * 513, "a\nb", "ä", 1, ""):
        assert claimed_context({"traceparent": parent, "tracestate": state}) == {"traceparent": parent}
    assert claimed_context({"traceparent": parent, "tracestate": "a=1"}) == {"traceparent": parent, "tracestate": "a=1"}
    assert claimed_context({"tracestate": "a=1"}) == {}


@pytest.mark.parametrize(
    "parent", ["", "x", 17, None, "00-" + "0" * 32 + "-b7ad6b7169203331-01", "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "0" * 10_000]
)
def test_what_is_no_parent_goes_no_further(parent):
    assert claimed_context({"traceparent": parent, "tracestate": "a=1"}) == {}
