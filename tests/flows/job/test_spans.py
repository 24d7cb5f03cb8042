"""The spans of a whole worker: which there are, what is whose child, what travels on, and what no span says."""

from __future__ import annotations

from collections.abc import Iterator

import orjson
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.tools.job import listening, publisher, routes, subscriber
from tests.tools.waiting import until
from worker.core.spans import recording
from worker.otel import OtelSpans

CUSTOMER = "Planted Person"
SENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE, SENDERS_SPAN = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331
SHAPED = {"path": {}, "query": {}, "payload": {"inventory_number": "{{ serial }}", "client_id": 12, "notes?": "{{ notes }}"}}


class Recorded:
    """The spans that have ended."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self._exporter.get_finished_spans() if span.name == name]

    async def one(self, name: str) -> ReadableSpan:
        """The first of this name, as soon as it has ended."""

        async def found() -> list[ReadableSpan]:
            return self.named(name)

        return (await until(found))[0]

    @property
    def text(self) -> str:
        return "".join(span.to_json() for span in self._exporter.get_finished_spans())


@pytest.fixture
def spans() -> Iterator[Recorded]:
    recorded = Recorded()
    with recording(OtelSpans(recorded.provider)):
        yield recorded


def parent_of(span: ReadableSpan) -> int:
    return span.parent.span_id if span.parent else 0


async def test_a_message_its_lookup_and_its_request_are_one_trace_below_its_sender_s_span(memory_job, halos, spans):
    halo = await halos()
    find = {
        "query": {"search": "{{ serial }}"},
        "match": {"inventory_number": "{{ serial }}"},
        "use": "always",
        "then": "skip",
    }
    running = await memory_job.start(routes(halo, publishers={"erp": publisher(transform=SHAPED, find=find)}))
    await memory_job.other.send({"serial": "SN-1", "notes": CUSTOMER}, headers={"traceparent": SENT, "tracestate": "vendor=1"})
    await running.settled("erp", "done")
    message, lookup, request = await spans.one("process erp"), await spans.one("GET Asset"), await spans.one("POST Asset")
    assert {span.context.trace_id for span in (message, lookup, request)} == {TRACE}
    assert parent_of(message) == SENDERS_SPAN
    assert parent_of(lookup) == parent_of(request) == message.context.span_id
    assert message.attributes["halo.outcome"] == "done"
    assert message.attributes["halo.record"] == str(halo.journal.created("/Asset")[0])
    assert request.attributes["http.response.status_code"] == 201
    assert CUSTOMER not in spans.text
    assert "SN-1" not in spans.text


async def test_no_trace_context_goes_to_halo(memory_job, halos, spans):
    halo = await halos()
    running = await memory_job.start(routes(halo, publishers={"erp": publisher(transform=SHAPED)}))
    await memory_job.other.send({"serial": "SN-1"}, headers={"traceparent": SENT})
    await running.settled("erp", "done")
    (request,) = halo.journal.received("POST", "/api/Asset") or halo.journal.received("POST", "/Asset")
    assert "traceparent" not in orjson.dumps(request, default=str).decode().lower()


@pytest.mark.parametrize(
    "claimed",
    [
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        SENT.upper(),
        SENT + "-" + "x" * 10_000,
        "x",
        17,
    ],
)
async def test_a_claim_that_is_no_trace_context_is_nobody_s_parent(memory_job, halos, spans, claimed):
    halo = await halos()
    running = await memory_job.start(routes(halo, publishers={"erp": publisher(transform=SHAPED)}))
    await memory_job.other.send({"serial": "SN-1"}, headers={"traceparent": claimed, "tracestate": "x=1"})
    await running.settled("erp", "done")
    message = await spans.one("process erp")
    assert message.parent is None
    assert not message.context.trace_state


async def test_a_dead_letter_s_span_has_failed_with_its_class_and_says_no_reason(memory_job, halos, spans):
    halo = await halos()
    running = await memory_job.start(routes(halo, publishers={"erp": publisher(transform={"payload": {"x": f'{{{{ $error("{CUSTOMER}") }}}}'}})}))
    await memory_job.other.send({"serial": CUSTOMER})
    await running.settled("erp", "dead_transform")
    message = await spans.one("process erp")
    assert (message.status.is_ok, message.attributes["error.type"], message.attributes["halo.outcome"]) == (False, "transform", "dead")
    assert CUSTOMER not in spans.text


async def test_an_event_carries_the_span_of_its_publication_which_is_a_child_of_the_poll(memory_job, halos, spans):
    halo = await halos(tickets=3)
    async with listening(memory_job.other.broker) as listener:
        await memory_job.start(routes(halo, subscribers={"tickets": subscriber(start="beginning")}))
        await listener.hears(3)
    poll = await spans.one("poll tickets")
    published = {span.context.span_id: span for span in spans.named("publish halo")}
    for letter in listener.letters:
        version, trace, parent, flags = letter.headers["traceparent"].split("-")
        assert (version, int(trace, 16), int(flags, 16) & 1) == ("00", poll.context.trace_id, 1)
        assert parent_of(published[int(parent, 16)]) == poll.context.span_id
        assert published[int(parent, 16)].attributes["halo.record"] == str(letter.body["id"])
    assert {parent_of(span) for span in spans.named("GET Tickets")} == {poll.context.span_id}


async def test_the_steps_of_a_run_are_one_trace(memory_job, halos, spans):
    halo = await halos()
    note = {"action": "create_action", "client": "main", "body": {"ticket_id": 1, "outcome": "Note", "note": CUSTOMER}}
    steps = {"first": note | {"next": "second"}, "second": note | {"next": "last"}, "last": {"end": "done"}}
    await memory_job.start(routes(halo) | {"runbooks": {"r": {"start": {"queue": "starts"}, "first": "first", "steps": steps}}})
    await memory_job.other.send({}, "starts", headers={"traceparent": SENT})
    first, second = await spans.one("step first"), await spans.one("step second")

    async def all_taken() -> bool:
        return len(spans.named("process r")) == 5  # the start, three steps, and the first of all, which takes the input

    await until(all_taken)
    taken = {span.context.span_id: span for span in spans.named("process r")}
    assert {span.context.trace_id for span in (first, second, *taken.values())} == {TRACE}
    assert parent_of(taken[parent_of(second)]) == parent_of(first)
    assert CUSTOMER not in spans.text


async def test_without_a_recorder_messages_carry_nothing_of_ours_and_a_sender_s_trace_stays_as_it_is(memory_job, halos):
    halo = await halos(tickets=1)
    async with listening(memory_job.other.broker) as listener:
        running = await memory_job.start(
            routes(
                halo, publishers={"erp": publisher(transform={"payload": {"x": '{{ $error("no") }}'}})}, subscribers={"tickets": subscriber(start="beginning")}
            )
        )
        await listener.hears(1)
    assert "traceparent" not in listener.letters[0].headers
    await memory_job.other.send({"serial": 1}, headers={"traceparent": SENT})
    await running.until(
        lambda: bool(running.messages("erp", "dead_transform") + running.messages("erp", "dead_rejected") + running.messages("erp", "dead_decode"))
    )
    assert (await memory_job.other.take("assets.dead")).headers["traceparent"] == SENT


async def test_a_result_carries_the_trace_of_its_message(memory_job, halos, spans):
    halo = await halos()
    result = {"exchange": "halo", "routing_key": "results.assets"}
    async with listening(memory_job.other.broker, routing_key="results.#") as listener:
        await memory_job.start(routes(halo, publishers={"erp": publisher(transform=SHAPED, result=result)}))
        await memory_job.other.send({"serial": "SN-1"}, headers={"traceparent": SENT})
        await listener.hears(1)
    message = await spans.one("process erp")
    assert listener.letters[0].headers["traceparent"].split("-")[1:3] == [f"{TRACE:032x}", f"{message.context.span_id:016x}"]
