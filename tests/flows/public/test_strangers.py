"""Strangers who try to fill the public port: they take nobody else's place, and learn nothing from how long it takes."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from ipaddress import ip_network

import pytest

from tests.flows.public.conftest import DOORS, answer_of, request, token
from tests.tools.sizes import first
from tests.tools.waiting import soon, until
from worker.web import authentication, bodies, connections, public

GOOD = b'{"id": 1}'
FORMED = {"Token": token(b"another body")}
HEX = "sha512=" + "0" * 128
BASIC = "Basic c2FtOndyb25n"
LOOPBACK = (ip_network("127.0.0.0/30"),)


def headers_only(path="/webhooks/signed", **headers):
    """A call whose body is announced and does not come."""
    return request(path, Content_Length="100000", **headers)


async def opened(stack, stranger, raw, count, origins=("127.0.0.2",)):
    """Connections on which so much was sent, in the order in which they were opened."""
    lines = []
    for number in range(count):
        reader, writer = await stack.enter_async_context(stranger.line(origins[number % len(origins)]))
        writer.write(raw)
        lines.append(reader)
    return lines


@pytest.mark.parametrize("path", [*DOORS, "/webhooks/absent", "/runbooks/absent"])
@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": BASIC}, {"Token": "x"}, {"Token": token(GOOD)[:-4]}, {"X_Signature": HEX[7:]}, {"X_Signature": HEX[:-2]}, {"Other": token(GOOD)}],
)
async def test_without_credentials_a_call_is_answered_401_before_its_body_comes(stranger, receiver, path, headers):
    answer = await soon(stranger.say(headers_only(path, **headers)))
    assert (answer.status, answer.headers["Connection"], receiver.taken) == (401, "close", [])


async def test_without_credentials_no_caller_is_asked_to_go_on_with_a_body(stranger):
    assert (await stranger.say(headers_only(Expect="100-continue"))).status == 401


@pytest.mark.parametrize("origin", ["127.0.0.1", "127.0.0.2"])
async def test_with_a_signature_a_caller_is_asked_to_go_on(stranger, origin):
    async with stranger.line(origin) as (reader, writer):
        writer.write(request("/webhooks/signed", Content_Length=str(len(GOOD)), Expect="100-continue", Token=token(GOOD)))
        assert await soon(reader.readuntil(b"\r\n\r\n")) == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(GOOD)
        assert (await answer_of(reader)).status == 202


async def test_a_sender_who_is_still_writing_gets_to_see_the_refusal(stranger):
    body = b"x" * 1024 * 1024
    async with stranger.line() as (reader, writer):
        writer.write(request("/webhooks/signed", Content_Length=str(len(body))))
        writer.write(body)
        await soon(writer.drain())
        assert (await answer_of(reader)).status == 401


@pytest.mark.parametrize("headers", [{}, {"Authorization": BASIC}, FORMED, {"X_Signature": HEX}])
@pytest.mark.parametrize("path", first(1, ["/webhooks/signed", "/runbooks/basic", "/webhooks/absent"]))
async def test_two_hundred_calls_whose_bodies_do_not_come_keep_nobody_out(stranger, receiver, headers, path):
    async with AsyncExitStack() as stack:
        await opened(stack, stranger, headers_only(path, **headers), 200, [f"127.0.0.{number}" for number in range(2, 12)])
        await asyncio.sleep(0)
        for number in range(3):
            assert (await stranger.signed("/webhooks/signed", {"id": number})).status == 202
        assert (await stranger.post("/runbooks/basic", GOOD, Authorization="Basic c2FtOnDDpHNzOndvcmQ=")).status == 202
    assert len(receiver.taken) == 4


async def test_a_stranger_displaces_its_own_calls_first(open_port, monkeypatch):
    monkeypatch.setattr(public, "STRANGERS_SHARE", 2)
    stranger = await open_port()
    async with AsyncExitStack() as stack:
        (other,) = await opened(stack, stranger, headers_only(**FORMED), 1, ["127.0.0.9"])
        lines = await opened(stack, stranger, headers_only(**FORMED), 3)
        answer = await answer_of(lines[0])
        assert (answer.status, answer.headers["Retry-After"], answer.headers["Connection"]) == (503, "5", "close")
        assert not any(reader.at_eof() or reader._buffer for reader in (other, *lines[1:]))


async def test_when_strangers_are_too_many_the_oldest_gives_way_to_the_newest(open_port, monkeypatch):
    monkeypatch.setattr(public, "STRANGERS_AT_ONCE", 2)
    stranger = await open_port()
    async with AsyncExitStack() as stack:
        first, second = [(await opened(stack, stranger, headers_only(**FORMED), 1, [f"127.0.0.{number}"]))[0] for number in (2, 3)]
        assert (await stranger.say(request("/webhooks/signed", GOOD, Token=token(GOOD)), "127.0.0.4")).status == 202
        assert (await answer_of(first)).status == 503
        assert not second._buffer


async def test_strangers_in_any_number_leave_the_calls_of_known_peers_alone(open_port, monkeypatch):
    monkeypatch.setattr(public, "STRANGERS_AT_ONCE", 2)
    stranger = await open_port()
    assert (await stranger.signed("/webhooks/signed", {"id": 0})).status == 202
    async with stranger.line() as (reader, writer), AsyncExitStack() as stack:
        writer.write(request("/webhooks/signed", Content_Length=str(len(GOOD)), Token=token(GOOD)))
        lines = await opened(stack, stranger, headers_only(**FORMED), 10, [f"127.0.0.{number}" for number in range(2, 12)])
        assert (await answer_of(lines[0])).status == 503
        writer.write(GOOD)
        assert (await answer_of(reader)).status == 202


async def test_a_call_that_is_being_stored_gives_way_to_nobody(open_port, receiver, monkeypatch):
    monkeypatch.setattr(public, "CALLS_AT_ONCE", 2)
    stranger = await open_port(share=2)
    assert (await stranger.say(request("/webhooks/signed", GOOD, Token=token(GOOD)), "127.0.0.2")).status == 202
    receiver.hold = asyncio.Event()
    storing = asyncio.create_task(stranger.say(request("/webhooks/signed", GOOD, Token=token(GOOD)), "127.0.0.2"))
    await until(lambda: asyncio.sleep(0, bool(receiver.hold._waiters)))
    async with AsyncExitStack() as stack:
        lines = await opened(stack, stranger, headers_only(**FORMED), 4)
        for reader in lines[:3]:
            await closed(reader)
        receiver.hold.set()
        assert (await soon(storing)).status == 202


async def test_a_stranger_s_body_must_keep_a_pace(open_port, monkeypatch):
    monkeypatch.setattr(bodies, "GRACE_SECONDS", 0.2)
    monkeypatch.setattr(bodies, "BODY_SECONDS", 1000.0)
    stranger = await open_port()
    async with stranger.line() as (reader, writer):
        writer.write(headers_only(**FORMED))

        async def drip():
            while True:
                writer.write(b"a")
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        answer = await answer_of(reader)
        dripping.cancel()
        assert (answer.status, answer.headers["Connection"]) == (408, "close")


async def test_a_body_that_keeps_the_pace_may_take_longer_than_the_grace(open_port, monkeypatch):
    monkeypatch.setattr(bodies, "GRACE_SECONDS", 0.5)
    monkeypatch.setattr(bodies, "MIN_BYTES_PER_SECOND", 1)
    stranger = await open_port()
    async with stranger.line() as (reader, writer):
        writer.write(request("/webhooks/signed", GOOD[:5], Content_Length=str(len(GOOD)), Token=token(GOOD)))
        await asyncio.sleep(0.8)
        writer.write(GOOD[5:])
        assert (await answer_of(reader)).status == 202


@pytest.mark.parametrize("raw", [b"", b"POST /webhooks/signed HTTP/1.1\r\nX: ", headers_only()])
async def test_a_peer_has_its_share_of_connections_and_displaces_its_own(open_port, metrics, raw):
    stranger = await open_port(share=3)
    async with AsyncExitStack() as stack:
        lines = await opened(stack, stranger, raw, 5)
        for reader in lines[:2]:
            await closed(reader)
        assert (await stranger.signed("/webhooks/signed", {"id": 1})).status == 202
        if not raw:
            assert not any(reader.at_eof() for reader in lines[2:])
    assert metrics.registry.get_sample_value("halo_worker_cut_connections_total") == 2


async def test_when_connections_of_strangers_are_too_many_the_oldest_gives_way(open_port, monkeypatch):
    monkeypatch.setattr(connections, "CONNECTIONS", 4)
    stranger = await open_port()
    async with AsyncExitStack() as stack:
        lines = await opened(stack, stranger, b"", 4, [f"127.0.0.{number}" for number in range(2, 6)])
        assert (await stranger.signed("/webhooks/signed", {"id": 1})).status == 202
        await closed(lines[0])
        assert not any(reader.at_eof() for reader in lines[1:])


async def test_known_peers_have_connections_of_their_own(open_port, monkeypatch):
    monkeypatch.setattr(connections, "CONNECTIONS", 2)
    stranger = await open_port()
    assert (await stranger.signed("/webhooks/signed", {"id": 1})).status == 202
    async with stranger.line() as (reader, writer), AsyncExitStack() as stack:
        lines = await opened(stack, stranger, b"", 20, [f"127.0.0.{number}" for number in range(2, 22)])
        await closed(lines[0])
        writer.write(request("/webhooks/signed", GOOD, Token=token(GOOD)))
        assert (await answer_of(reader)).status == 202


async def test_behind_a_trusted_proxy_the_forwarded_address_is_the_peer(open_port, monkeypatch):
    monkeypatch.setattr(public, "STRANGERS_SHARE", 1)
    stranger = await open_port(proxies=LOOPBACK, share=1)
    async with AsyncExitStack() as stack:
        first = (await opened(stack, stranger, headers_only(**FORMED, X_Forwarded_For="192.0.2.1"), 1, ["127.0.0.1"]))[0]
        other = (await opened(stack, stranger, headers_only(**FORMED, X_Forwarded_For="192.0.2.1, 192.0.2.2"), 1, ["127.0.0.1"]))[0]
        third = (await opened(stack, stranger, headers_only(**FORMED, X_Forwarded_For="198.51.100.1, 192.0.2.1, 127.0.0.2"), 1, ["127.0.0.1"]))[0]
        assert (await answer_of(first)).status == 503
        assert (bytes(other._buffer), bytes(third._buffer)) == (b"", b"")


async def test_what_others_say_of_forwarding_is_not_believed(open_port, monkeypatch):
    monkeypatch.setattr(public, "STRANGERS_SHARE", 1)
    stranger = await open_port(proxies=LOOPBACK)
    async with AsyncExitStack() as stack:
        lines = [(await opened(stack, stranger, headers_only(**FORMED, X_Forwarded_For=f"192.0.2.{number}"), 1, ["127.0.0.9"]))[0] for number in (1, 2)]
        assert (await answer_of(lines[0])).status == 503


@pytest.mark.parametrize("headers", [FORMED, {"X_Signature": HEX}, {"Token": FORMED["Token"], "X_Signature": HEX, "Authorization": BASIC}])
async def test_a_refusal_costs_the_same_digests_whatever_the_address(stranger, headers, monkeypatch):
    """So that the time of the answer tells neither which addresses are there nor how a door knows its callers."""
    digested = []
    made = authentication.hmac.new

    def counting(key, body, algorithm):
        digested.append((algorithm().name, len(body)))
        return made(key, body, algorithm)

    monkeypatch.setattr(authentication.hmac, "new", counting)
    costs = []
    for path in (*DOORS, "/webhooks/absent"):
        digested.clear()
        assert (await stranger.post(path, GOOD * 1000, **headers)).status == 401
        costs.append(sorted(digested))
    assert costs == [[("sha256", 9000), ("sha512", 9000), ("sha512", 9000)]] * 4


async def closed(reader):
    """Wait until the other side has closed the connection, by a reset or in order."""
    try:
        await soon(reader.read())
    except ConnectionError:
        return
    assert reader.at_eof()
