"""Marked values in every place where a secret or a customer's data can stand, and a search for the marks in everything that the worker tells."""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import quote, quote_plus, urlsplit, urlunsplit

import pytest

from tests.tools.job import OtherSystem, publisher, routes, subscriber
from tests.tools.proxy import through_proxy
from tests.tools.waiting import until
from worker.broker.open import open_broker
from worker.core.topology import UNROUTED
from worker.sandbox.faults import Fault, FaultBody, FaultKind

CLIENT_SECRET = "mark-client-secret/7f3a+x"
AGENT_PASSWORD = "mark-agent-password&9d"
BROKER_PASSWORD = "mark-broker-password-51"
API_KEY = "mark-api-key-23c4"
VISITOR_KEY = "mark-visitor-key-aa01"
SECRETS = (CLIENT_SECRET, AGENT_PASSWORD, BROKER_PASSWORD, API_KEY, VISITOR_KEY)
PERSON = "Mark-Person Data"  # a customer's data, in records and messages
CUSTOMERS = (PERSON, "Mark-Person", "mark.person@example.com")


@pytest.fixture
def marked_broker(rabbitmq, amqp_url):
    """The address of the virtual host for a user with a marked password."""
    parts = urlsplit(amqp_url)
    vhost = parts.path.removeprefix("/")
    user = f"marked-{vhost}"
    rabbitmq.api.call("PUT", f"/api/users/{user}", {"password": BROKER_PASSWORD, "tags": ""})
    rabbitmq.api.call("PUT", f"/api/permissions/{vhost}/{user}", {"configure": ".*", "write": ".*", "read": ".*"})
    yield urlunsplit(parts._replace(netloc=f"{user}:{BROKER_PASSWORD}@{parts.hostname}:{parts.port}"))
    rabbitmq.api.call("DELETE", f"/api/users/{user}")


def spellings(secret):
    """A secret as it is, as addresses and forms write it, and as basic authentication would."""
    return {secret, quote(secret, safe=""), quote_plus(secret), b64encode(secret.encode()).decode().rstrip("=")}


def definition_for(halo):
    """Routes for every way that a message or a record can go, with marks in everything that is configured."""
    find = {"query": {"search": "{{ payload.inventory_number }}"}, "match": {"inventory_number": "{{ payload.inventory_number }}"}}
    subscribers = {
        "tickets": subscriber(transform={"id": "{{ id }}", "n": "{{ $number(summary) }}"}, publish={"exchange": "nobody"}, queue=None),
        "suppliers": subscriber(entity="Supplier", deletes=True, when="$number(name) > 0"),
    }
    publishers = {
        "erp": publisher(find=find | {"use": "always"}, concurrency=2),
        "blind": publisher(queue="blind", retry=["50ms"], when="$not(kind = 'unwanted')"),
        "failing": publisher(queue="failing", transform={"payload": {"n": "{{ $number(text) }}"}}),
        "gone": publisher(queue="gone", entity="Asset/{id}", method="DELETE"),
    }
    definition = routes(halo, subscribers=subscribers, publishers=publishers, headers={"X-Api-Key": API_KEY, "X-Visitor": VISITOR_KEY})
    definition["clients"]["main"]["auth"]["client_secret"] = "${file:halo_client_secret}"
    settings = halo.settings
    agent = {"type": "password", "client_id": settings.client_id, "username": settings.username, "password": "${AGENT_PASSWORD}"}
    definition["clients"]["agent"] = definition["clients"]["main"] | {"auth": agent}
    definition["subscribers"]["agents"] = subscriber(client="agent", entity="Agent")
    return definition


def troubles():
    """What happens to POSTs one after the other."""
    post = {"method": "POST", "path": "/Asset"}
    said = {"status": 400, "text": f"Name '{PERSON}' must be unique for mark.person@example.com"}
    return [
        Fault(FaultKind.ANSWER, **post, **said, body=FaultBody.STRING),
        Fault(FaultKind.ANSWER, **post, **said, body=FaultBody.EXCEPTION),
        Fault(FaultKind.ANSWER, **post, status=403),
        Fault(FaultKind.ANSWER, **post, status=404),
        Fault(FaultKind.ANSWER, **post, status=500, body=FaultBody.JSON, text=f'{{"Message": "\\"{PERSON}\\" failed"}}'),
        Fault(FaultKind.RESET, **post, executed=True),
        Fault(FaultKind.CUT, **post),
        Fault(FaultKind.HTML, **post),
        Fault(FaultKind.REDIRECT, **post, status=302, location=f"https://{PERSON.replace(' ', '')}@example.com/?token={API_KEY}"),
    ]


def marked(number, **more):
    return {"inventory_number": f"{PERSON} {number}", "notes": "mark.person@example.com"} | more


async def live_through_everything(halo, other, worker, proxy):
    """Good ways and bad: each failure happens once to a message of either route."""
    for number in range(1, 6):
        halo.store.update("tickets", number, {"summary": PERSON, "details": PERSON})
    for number, fault in enumerate(troubles()):
        for queue in ("assets", "blind"):
            planned = halo.fault(fault)
            await other.send({"payload": marked(number)}, queue, headers={"x-customer": PERSON, "authorization": f"Bearer {API_KEY}"})
            await until(lambda planned=planned: struck(planned))
            await settled(worker, queue)
            halo.faults.clear()
    for body in (PERSON.encode(), b'{"person": "' + PERSON.encode() + b'"}', {"payload": PERSON}, {"payload": {"client_id": PERSON}}, {"kind": "unwanted"}):
        await other.send(body, "blind", headers={"x-customer": PERSON})
    await other.send({"text": PERSON}, "failing")
    await other.send({"path": {"id": f"../{PERSON}"}}, "gone")
    await other.send({"payload": [marked("a"), marked("b", client_id=PERSON)]}, "blind")
    lookup = halo.fault(Fault(FaultKind.ANSWER, "GET", "/Asset", status=400, body=FaultBody.STRING, text=f"'{PERSON}' is not valid"))
    await other.send({"payload": marked("x")}, "assets")
    await until(lambda: struck(lookup))
    for does, more in ((FaultKind.HTML, {}), (FaultKind.CUT, {}), (FaultKind.ANSWER, {"status": 400, "body": FaultBody.STRING, "text": f"no '{PERSON}'"})):
        planned = halo.fault(Fault(does, "GET", "/Supplier", **more))
        await until(lambda planned=planned: struck(planned))
    halo.revoke_tokens()
    await other.send({"payload": marked("after the token")}, "blind")
    proxy.reset()
    await worker.logged("broker.lost")
    await worker.ready()
    halo.fault(Fault(FaultKind.ANSWER, "*", "/api/*", times=None, status=503, body=FaultBody.STRING, text=f"the record '{PERSON}' is locked"))
    await worker.unready()
    halo.faults.clear()
    await worker.ready()
    halo.settings = type(halo.settings)(**(vars(halo.settings) | {"client_secret": "rotated", "password": "rotated"}))
    halo.revoke_tokens()
    await other.send({"payload": marked("with a wrong secret")}, "assets")
    await worker.unready()


async def struck(planned):
    return planned.struck > 0


async def settled(worker, queue):
    """Nothing of this queue is in hand or waits for its next attempt."""
    route = {"assets": "erp"}.get(queue, queue)
    await until(lambda: idle(worker, route))


async def idle(worker, route):
    lines = [line for line in worker.log(route=route) if str(line.get("event")).startswith("message.")]
    return bool(lines) and lines[-1]["event"] in {"message.done", "message.dead", "message.skipped"}


async def told(worker, other):
    """Everything that the worker tells: logs, metrics, readiness, and the headers of what it parked."""
    letters = []
    for queue in ("assets.dead", "blind.dead", "failing.dead", "gone.dead", "halo.dead.tickets", "halo.dead.suppliers", UNROUTED, "events"):
        letters += await other.drain(queue)
    own = [{name: value for name, value in letter.headers.items() if name not in {"x-customer", "authorization"}} for letter in letters]
    return {
        "the log": worker.text(),
        "/metrics": (await worker.get("/metrics"))[1],
        "/readyz": (await worker.get("/readyz"))[1],
        "headers": str(own),
    }, letters


def leaks(texts, marks):
    return [(place, mark, text[max(0, text.find(mark) - 200) : text.find(mark) + 100]) for place, text in texts.items() for mark in marks if mark in text]


async def test_no_secret_and_no_customer_data_is_told_anywhere_whatever_happens(halos, stage, marked_broker, tmp_path):
    halo = await halos(tickets=20, client_secret=CLIENT_SECRET, password=AGENT_PASSWORD)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "halo_client_secret").write_text(CLIENT_SECRET)
    tokens = set()
    halo.on_request(lambda _: tokens.update([*halo.tokens._grants, *halo.tokens._refresh]))
    async with through_proxy(marked_broker) as (proxied, proxy), open_broker(marked_broker, name="other system") as broker:
        other = OtherSystem(broker)
        worker = await stage.start(definition_for(halo), amqp_url=proxied, log_level="debug", variables={"AGENT_PASSWORD": AGENT_PASSWORD})
        await live_through_everything(halo, other, worker, proxy)
        texts, letters = await told(worker, other)
        assert await worker.stop() == 0
        texts["the log"] = worker.text()

    classes = {letter.headers.get("dead-class") for letter in letters}
    assert classes >= {"decode", "transform", "rejected", "auth", "in_doubt"}, "the search is worth nothing unless all of this happened"
    assert len(tokens) >= 3
    assert {line["level"] for line in worker.log()} >= {"debug", "info", "warning", "error"}
    secrets = {spelling for secret in (*SECRETS, *tokens) for spelling in spellings(secret)}
    assert leaks(texts, secrets) == []
    assert leaks(texts, CUSTOMERS) == []


async def test_a_broker_that_refuses_the_password_is_told_without_it(halos, stage, marked_broker):
    halo = await halos(tickets=3)
    worker = await stage.start(
        routes(halo, publishers={"erp": publisher()}), ready=False, amqp_url=marked_broker.replace(BROKER_PASSWORD, "mark-wrong-password")
    )
    await worker.logged("broker.unreachable")
    told_by_readiness = (await worker.get("/readyz"))[1]
    assert "mark-wrong-password" not in worker.text() + told_by_readiness


@pytest.mark.parametrize("mistake", [{}, {"entity": "Tickest"}], ids=["good routes", "a mistake"])
async def test_check_tells_no_secret(halos, tmp_path, marked_broker, stage, mistake):
    halo = await halos(tickets=3, client_secret=CLIENT_SECRET, password=AGENT_PASSWORD)
    definition = definition_for(halo)
    definition["subscribers"]["tickets"] |= mistake
    definition["clients"]["main"]["auth"]["scopes"] = [CLIENT_SECRET] if mistake else ["all"]
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "halo_client_secret").write_text(CLIENT_SECRET)
    worker = await stage.start(definition, ready=False, amqp_url=marked_broker, command="check", variables={"AGENT_PASSWORD": AGENT_PASSWORD})
    assert await worker.ended() == (2 if mistake else 0)
    assert worker.text()
    assert leaks({"check": worker.text()}, {spelling for secret in SECRETS for spelling in spellings(secret)}) == []
