"""The client on the simulated Halo, which was built from the facts about Halo and not for this client."""

import asyncio
from dataclasses import replace

import pytest

from worker.config.routes import Grant, RateLimit
from worker.core.exchange import Priority, Request, RequestResult
from worker.sandbox.faults import Fault, FaultKind
from worker.sandbox.server import serve
from worker.sandbox.settings import SandboxSettings

CREDENTIALS = Grant("client_credentials", "sandbox-client", "sandbox-secret", scopes=("all",))
TICKET = [{"summary": "x", "details_html": "y", "tickettype_id": 1, "client_id": 12}]


@pytest.fixture
async def sandbox():
    async with serve(SandboxSettings(tickets=20)) as served:
        yield served


@pytest.fixture
def client(connect, sandbox):
    return lambda **members: connect(**({"url": sandbox.url, "grant": CREDENTIALS} | members))


@pytest.mark.parametrize("grant", [CREDENTIALS, Grant("password", "sandbox-client", "sandbox-secret", "agent", "sandbox-password")])
async def test_both_grants_open_it(client, get, grant):
    exchange = await get(await client(grant=grant), pageinate="true", page_size="5")
    assert (exchange.result, len(exchange.body["tickets"])) == (RequestResult.DONE, 5)


async def test_its_limit_is_never_hit_by_a_client_that_knows_it(client, sandbox, get):
    sandbox.settings = replace(sandbox.settings, rate_limit=30, rate_window=0.5, limit_counts_tokens=True)
    opened = await client(rate_limit=RateLimit(30, 0.5))
    exchanges = await asyncio.gather(*(get(opened, "/Status", count="1") for _ in range(120)))
    assert {exchange.result for exchange in exchanges} == {RequestResult.DONE}
    assert 429 not in {request.status for request in sandbox.journal.requests}


async def test_a_revocation_in_the_middle_of_50_requests_costs_one_token_call_and_nobody_notices(client, sandbox, get):
    opened = await client()
    await opened.wait_available()
    sandbox.fault(Fault(FaultKind.REVOKE, path="/Status", nth=25))
    exchanges = await asyncio.gather(*(get(opened, "/Status", count="1") for _ in range(50)))
    assert {exchange.result for exchange in exchanges} == {RequestResult.DONE}
    assert len(sandbox.journal.tokens) == 2


async def test_an_expired_token_is_replaced_before_anybody_is_refused(client, sandbox, get, quick):
    sandbox.settings = replace(sandbox.settings, token_seconds=600)
    opened = await client(clock=quick)
    await opened.wait_available()
    quick.ahead += 601
    assert (await get(opened)).ok
    assert 401 not in {request.status for request in sandbox.journal.requests}


async def test_an_endpoint_that_needs_a_user_is_a_matter_of_that_request(client, get):
    opened = await client()
    exchange = await get(opened, "/Client/me")
    assert (exchange.result, exchange.status, opened.available) == (RequestResult.AUTH, 401, True)


@pytest.mark.parametrize(
    ("fault", "fate"),
    [
        *(
            (Fault(does, path="/Tickets", executed=executed), RequestResult.AMBIGUOUS)
            for does in (FaultKind.RESET, FaultKind.CLOSE, FaultKind.HTML, FaultKind.REDIRECT)
            for executed in (False, True)
        ),
        *((Fault(FaultKind.ANSWER, path="/Tickets", status=status, executed=True), RequestResult.AMBIGUOUS) for status in (500, 502, 503, 504)),
        (Fault(FaultKind.ANSWER, path="/Tickets", status=403), RequestResult.AUTH),
        (Fault(FaultKind.ANSWER, path="/Tickets", status=429), RequestResult.THROTTLED),
        (Fault(FaultKind.CUT, path="/Tickets"), RequestResult.DONE_UNREAD),
        (Fault(FaultKind.BOMB, path="/Tickets", size=200_000_000), RequestResult.DONE_UNREAD),
        (Fault(FaultKind.DELAY, path="/Tickets", seconds=5, executed=True), RequestResult.AMBIGUOUS),
        (Fault(FaultKind.DRIP, path="/Tickets", seconds=0.1), RequestResult.DONE_UNREAD),
    ],
)
async def test_a_create_under_each_fault_goes_out_once_and_has_its_fate(client, sandbox, fault, fate):
    opened = await client(timeout=0.5 if fault.seconds else 10.0)
    await opened.wait_available()
    sandbox.fault(fault)
    exchange = await opened.send(Request("POST", "/Tickets", body=TICKET), priority=Priority.WRITE)
    assert (exchange.result, exchange.down) == (fate, False)
    assert [request.path for request in sandbox.journal.requests if request.method == "POST" and "ickets" in request.path] == ["/api/Tickets"]
