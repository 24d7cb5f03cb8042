"""Calls of the public port by those who may."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import socket

import pytest
from structlog.testing import capture_logs

from tests.flows.public.conftest import SECRET, answer_of, request, token
from tests.tools.waiting import soon, until
from worker.config.automation import CallerAuth, Runbook, Step, Webhook
from worker.core.errors import ChannelLost, EvaluatorUnavailable, WorkerError
from worker.metrics import Metrics
from worker.web import public
from worker.web.authentication import signature
from worker.web.public import endpoints_of, serve_public

GOOD = b'{"id": 1}'


async def test_a_signed_delivery_is_taken_and_answered_with_what_became_of_it(stranger, receiver):
    answer = await stranger.signed("/webhooks/signed", {"id": 1, "name": "Grüße"})
    assert (answer.status, answer.json) == (202, {"accepted": 1})
    assert receiver.taken == [("/webhooks/signed", [{"id": 1, "name": "Grüße"}])]


async def test_an_array_is_several_deliveries(stranger, receiver):
    assert (await stranger.signed("/webhooks/signed", [{"id": 1}, {"id": 2}])).json == {"accepted": 2}
    assert receiver.taken == [("/webhooks/signed", [{"id": 1}, {"id": 2}])]


@pytest.mark.parametrize("secret", ["old", "new"])
async def test_while_secrets_are_rotated_any_of_them_signs(stranger, secret):
    made = hmac.new(secret.encode(), GOOD, hashlib.sha512).hexdigest()
    assert (await stranger.post("/runbooks/hex", GOOD, X_Signature=f"sha512={made}")).status == 202
    assert (await stranger.post("/runbooks/hex", GOOD, x_signature=f"sha512={made.upper()}")).status == 202
    assert (await stranger.post("/runbooks/hex", GOOD, X_Signature=made)).status == 401


@pytest.mark.parametrize("scheme", ["Basic", "basic"])
async def test_basic_credentials_may_hold_colons_and_umlauts(stranger, scheme):
    pair = base64.b64encode("sam:päss:word".encode()).decode()
    assert (await stranger.post("/runbooks/basic", GOOD, Authorization=f"{scheme} {pair}")).status == 202


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("digest", ["base64", "hex"])
@pytest.mark.parametrize("prefix", ["", "sha=", "v1,"])
async def test_every_form_of_a_signature_is_understood(open_port, algorithm, digest, prefix):
    auth = CallerAuth("signature", header="X-Hub-Signature", secrets=(SECRET,), algorithm=algorithm, digest=digest, prefix=prefix)
    stranger = await open_port({"/webhooks/one": auth})
    made = signature(auth, SECRET, GOOD).decode()
    assert len(base64.b64decode(made) if digest == "base64" else bytes.fromhex(made)) == {"sha256": 32, "sha512": 64}[algorithm]
    assert (await stranger.post("/webhooks/one", GOOD, X_Hub_Signature=prefix + made)).status == 202
    assert (await stranger.post("/webhooks/one", GOOD, X_Hub_Signature=prefix + made[:-4])).status == 401


async def test_halo_s_own_example_of_a_signature():
    """The Base64 of an HMAC with SHA-256 over the raw body, checked against values that were computed elsewhere."""
    auth = CallerAuth("signature", header="Token", secrets=("Jefe",))
    body = b"what do ya want for nothing?"  # from RFC 4231
    assert base64.b64decode(signature(auth, "Jefe", body)).hex() == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"


@pytest.mark.parametrize("away", [ChannelLost("the broker is away"), EvaluatorUnavailable("no process")], ids=["broker", "evaluator"])
async def test_while_the_broker_is_away_the_answer_is_503_at_once_and_later_all_is_well(stranger, receiver, away):
    receiver.away = away
    answer = await soon(stranger.signed("/webhooks/signed", {"id": 1}), 2)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert receiver.taken == []
    receiver.away = None
    assert (await stranger.signed("/webhooks/signed", {"id": 1})).status == 202


async def test_a_broker_that_does_not_confirm_is_not_waited_for_without_end(stranger, receiver, monkeypatch):
    monkeypatch.setattr(public, "STORING_SECONDS", 0.1)
    receiver.hold = asyncio.Event()
    assert (await stranger.signed("/webhooks/signed", {"id": 1})).status == 503
    assert receiver.taken == []


async def test_when_every_place_is_taken_by_calls_that_are_stored_others_are_sent_away(open_port, receiver, monkeypatch):
    monkeypatch.setattr(public, "CALLS_AT_ONCE", 3)
    stranger = await open_port()
    receiver.hold = asyncio.Event()
    waiting = [asyncio.create_task(stranger.signed("/webhooks/signed", {"id": number})) for number in range(3)]
    await until(lambda: asyncio.sleep(0, len(receiver.hold._waiters) == 3))
    answer = await stranger.signed("/webhooks/signed", {"id": 4})
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    receiver.hold.set()
    assert [answer.status for answer in await asyncio.gather(*waiting)] == [202] * 3
    assert (await stranger.signed("/webhooks/signed", {"id": 9})).status == 202


async def test_several_calls_over_one_connection_are_answered_in_turn(stranger, receiver):
    async with stranger.line() as (reader, writer):
        writer.write(request("/webhooks/signed", GOOD, Token=token(GOOD)) * 3)
        assert [(await answer_of(reader)).status for _ in range(3)] == [202] * 3
    assert len(receiver.taken) == 3


async def test_a_call_in_hand_when_the_port_closes_is_still_answered(receiver, metrics):
    from tests.flows.public.conftest import DOORS, Stranger

    receiver.hold = asyncio.Event()
    serving = serve_public("127.0.0.1", 0, DOORS, receiver.receive, metrics)
    stranger = Stranger(await serving.__aenter__())
    async with stranger.line() as (reader, writer):
        writer.write(request("/webhooks/signed", GOOD, Token=token(GOOD)))
        await until(lambda: asyncio.sleep(0, serving_one(receiver, metrics)))
        closing = asyncio.create_task(serving.__aexit__(None, None, None))
        await asyncio.sleep(0.05)
        receiver.hold.set()
        assert (await answer_of(reader)).status == 202
        await soon(closing)
    assert len(receiver.taken) == 1


def serving_one(receiver, metrics) -> bool:
    return bool(receiver.hold._waiters)


def test_who_may_call_what_follows_from_the_routes():
    auth, other = CallerAuth("basic", username="a", password="b"), CallerAuth("basic", username="c", password="d")
    step = {"end": Step("end", end="done")}
    runbooks = {"open": Runbook("open", "end", step, endpoint=auth), "closed": Runbook("closed", "end", step, queue="q")}
    webhooks = {"hook": Webhook("hook", "main", other)}
    assert endpoints_of(runbooks, webhooks) == {"/runbooks/open": auth, "/webhooks/hook": other}
    assert endpoints_of({"closed": runbooks["closed"]}, {}) == {}


async def test_the_port_in_use_is_logged_and_one_that_is_taken_is_refused_with_a_sentence(receiver):
    with capture_logs() as logs:
        async with serve_public("127.0.0.1", 0, {}, receiver.receive, Metrics()) as port:
            assert {"event": "public.listening", "log_level": "info", "host": "127.0.0.1", "port": port} in logs
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(WorkerError, match=rf"^the public port cannot listen on 127\.0\.0\.1:{port}: .*; set WORKER_PUBLIC_HOST or WORKER_PUBLIC_PORT$"):
            async with serve_public("127.0.0.1", port, {}, receiver.receive, Metrics()):
                pass
