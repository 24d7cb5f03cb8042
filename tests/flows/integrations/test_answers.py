"""What becomes of every kind of answer, and of none."""

import asyncio
import gzip
import tracemalloc
import zlib
from decimal import Decimal

import pytest
from aiohttp import web

from tests.tools.bombs import bomb
from tests.tools.ports import free_port
from worker.core.exchange import RequestResult

MIB = 1024 * 1024


@pytest.fixture
def answer(api):
    """Let the api answer every call with this."""

    def with_(**parts):
        async def on_call(_):
            return web.Response(**parts)

        api.on_call = on_call

    return with_


@pytest.fixture
async def raw():
    """A server that writes these bytes to whoever has sent a request, and then closes, or goes on until the test ends. Its port."""
    servers, writers = [], []

    async def start(*pieces, close=True):
        async def serve(reader, writer):
            writers.append(writer)
            await reader.readuntil(b"\r\n\r\n")
            for piece in pieces:
                writer.write(piece)
            await writer.drain()
            if close:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        servers.append(server)
        return server.sockets[0].getsockname()[1]

    yield start
    for opened in (*writers, *servers):
        opened.close()


@pytest.mark.parametrize(
    ("parts", "body"),
    [
        ({"body": b'{"a": [1, null]}', "content_type": "application/json"}, {"a": [1, None]}),
        ({"body": b'{"a": 1}', "content_type": "application/problem+json"}, {"a": 1}),
        ({"body": b"7", "content_type": "application/json"}, 7),
        ({"body": b'"x"', "content_type": "application/json"}, "x"),
        ({"body": b"null", "content_type": "application/json"}, None),
        ({"body": b'\xef\xbb\xbf{"a": 1}', "content_type": "application/json"}, {"a": 1}),
        ({"body": b' {"a": 1}', "content_type": "text/plain"}, {"a": 1}),
        ({"body": b"[1]", "content_type": "application/octet-stream"}, [1]),
        ({"body": b"0123", "content_type": "text/plain"}, "0123"),
        ({"body": b"4410", "content_type": "text/plain"}, "4410"),
        ({"body": b"true", "content_type": "text/csv"}, "true"),
        ({"body": b"{not json", "content_type": "text/plain"}, "{not json"),
        ({"body": rb'{"a": "cut \ud83d"}', "content_type": "application/json"}, {"a": "cut \ufffd"}),
        (
            {"body": b'{"a": 89445012345678901234, "b": 0.1234567890123456789}', "content_type": "application/json"},
            {"a": Decimal(89445012345678901234), "b": Decimal("0.1234567890123456789")},
        ),
        ({"body": '{"a": "ü"}'.encode("latin-1"), "headers": {"Content-Type": "application/json; charset=iso-8859-1"}}, {"a": "ü"}),
        ({"body": '{"a": "ü"}'.encode("utf-16"), "content_type": "application/json"}, {"a": "ü"}),
        ({"body": zlib.compress(b'{"a": 1}'), "headers": {"Content-Encoding": "deflate", "Content-Type": "application/json"}}, {"a": 1}),
        ({"body": b"<html>hi</html>", "content_type": "text/html"}, "<html>hi</html>"),
        ({"body": "ü".encode("latin-1"), "headers": {"Content-Type": "text/plain; charset=iso-8859-1"}}, "ü"),
        ({"body": "ü".encode(), "headers": {"Content-Type": "text/plain; charset=nonsense"}}, "ü"),
        ({"body": b"\xff\xfd", "content_type": "text/plain"}, "\ufffd\ufffd"),
        ({"body": b"", "content_type": "application/json"}, None),
        ({"body": b" \r\n"}, None),
        ({"status": 204}, None),
        ({"status": 202, "body": b"{}", "content_type": "application/json"}, {}),
        ({"body": gzip.compress(b'{"a": 1}'), "headers": {"Content-Encoding": "gzip", "Content-Type": "application/json"}}, {"a": 1}),
    ],
)
async def test_the_body_of_a_success(call, answer, parts, body):
    answer(**parts)
    exchange = await (await call())()
    assert (exchange.result, exchange.reason, exchange.body) == (RequestResult.DONE, "", body)


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"body": b"OK"}, "the body is not JSON: unexpected character, expected a JSON value at line 1, column 1"),
        ({"body": b'{"a": 1'}, "the body is not JSON: unexpected end of data at line 1, column 8"),
        ({"body": b"[" * 100 + b"]" * 100}, "the body is nested deeper than 64 levels"),
        ({"body": b'"\xfc"'}, "the body is not UTF-8 text: send it as UTF-8, or name its charset in the content type"),
        ({"body": b"[1e400]"}, "the body has a number beyond 1e308 at line 1, column 2: send it as text"),
    ],
)
async def test_an_answer_that_says_json_and_is_none_is_a_failure_and_no_text(call, api, answer, parts, reason):
    answer(**parts, content_type="application/json")
    exchange = await (await call())()
    assert (exchange.result, exchange.status, exchange.body) == (RequestResult.REJECTED, 200, None)
    assert exchange.reason == f"127.0.0.1:{api.port} answered 200, but not with what its content type says: {reason}"


@pytest.mark.parametrize(
    ("status", "fate"),
    [
        (300, RequestResult.REJECTED), (304, RequestResult.REJECTED), (400, RequestResult.REJECTED), (401, RequestResult.AUTH), (403, RequestResult.AUTH), (404, RequestResult.REJECTED), (405, RequestResult.REJECTED), (408, RequestResult.AMBIGUOUS),
        (409, RequestResult.REJECTED), (422, RequestResult.REJECTED), (429, RequestResult.THROTTLED), (499, RequestResult.REJECTED), (500, RequestResult.AMBIGUOUS), (501, RequestResult.AMBIGUOUS), (502, RequestResult.AMBIGUOUS),
        (503, RequestResult.AMBIGUOUS), (504, RequestResult.AMBIGUOUS), (599, RequestResult.AMBIGUOUS),
    ],
)  # fmt: skip
async def test_each_status_has_its_fate_and_brings_its_body(call, api, answer, metrics, status, fate):
    answer(status=status, body=None if status == 304 else b'{"error": "marker"}', content_type="application/json")
    exchange = await (await call())()
    assert (exchange.result, exchange.status) == (fate, status)
    assert exchange.body == (None if status == 304 else {"error": "marker"})
    assert exchange.reason.startswith(f"127.0.0.1:{api.port} answered {status}")
    assert "marker" not in exchange.reason
    assert metrics.registry.get_sample_value("halo_worker_integration_requests_total", {"integration": "api", "method": "method", "fate": fate.value}) == 1


@pytest.mark.parametrize("status", [429, 503])
async def test_how_long_to_wait_is_taken_from_the_answer(call, answer, status):
    answer(status=status, headers={"Retry-After": "12"})
    assert (await (await call())()).retry_after == 12


@pytest.mark.parametrize("verb", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_every_verb(call, api, verb):
    assert (await (await call(verb=verb, **({} if verb == "GET" else {"body": {"a": 1}})))()).ok
    assert (api.last.method, api.bodies[-1]) == (verb, b"" if verb == "GET" else b'{"a":1}')


async def test_an_answer_that_is_too_large_is_not_kept(call, answer):
    answer(body=b'"' + b"x" * (9 * MIB) + b'"', content_type="application/json")
    exchange = await (await call())()
    assert (exchange.result, exchange.status, exchange.body) == (RequestResult.DONE_UNREAD, 200, None)
    assert "larger than 8 MiB" in exchange.reason


async def test_an_answer_that_just_fits_is_read(call, answer):
    answer(body=b'"' + b"x" * (8 * MIB - 2) + b'"', content_type="application/json")
    assert len((await (await call())()).body) == 8 * MIB - 2


async def test_a_bomb_does_not_unfold(call, answer):
    answer(body=bomb(b"0", 300), headers={"Content-Encoding": "gzip", "Content-Type": "application/json"})
    go = await call()
    tracemalloc.start()
    exchange = await go()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert exchange.result is RequestResult.DONE_UNREAD
    assert peak < 40 * MIB


@pytest.mark.parametrize(
    ("pieces", "fate", "status"),
    [
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"], RequestResult.DONE_UNREAD, 200),
        ([b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a":'], RequestResult.DONE_UNREAD, 200),
        ([b"HTTP/1.1 500 No\r\nContent-Length: 100\r\n\r\n{"], RequestResult.AMBIGUOUS, 500),
        ([], RequestResult.AMBIGUOUS, None),
        ([b"HTTP/1.1 200"], RequestResult.AMBIGUOUS, None),
        ([b"\x16\x03\x01 not http\r\n\r\n"], RequestResult.AMBIGUOUS, None),
        ([b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope"], RequestResult.DONE_UNREAD, 200),
    ],
)  # fmt: skip
@pytest.mark.parametrize("verb", ["GET", "POST"])
async def test_what_breaks_after_it_was_sent(call, raw, pieces, fate, status, verb):
    port = await raw(*pieces)
    exchange = await (await call(base_url=f"http://127.0.0.1:{port}", verb=verb))()
    assert (exchange.result, exchange.status, exchange.body) == (fate, status, None)
    assert exchange.reason


@pytest.mark.parametrize("pieces", [[], [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"]])
async def test_a_slow_answer_ends_with_the_time_that_the_method_has(call, raw, pieces):
    port = await raw(*pieces, close=False)
    exchange = await (await call(base_url=f"http://127.0.0.1:{port}", seconds=0.5))()
    assert exchange.result is RequestResult.AMBIGUOUS
    assert "in time" in exchange.reason


async def test_the_steps_own_time_goes_before_the_methods(call, raw):
    port = await raw(close=False)
    await call(base_url=f"http://127.0.0.1:{port}", seconds=600.0)
    caller, method, values = call.callers[-1], call.methods[-1], call.nothing
    assert (await caller.call(method, values, timeout=0.5)).result is RequestResult.AMBIGUOUS


async def test_where_nobody_listens_nothing_was_sent(call):
    exchange = await (await call(base_url=f"http://127.0.0.1:{free_port()}"))()
    assert (exchange.result, exchange.status, exchange.down) == (RequestResult.NOT_SENT, None, False)
    assert "connection refused" in exchange.reason


async def test_a_name_that_does_not_exist_was_sent_nothing(call, monkeypatch):
    exchange = await (await call(base_url="http://no-such-host.invalid"))()
    assert exchange.result is RequestResult.NOT_SENT
    assert "cannot be resolved" in exchange.reason


async def test_tls_where_there_is_none_was_sent_nothing(call, api):
    exchange = await (await call(base_url=f"https://127.0.0.1:{api.port}"))()
    assert exchange.result is RequestResult.NOT_SENT
    assert api.calls == []


async def test_an_answer_of_few_bytes_and_many_values_is_refused_before_they_are_made(answer, call):
    answer(body=b"[" + b"{}," * 1_000_000 + b"{}]", content_type="application/json")
    exchange = await (await call())()
    assert (exchange.result, exchange.body) == (RequestResult.DONE_UNREAD, None)
    assert exchange.reason.endswith("answered 200, but the body has more than 1,000,000 names and values; at most 1,000,000 are read")
