"""Files that methods send and receive, and what variables find in an answer besides its body."""

from base64 import b64decode, b64encode
from email import message_from_bytes

import pytest
from aiohttp import web

from worker.config.variables import parse_variable
from worker.core.exchange import RequestResult

PICTURE = bytes(range(256)) * 40


async def test_a_server_reads_the_parts_that_were_sent(call, api):
    body = {"file": {"base64": "<<File>>", "filename": "<<Name>>", "content_type": "image/png"}, "note": "for <<Name>>", "count": 3}
    go = await call(verb="POST", body=body, body_kind="multipart", plain=frozenset({"Name"}))
    assert (await go(File=b64encode(PICTURE).decode(), Name='a "b".png')).ok
    head = f"Content-Type: {api.last.headers['Content-Type']}\r\n\r\n".encode()
    parts = {part.get_param("name", header="content-disposition"): part for part in message_from_bytes(head + api.bodies[0]).get_payload()}
    file = parts["file"]
    assert (file.get_filename(), file.get_content_type(), file.get_payload(decode=True)) == ("a %22b%22.png", "image/png", PICTURE)
    assert {name: parts[name].get_payload() for name in ("note", "count")} == {"note": 'for a "b".png', "count": "3"}


async def test_the_bytes_of_a_file_are_sent_under_the_content_type_of_the_method(call, api):
    go = await call(verb="PUT", body="<<File>>", body_kind="base64", headers={"Content-Type": "image/png"})
    assert (await go(File=b64encode(PICTURE).decode())).ok
    assert (api.bodies, api.last.headers["Content-Type"]) == ([PICTURE], "image/png")


async def test_a_file_is_read_as_base64_with_its_name_in_a_header(call, api):
    async def on_call(_):
        return web.Response(body=PICTURE, content_type="application/json", headers={"Content-Disposition": 'attachment; filename="a.png"'})

    api.on_call = on_call
    exchange = await (await call(response_kind="base64"))()
    assert (exchange.result, b64decode(exchange.body)) == (RequestResult.DONE, PICTURE)
    assert parse_variable("headers^Content-Disposition!").find(exchange.documents["headers"]).value == 'attachment; filename="a.png"'


@pytest.mark.parametrize("size", [4 * 1024 * 1024 + 1, 9 * 1024 * 1024])
async def test_a_file_that_is_too_large_fails_the_call(call, api, size):
    async def on_call(_):
        return web.Response(body=b"\0" * size)

    api.on_call = on_call
    exchange = await (await call(response_kind="base64"))()
    assert (exchange.result, exchange.body) == (RequestResult.REJECTED, None)
    assert "at most 4,194,304 are read" in exchange.reason or "larger than 8 MiB" in exchange.reason


async def test_a_refusal_in_place_of_a_file_is_read_as_what_it_is(call, api):
    async def on_call(_):
        return web.json_response({"error": "gone"}, status=404)

    api.on_call = on_call
    exchange = await (await call(response_kind="base64"))()
    assert (exchange.result, exchange.body) == (RequestResult.REJECTED, {"error": "gone"})


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("headers^Location!", "/orders/7"), ("headers^LOCATION", "/orders/7"), ("cookies^session!", "a=b"), ("cookies^other", "2"), ("status", 201),
        ("response^id", 7),
    ],
)  # fmt: skip
async def test_variables_find_headers_in_any_case_cookies_and_the_status(call, api, expression, value):
    async def on_call(_):
        answer = web.json_response({"id": 7}, status=201, headers={"location": "/orders/7"})
        answer.headers.add("Set-Cookie", "session=a=b; Path=/; Secure")
        answer.headers.add("Set-Cookie", "other=2")
        return answer

    api.on_call = on_call
    exchange = await (await call(verb="POST", body={"a": 1}))()
    path = parse_variable(expression)
    assert path.find(exchange.documents[path.root]).value == value
    assert "session" not in repr(exchange)
