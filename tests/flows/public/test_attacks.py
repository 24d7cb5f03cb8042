"""What strangers may try on the public port, in raw bytes: nothing of it gets through, and no answer tells anything."""

from __future__ import annotations

import asyncio
import base64
import gzip
import zlib
from contextlib import suppress

import orjson
import pytest

from tests.flows.public.conftest import DOORS, answer_of, request, token
from tests.tools.waiting import soon
from worker.web import bodies, public

GOOD = b'{"id": 1}'
MEBIBYTE = 1024 * 1024


def basic(text: str) -> str:
    return f"Basic {base64.b64encode(text.encode()).decode()}"


async def refused(stranger, receiver, raw, status):
    answer = await stranger.say(raw)
    assert answer.status == status, answer
    assert list(answer.json) == ["error"]
    assert receiver.taken == []
    return answer


@pytest.mark.parametrize("path", [*DOORS, "/webhooks/absent", "/runbooks/absent"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Token": "x", "X_Signature": "x", "Authorization": "x"},
        {"Token": token(GOOD, "wrong"), "X_Signature": "sha512=00", "Authorization": basic("sam:wrong")},
        {"Token": "\xff\xfe", "X_Signature": "sha512=\xff", "Authorization": "Basic \xff"},
        {"Token": token(b'{"id": 2}'), "X_Signature": "sha512=", "Authorization": basic("päss:word")},
        {"Authorization": "Bearer " + basic("sam:päss:word")[6:]},
    ],
)
async def test_who_cannot_prove_who_they_are_gets_one_and_the_same_answer(stranger, receiver, path, headers):
    answer = await refused(stranger, receiver, request(path, GOOD, **headers), 401)
    unknown = await stranger.say(request("/webhooks/absent-as-well", GOOD))
    for one in (answer, unknown):
        one.headers.pop("Date")
    assert (answer.status, answer.headers, answer.body) == (unknown.status, unknown.headers, unknown.body)


@pytest.mark.parametrize("change", [lambda body: body + b" ", lambda body: body[:-1], lambda body: body.replace(b"1", b"2"), lambda _: b""])
async def test_a_signature_holds_for_its_body_alone(stranger, receiver, change):
    await refused(stranger, receiver, request("/webhooks/signed", change(GOOD), Token=token(GOOD)), 401)


@pytest.mark.parametrize("more", ["Token: x\r\nToken: {}", "Token: {}\r\nToken: x", "Token: {0}\r\nToken: {0}"])
async def test_a_signature_that_stands_there_twice_is_none(stranger, receiver, more):
    raw = request("/webhooks/signed", GOOD, Host=f"x\r\n{more.format(token(GOOD))}")
    await refused(stranger, receiver, raw, 401)


async def test_the_secret_of_one_door_opens_no_other(stranger, receiver):
    await refused(stranger, receiver, request("/runbooks/hex", GOOD, Token=token(GOOD), X_Signature=token(GOOD)), 401)


@pytest.mark.parametrize("path", ["/webhooks/signed", "/webhooks/absent"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_only_post_is_answered_whether_the_name_is_known_or_not(stranger, path, method):
    async with stranger.line() as (reader, writer):
        writer.write(request(path, method=method))
        assert (await reader.readline()).split()[1] == b"405"


@pytest.mark.parametrize(
    "path", ["/", "/webhooks", "/webhooks/", "/webhooks/signed/x", "/livez", "/metrics", "/runbooks/../webhooks/signed", "/webhooks/a%2Fb"]
)
async def test_other_addresses_are_not_there(stranger, receiver, path):
    answer = await stranger.say(request(path, GOOD, Token=token(GOOD)))
    assert answer.status in {401, 404}
    assert receiver.taken == []


@pytest.mark.parametrize("path", ["/webhooks/signed", "/webhooks/absent"])
async def test_a_body_of_two_mebibytes_is_refused_by_its_announced_length_before_it_is_read(stranger, receiver, path):
    body = b"x" * 2 * MEBIBYTE
    raw = request(path, b"", Token=token(body), Content_Length=str(len(body)))
    answer = await refused(stranger, receiver, raw, 413)
    assert answer.headers["Connection"] == "close"


async def test_a_body_that_grows_too_large_is_refused_when_it_does(stranger, receiver):
    async with stranger.line() as (reader, writer):
        writer.write(request("/webhooks/signed", Content_Length="", Transfer_Encoding="chunked", Token=token(b"")))
        chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        for _ in range(17):
            writer.write(chunk)
        assert (await answer_of(reader)).status == 413
    assert receiver.taken == []


async def test_a_body_of_one_mebibyte_is_taken(stranger, receiver):
    body = b'{"a":"' + b"x" * (MEBIBYTE - 8) + b'"}'
    assert len(body) == MEBIBYTE
    assert (await stranger.post("/webhooks/signed", body, Token=token(body))).status == 202
    assert (await stranger.post("/webhooks/signed", body + b" ", Token=token(body + b" "))).status == 413


@pytest.mark.parametrize(
    ("path", "encoding", "status"),
    [
        ("/webhooks/signed", "gzip", 413),
        ("/webhooks/signed", "GZIP", 413),
        ("/webhooks/signed", "deflate", 400),
        ("/webhooks/signed", "br", 400),
        ("/webhooks/signed", "identity", 400),
        ("/webhooks/absent", "gzip", 401),
    ],
)
async def test_a_bomb_is_refused_by_its_unpacked_size_and_only_a_known_caller_has_it_unpacked(stranger, receiver, path, encoding, status):
    bomb = gzip.compress(b" " * 10 * MEBIBYTE)
    answer = await stranger.post(path, bomb, Token=token(bomb), Content_Encoding=encoding)
    assert (answer.status, receiver.taken) == (status, [])


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (gzip.compress(GOOD, mtime=0), {"Content_Encoding": "gzip"}),
        (zlib.compress(GOOD), {"Content_Encoding": "deflate"}),
        (b"\xef\xbb\xbf" + GOOD, {}),
        (GOOD.decode().encode("utf-16"), {}),
        (GOOD, {"Content_Type": "application/json; charset=iso-8859-1"}),
    ],
)
async def test_a_call_is_read_as_a_message_of_a_queue_is(stranger, receiver, body, headers):
    answer = await stranger.post("/webhooks/signed", body, Token=token(body), **headers)
    assert answer.status == 202
    ((_, deliveries),) = receiver.taken
    assert list(deliveries) == [orjson.loads(GOOD)]


@pytest.mark.parametrize(
    "headers",
    [{"Content_Type": f"application/json; charset={name}"} for name in ("latin-1", "cp437", "cp1251", "koi8-r", "gb18030", "ascii")]
    + [{"Content_Encoding": "latin-1"}, {"Content_Encoding": "8bit, cp1252"}],
    ids=str,
)
async def test_who_repeats_a_signed_call_under_another_charset_makes_no_other_delivery_of_it(stranger, receiver, headers):
    body = '{"name": "Jürgen Œuvré"}'.encode()
    assert (await stranger.post("/webhooks/signed", body, Token=token(body), **headers)).status == 202
    assert receiver.taken == [("/webhooks/signed", [{"name": "Jürgen Œuvré"}])]


async def test_a_signed_call_that_is_not_utf_8_is_read_in_the_charset_that_it_names(stranger, receiver):
    body = '{"name": "Jürgen"}'.encode("latin-1")
    assert (await stranger.post("/webhooks/signed", body, Token=token(body), Content_Type="application/json; charset=latin-1")).status == 202
    assert receiver.taken == [("/webhooks/signed", [{"name": "Jürgen"}])]


async def test_a_signature_is_over_the_raw_bytes_whatever_they_are(stranger, receiver):
    squeezed = gzip.compress(GOOD, mtime=0)
    answer = await stranger.post("/webhooks/signed", squeezed, Token=token(squeezed))
    assert (answer.status, receiver.taken) == (400, [])


async def test_a_body_that_does_not_come_to_its_end_is_given_up(stranger, receiver, monkeypatch):
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.2)
    async with stranger.line() as (reader, writer):
        writer.write(request("/webhooks/signed", b"{", Content_Length="100", Token=token(GOOD)))
        answer = await answer_of(reader)
        assert (answer.status, answer.headers["Connection"]) == (408, "close")
        assert await soon(reader.read()) == b""
    assert receiver.taken == []


@pytest.mark.parametrize("sent", [b"", b"POST /webhooks/signed HTTP/1.1\r\nHost: x\r\nX: "])
async def test_headers_that_do_not_come_to_their_end_are_given_up(open_port, receiver, sent, monkeypatch):
    monkeypatch.setattr(public, "HEADER_SECONDS", 0.2)
    stranger = await open_port()
    async with stranger.line() as (reader, writer):
        writer.write(sent)

        async def dribble():
            while sent:
                writer.write(b"a")
                await asyncio.sleep(0.02)

        dribbling = asyncio.create_task(dribble())
        with suppress(ConnectionResetError):  # what is written after the end is answered so
            assert await soon(reader.read()) == b""
        dribbling.cancel()
        await asyncio.gather(dribbling, return_exceptions=True)


async def test_a_second_request_is_given_no_more_time_for_its_headers(open_port, receiver, monkeypatch):
    monkeypatch.setattr(public, "HEADER_SECONDS", 0.2)
    stranger = await open_port()
    async with stranger.line() as (reader, writer):
        writer.write(request("/webhooks/signed", GOOD, Token=token(GOOD)))
        assert (await answer_of(reader)).status == 202
        writer.write(b"POST /webhooks/sig")
        assert await soon(reader.read()) == b""


async def test_who_hangs_up_in_the_middle_of_a_body_brings_nothing_about(stranger, receiver, caplog):
    async with stranger.line() as (_, writer):
        writer.write(request("/webhooks/signed", GOOD, Content_Length="100", Token=token(GOOD)))
        await writer.drain()
    assert (await stranger.signed("/webhooks/signed", {"id": 2})).status == 202
    assert receiver.taken == [("/webhooks/signed", [{"id": 2}])]
    assert caplog.records == []


@pytest.mark.parametrize(
    "body",
    [b"", b"x", b"1", b'"text"', b"null", b"[]", b"[1]", b'[{"id":1},2]', b"[[{}]]", b"{" + b'"a":{' * 70 + b"}" * 71, b"[" * 10_000, b'{"a":NaN}', b"\xff"],
)
async def test_what_is_no_object_and_no_array_of_objects_is_refused_with_a_sentence(stranger, receiver, body):
    answer = await refused(stranger, receiver, request("/webhooks/signed", body, Token=token(body)), 400)
    assert answer.json["error"].startswith("the body ")


async def test_a_stranger_is_not_told_what_is_wrong_with_the_body(stranger, receiver):
    await refused(stranger, receiver, request("/webhooks/signed", b"no json"), 401)


async def test_an_array_of_too_many_is_refused(stranger, receiver):
    many = orjson.dumps([{}] * 1001)
    await refused(stranger, receiver, request("/webhooks/signed", many, Token=token(many)), 413)


async def test_no_answer_tells_the_versions_in_use(stranger):
    for path in ("/webhooks/signed", "/", "/absent"):
        assert (await stranger.post(path, GOOD)).headers["Server"] == "halo-worker"


@pytest.mark.parametrize(
    "raw",
    [
        b"POST /webhooks/signed HTTP/1.9\r\n\r\n",
        b"planted \x1b[31m bytes\r\n\r\n",
        b"POST /" + b"planted" * 2000 + b" HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + b"X: planted\r\n" * 200 + b"\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: planted\r\n\r\n",
        b"POST http://[planted/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
async def test_bytes_that_are_no_http_are_answered_without_versions_and_without_a_quote(stranger, receiver, capsys, raw):
    answer = await refused(stranger, receiver, raw, 400)
    assert (answer.headers["Server"], answer.headers["Content-Type"], answer.json) == ("halo-worker", "application/json", {"error": "bad request"})
    assert "planted" not in "".join(capsys.readouterr())


async def test_refusals_are_counted_and_logged_without_a_word_of_the_stranger(stranger, receiver, metrics, capsys):
    await stranger.post("/webhooks/planted-name", b"planted-body", Token="planted-token")
    assert metrics.registry.get_sample_value("halo_worker_refused_calls_total", {"status": "401"}) == 1
    written = "".join(capsys.readouterr())
    assert "call.refused" in written
    assert "planted" not in written
