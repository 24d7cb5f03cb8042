"""A worker that sends its spans to a collector, and one that cannot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.tools.job import publisher, routes
from tests.tools.ports import free_port
from tests.tools.waiting import soon, until

SHAPED = {"path": {}, "query": {}, "payload": {"inventory_number": "{{ serial }}", "client_id": 12}}


@dataclass
class Collector:
    """What came, as spans with their resource."""

    port: int
    spans: list[tuple[dict[str, str], Any]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        sent = ExportTraceServiceRequest.FromString(await request.read())
        for each in sent.resource_spans:
            resource = {pair.key: pair.value.string_value for pair in each.resource.attributes}
            self.spans += [(resource, span) for scope in each.scope_spans for span in scope.spans]
        return web.Response()


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    made = Collector(free_port())
    app = web.Application()
    app.router.add_post("/v1/traces", made.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", made.port).start()
    yield made
    await runner.cleanup()


async def test_spans_go_to_the_collector_that_the_variables_of_opentelemetry_name(stage, halos, other, collector):
    halo = await halos()
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}", "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=test"}
    worker = await stage.start(routes(halo, publishers={"erp": publisher(transform=SHAPED)}), variables=variables)
    await worker.logged("tracing.on")
    await other.send({"serial": "SN-1"})
    await worker.logged("message.done")
    assert await worker.stop() == 0

    async def came() -> bool:
        return any(span.name == "process erp" for _, span in collector.spans)

    await until(came)
    resource, span = next(each for each in collector.spans if each[1].name == "process erp")
    assert (resource["service.name"], resource["service.instance.id"], resource["deployment.environment"]) == ("halo-worker", "worker", "test")
    assert {pair.key for pair in span.attributes} >= {"halo.route", "messaging.message.id", "halo.outcome"}


async def test_a_collector_that_does_not_answer_holds_up_neither_messages_nor_the_end(stage, halos, other):
    taken: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda _, writer: taken.append(writer), "127.0.0.1", 0)
    halo = await halos()
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}"}
    worker = await stage.start(routes(halo, publishers={"erp": publisher(transform=SHAPED)}), variables=variables)
    for number in range(5):
        await other.send({"serial": f"SN-{number}"})
    await other.settles("assets")
    assert await soon(worker.stop(), 60) == 0
    silent.close()
    for writer in taken:
        writer.transport.abort()
    await silent.wait_closed()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER cannot be 'zipkin'; valid are otlp and none"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "the protocol of OTLP cannot be 'grpc'; valid is http/protobuf"),
    ],
)
async def test_variables_that_cannot_be_followed_are_told_and_the_worker_works_without_spans(stage, halos, more, said):
    halo = await halos()
    worker = await stage.start(
        routes(halo, publishers={"erp": publisher(transform=SHAPED)}), variables={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"} | more
    )
    assert said in (await worker.logged("tracing.off"))["reason"]
    assert await worker.stop() == 0
