"""The admin port, called over a real socket."""

import asyncio
import socket

import pytest
from aiohttp import ClientSession, ClientTimeout
from structlog.testing import capture_logs

from tests.tools.waiting import SOON
from worker.core.errors import WorkerError
from worker.web.admin import serve_admin


@pytest.fixture
async def call(health, metrics):
    async with serve_admin("127.0.0.1", 0, health, metrics) as port, ClientSession(f"http://127.0.0.1:{port}", timeout=ClientTimeout(10)) as session:

        async def request(path, method="GET"):
            async with session.request(method, path) as response:
                body = await response.json() if response.content_type == "application/json" and method != "HEAD" else await response.text()
                return response.status, body, response.headers

        yield request


async def test_livez_is_good_whatever_the_broker_and_halo_do(call, health):
    health.down("broker", "refused")
    status, body, _ = await call("/livez")
    assert (status, body) == (200, {"status": "ok"})


async def test_readyz_is_bad_before_any_part_has_reported(call):
    status, body, _ = await call("/readyz")
    assert (status, body) == (503, {"status": "not ready", "parts": {}})


async def test_readyz_is_bad_while_a_part_is_awaited(call, health):
    health.expect("publisher assets")
    health.up("broker", "attached")
    status, body, _ = await call("/readyz")
    assert status == 503
    assert body["parts"] == {"broker": {"ok": True, "detail": "attached"}, "publisher assets": {"ok": False, "detail": "starting"}}


async def test_readyz_follows_its_parts(call, health):
    health.up("broker")
    health.up("client main")
    assert (await call("/readyz"))[0] == 200
    health.down("client main", "the token was refused")
    status, body, _ = await call("/readyz")
    assert (status, body["status"], body["parts"]["client main"]) == (503, "not ready", {"ok": False, "detail": "the token was refused"})
    health.up("client main")
    assert (await call("/readyz"))[1]["status"] == "ready"


async def test_readiness_of_the_public_port_asks_only_for_the_broker_and_its_topology(call, health):
    health.up("broker")
    assert (await call("/readyz/public"))[0] == 503
    health.up("topology")
    health.down("client main", "the token was refused")
    status, body, _ = await call("/readyz/public")
    assert (status, sorted(body["parts"])) == (200, ["broker", "topology"])
    health.down("broker", "lost")
    assert (await call("/readyz/public"))[0] == 503


async def test_metrics_are_prometheus_text(call, metrics):
    metrics.messages.labels("assets", "done").inc(3)
    status, text, headers = await call("/metrics")
    assert status == 200
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'halo_worker_messages_total{result="done",route="assets"} 3.0' in text


@pytest.mark.parametrize(("path", "method", "status"), [("/", "GET", 404), ("/livez/", "GET", 404), ("/readyz", "POST", 405), ("/metrics", "DELETE", 405)])
async def test_other_addresses_and_methods_are_refused_in_json(call, path, method, status):
    got, body, headers = await call(path, method)
    assert (got, list(body)) == (status, ["error"])
    assert status != 405 or headers["Allow"] == "GET,HEAD"


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
async def test_head_is_answered_as_get_is(call, path):
    assert (await call(path, "HEAD"))[0] == (await call(path))[0]


async def test_answers_do_not_tell_the_versions_in_use(call):
    for path in ("/livez", "/absent", "/metrics"):
        assert (await call(path))[2]["Server"] == "halo-worker"


@pytest.mark.parametrize(
    "noise", [b"\x16\x03\x01 not http\r\n\r\n", b"GET /livez HTTP/1.1\r\n\r\n", b"GET /livez HTTP/1.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n"]
)
async def test_bytes_that_are_no_http_are_answered_with_400_and_not_quoted_in_the_log(health, metrics, noise, caplog):
    async with serve_admin("127.0.0.1", 0, health, metrics) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(noise)
        answer = await asyncio.wait_for(reader.read(), SOON)
        writer.close()
        assert answer.startswith((b"HTTP/1.0 400", b"HTTP/1.1 400"))
        assert b"Traceback" not in answer
        async with ClientSession() as session, session.get(f"http://127.0.0.1:{port}/livez") as response:
            assert response.status == 200
    assert caplog.records == []


async def test_a_handler_that_fails_is_answered_with_500_and_told_in_the_log(call, metrics, caplog, monkeypatch):
    monkeypatch.setattr(metrics, "registry", None)
    status, text, _ = await call("/metrics")
    assert status == 500
    assert "Traceback" not in text
    assert [(record.name, record.levelname) for record in caplog.records] == [("worker.web", "ERROR")]


async def test_the_port_in_use_is_logged_and_free_afterwards(health, metrics):
    with capture_logs() as logs:
        async with serve_admin("127.0.0.1", 0, health, metrics) as port:
            assert {"event": "admin.listening", "log_level": "info", "host": "127.0.0.1", "port": port} in logs
    with socket.create_server(("127.0.0.1", port)):
        pass


async def test_a_port_that_is_taken_is_refused_with_a_sentence(health, metrics):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            WorkerError, match=rf"^the admin port cannot listen on 127\.0\.0\.1:{port}: Address already in use; set WORKER_ADMIN_HOST or WORKER_ADMIN_PORT$"
        ):
            async with serve_admin("127.0.0.1", port, health, metrics):
                pass
