"""Calls that would reach inside, each stopped before a connection is made."""

import asyncio
import contextlib
import errno
import socket

import pytest
from aiohttp import web

from worker.core.errors import CallRefused, ConfigError
from worker.core.exchange import RequestResult

SPELLINGS = [
    "127.0.0.1", "localhost", "LOCALHOST", "localhost.", "0.0.0.0", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001",
    "127.0.0.2", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]", "\uff11\uff12\uff17.0.0.1", "127\u30020\u30020\u30021",
]  # fmt: skip


@pytest.mark.parametrize("host", SPELLINGS)
async def test_no_spelling_of_this_machine_is_connected_to(call, inside, host):
    go = await call(base_url=f"http://{host}:{inside.port}", allow=())
    with contextlib.suppress(CallRefused):
        assert (await go()).result is RequestResult.NOT_SENT  # a spelling that this system does not know as an address
    assert inside.connections == 0


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "[fd00:ec2::254]", "100.100.100.200", "10.0.0.1", "192.168.1.1", "[fe80::1]", "224.0.0.1", "255.255.255.255"]
)
async def test_metadata_and_private_addresses_get_no_socket(call, monkeypatch, address):
    def never(*_):
        raise AssertionError("a socket was made")

    go = await call(base_url=f"http://{address}", allow=())
    monkeypatch.setattr("worker.integrations.guard.socket", never)
    with pytest.raises(CallRefused, match="allow_hosts"):
        await go()


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["::1"], ["::ffff:127.0.0.1"], ["127.0.0.1", "::1"], ["::1", "127.0.0.1", "127.0.0.2"], ["64:ff9b::7f00:1"]]
)
async def test_a_name_that_leads_inside_is_not_connected_to(call, inside, resolve, addresses):
    resolve("api.example.com", addresses)
    go = await call(base_url=f"http://api.example.com:{inside.port}", allow=())
    with pytest.raises(CallRefused, match=r"api\.example\.com.* not on the public internet"):
        await go()
    assert inside.connections == 0


async def test_a_name_that_led_outside_when_it_was_looked_at_and_leads_inside_when_it_is_used_is_not_connected_to(call, inside, resolve):
    resolve("api.example.com", ["8.8.8.8"], ["127.0.0.1"])
    go = await call(base_url=f"http://api.example.com:{inside.port}", allow=())
    assert socket.getaddrinfo("api.example.com", inside.port)[0][4][0] == "8.8.8.8"  # what a check beforehand would have seen
    with pytest.raises(CallRefused):
        await go()
    assert inside.connections == 0


async def test_of_a_names_addresses_only_those_outside_are_tried(call, inside, resolve, monkeypatch):
    tried = []

    def nobody_there(*place):
        tried.append(place)
        raise ConnectionRefusedError(errno.ECONNREFUSED, "refused")

    resolve("api.example.com", ["127.0.0.1", "8.8.8.8"])
    go = await call(base_url=f"http://api.example.com:{inside.port}", allow=())
    monkeypatch.setattr("worker.integrations.guard.socket", nobody_there)
    assert (await go()).result is RequestResult.NOT_SENT
    assert tried
    assert inside.connections == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("verb", ["GET", "POST"])
async def test_a_redirect_inside_is_an_answer_and_nothing_more(call, api, inside, status, verb):
    async def on_call(_):
        return web.Response(status=status, headers={"Location": f"http://127.0.0.1:{inside.port}/latest/meta-data"})

    api.on_call = on_call
    exchange = await (await call(verb=verb))()
    assert (exchange.result, exchange.status) == (RequestResult.REJECTED, status)
    assert "redirect to 127.0.0.1, which is not followed" in exchange.reason
    assert inside.connections == 0


@pytest.mark.parametrize(
    "value",
    ["", ".", "..", "../../admin", "..%2fadmin", "%2e%2e", "%2E%2E%2Fadmin", "%252e%252e", "a/b", "a%2fb", "..\\..", "//evil.example", "\\\\evil.example", "a\r\nHost: evil.example"],
)  # fmt: skip
async def test_no_path_variable_goes_anywhere_else(call, api, value):
    go = await call(path=("/users/", "<<Id>>"))
    with pytest.raises(CallRefused):
        await go(Id=value)
    assert api.calls == []


@pytest.mark.parametrize("value", ["@evil.example", "evil.example:80", "user:password@evil.example", "?x=1", "#x", ";x", "http:evil.example"])
async def test_a_path_variable_that_looks_like_an_address_stays_a_segment(call, api, value):
    await (await call(path=("/users/", "<<Id>>")))(Id=value)
    assert api.last.raw_path.startswith("/users/")
    assert "?" not in api.last.raw_path
    assert api.last.path == f"/users/{value}"
    assert api.last.host == f"127.0.0.1:{api.port}"


@pytest.mark.parametrize("path", [("@evil.example/",), (":1@evil.example/",), (".evil.example/",), ("evil",)])
async def test_a_path_cannot_change_the_host(call, api, path):
    with pytest.raises(CallRefused):
        await (await call(path=path))()
    assert api.calls == []


async def test_a_path_that_begins_with_two_slashes_stays_on_the_host(call, api):
    await (await call(path=("//evil.example/x",)))()
    assert api.last.raw_path == "//evil.example/x"
    assert api.last.host == f"127.0.0.1:{api.port}"


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nX-Evil: 1", "a\x00"])
async def test_a_header_is_never_two(call, api, value):
    go = await call(headers={"X-Name": "<<Name>>"})
    with pytest.raises(CallRefused):
        await go(Name=value)
    assert api.calls == []


async def test_a_line_break_in_a_query_is_a_character_of_its_value(call, api):
    await (await call(query={"q": "<<Q>>"}))(Q="a\r\nX-Evil: 1 HTTP/1.1")
    assert api.last.query["q"] == "a\r\nX-Evil: 1 HTTP/1.1"
    assert "X-Evil" not in api.last.headers


@pytest.mark.parametrize(
    "base_url", ["http://user@127.0.0.1:{}", "http://user:password@127.0.0.1:{}", "ftp://127.0.0.1:{}", "file:///etc/passwd", "127.0.0.1:{}", "http://"]
)
async def test_a_base_url_that_is_no_plain_address_is_refused_at_once(call, inside, base_url):
    with pytest.raises(ConfigError, match="base_url"):
        await call(base_url=base_url.format(inside.port))
    assert inside.connections == 0


@pytest.mark.parametrize("proxy", ["http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"])
async def test_proxies_of_the_environment_are_not_used(call, api, inside, monkeypatch, proxy):
    monkeypatch.setenv(proxy, f"http://127.0.0.1:{inside.port}")
    assert (await (await call())()).ok
    assert inside.connections == 0


async def test_cookies_are_not_kept(call, api):
    async def on_call(_):
        answer = web.json_response({})
        answer.set_cookie("session", "1")
        return answer

    api.on_call = on_call
    go = await call()
    await go()
    await go()
    assert "Cookie" not in api.last.headers


async def test_what_is_listed_opens_its_host_only(call, api, inside):
    assert (await (await call(allow=(("127.0.0.1", api.port),)))()).ok
    with pytest.raises(CallRefused):
        await (await call(base_url=f"http://127.0.0.1:{inside.port}", allow=(("127.0.0.1", api.port),)))()
    with pytest.raises(CallRefused):
        await (await call(base_url=f"http://127.0.0.2:{inside.port}", allow=(("127.0.0.1", None),)))()
    assert inside.connections == 0


async def test_a_listed_name_opens_the_private_addresses_it_leads_to(call, api, resolve):
    resolve("erp.corp", ["127.0.0.1"])
    assert (await (await call(base_url=f"http://erp.corp:{api.port}", allow=(("ERP.corp", None),)))()).ok
    assert api.last.host == f"erp.corp:{api.port}"


async def test_a_listed_name_does_not_open_a_metadata_service(call, resolve):
    resolve("erp.corp", ["169.254.169.254"])
    with pytest.raises(CallRefused, match="metadata"):
        await (await call(base_url="http://erp.corp", allow=(("erp.corp", None),)))()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "127.1", "2130706433", "0x7f000001", "::1", "::ffff:127.0.0.1"])
async def test_without_the_guard_it_would_have_been_connected_to(inside, host):
    """So that the other tests here prove the guard, and not that nobody listens."""
    _, writer = await asyncio.open_connection(host, inside.port)
    writer.close()
    assert inside.connections == 1
