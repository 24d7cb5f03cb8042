"""Users with the permissions that `halo-worker permissions` prints: each can do its work on a real RabbitMQ, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote

import aiohttp
import orjson
import pytest

from tests.flows.public.conftest import token
from tests.tools.broker_user import PASSWORD, BrokerUser, broker_user
from tests.tools.commands import run_command
from tests.tools.job import OtherSystem, publisher, routes, subscriber
from tests.tools.process import write_routes
from tests.tools.rabbitmq import vhost_of
from tests.tools.rabbitmq_api import Api
from tests.tools.waiting import until
from worker.app.permissions import Account, accounts_of
from worker.broker.open import open_broker
from worker.config.loader import load_routes
from worker.config.routes import Routes
from worker.core.message import Message
from worker.core.topology import Binding, Topology, browsable_queue, work_topology
from worker.sandbox.faults import Fault, FaultKind

SECRET = "a-secret-of-the-webhook"
KEYS = "halo.keys"  # declared here where no worker did: nobody else may read it, whatever is in it
REFUSED = [False, False, False, False, False]


def definition_for(halo: Any) -> dict[str, Any]:
    """A route of every kind, with everything that needs a queue, an exchange or a lock."""
    asset = {"payload": {"inventory_number": "{{ serial }}"}}
    find = {"query": {"search": "{{ serial }}"}, "match": {"inventory_number": "{{ serial }}"}}
    bound = [{"exchange": "erp", "routing_key": "asset.#"}]
    note = {"action": "create_action", "client": "main", "body": {"ticket_id": "<<TicketId>>", "outcome": "Note", "note_html": "asked"}, "in_doubt": "repeat"}
    runbook = {"start": {"queue": "desk.asks"}, "input": {"TicketId": "request^ticket^id"}, "first": "note", "steps": {"note": note | {"next": "done"}}}
    runbook["steps"]["done"] = {"end": "done"}
    hook = {"client": "main", "auth": {"type": "signature", "header": "Token", "secret": SECRET}, "runbook": "ask", "publish": {"exchange": "hooks"}}
    more = {
        "runbooks": {"ask": runbook},
        "webhooks": {"hook": hook | {"wake": {"subscriber": "tickets", "id": "{{ ticket.id }}"}}},
    }
    publishers = {
        "erp": publisher(queue="erp.assets", bind=bound, transform=asset, find=find, once="{{ serial }}"),
        "kept": publisher(queue="erp.contracts", bind=[{"exchange": "erp", "routing_key": "contract.#"}], transform=asset, order_by="{{ serial }}"),
        "theirs": publisher(queue="legacy.inbox", declare=False, transform=asset),
    }
    subscribers = {
        "tickets": subscriber(queue="events.tickets", every="1h"),
        "assets": subscriber(entity="Asset", queue=None, start="now", publish={"exchange": "halo"}),
    }
    return routes(halo, subscribers=subscribers, publishers=publishers) | more


@dataclass
class Company:
    """The users of one virtual host. `admin` may do everything."""

    worker: BrokerUser
    operator: BrokerUser
    sender: BrokerUser
    desk: BrokerUser
    served: BrokerUser
    reader: BrokerUser
    stranger: BrokerUser
    admin: OtherSystem


@pytest.fixture
async def halo(halos):
    return await halos(tickets=3)


@pytest.fixture
def company(rabbitmq, amqp_url, other, halo, tmp_path) -> Iterator[Company]:
    directory = write_routes(tmp_path, definition_for(halo))
    accounts = {account.user: account for account in accounts_of(load_routes(directory, {}, tmp_path), ["billing=halo"])}
    chosen = [accounts[name] for name in ("halo-worker", "halo-operator", "sender-erp")]
    chosen += [Account("sender-desk", "sender", "starts runbooks", write="^desk$")]
    chosen += [accounts[name] for name in ("reader-events.tickets", "reader-billing")] + [Account("stranger", "reader", "nothing")]
    with ExitStack() as stack:
        yield Company(*(stack.enter_context(broker_user(rabbitmq, amqp_url, account)) for account in chosen), other)


async def of_others(company: Company) -> None:
    """What other teams and the broker's administrator have made: queues of theirs, and the way to the start queue of the runbook."""
    queues = (browsable_queue("legacy.inbox"), browsable_queue("erp.assets.archive"), browsable_queue("payroll"))
    await company.admin.broker.declare(Topology(queues=queues))
    await company.admin.declare(exchange="desk")
    await company.admin.broker.declare(work_topology("desk.asks", [10, 60, 600]) + Topology(bindings=(Binding("desk", "#", "desk.asks"),)))


async def send(user: BrokerUser, document: Any, routing_key: str, exchange: str = "erp") -> None:
    async with open_broker(user.url, name="a sender") as broker:
        await broker.publish(
            Message(orjson.dumps(document), message_id=f"id-{routing_key}-{orjson.dumps(document).hex()}"), routing_key=routing_key, exchange=exchange
        )


def created(halo) -> list[str]:
    return sorted(halo.store.get("asset", key)["inventory_number"] for key in halo.journal.created("/Asset"))


async def start(stage, company, **more):
    return await stage.start(amqp_url=company.worker.url, public_port=0, **more)


async def test_with_least_privileges_every_kind_of_route_works_to_the_end(halo, stage, company):
    await of_others(company)
    worker = await start(stage, company)
    halo.fault(Fault(FaultKind.ANSWER, "POST", "/Asset", status=429, headers=(("Retry-After", "1"),)))
    await send(company.sender, {"serial": "SN-1"}, "asset.new")
    await worker.logged("message.retried", route="erp")
    await worker.logged("message.done", route="erp")
    await send(company.sender, {"serial": "SN-1", "again": True}, "asset.new")
    await worker.logged("message.skipped", route="erp")
    await send(company.sender, {"serial": "SN-2"}, "contract.new")
    await worker.logged("message.done", route="kept")
    await company.admin.send({"serial": "SN-3"}, "legacy.inbox")
    await worker.logged("message.done", route="theirs")

    await send(company.desk, {"ticket": {"id": 1}}, "any", "desk")
    await worker.logged("message.done", route="ask", detail="the run is done")
    port = (await worker.logged("public.listening"))["port"]
    body = orjson.dumps({"ticket": {"id": 2}})
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{port}/webhooks/hook", data=body, headers={"Token": token(body, SECRET)}) as answer,
    ):
        assert answer.status == 202
    await worker.logged("subscriber.woken", subscriber="tickets")
    assert created(halo) == ["SN-1", "SN-2", "SN-3"]
    assert [line for line in worker.log() if "refused for user" in str(line) or line.get("event") == "queue.unverified"] == []
    assert await worker.stop() == 0


async def test_what_was_declared_before_is_declared_again_by_the_same_user_and_by_a_second_replica(stage, company):
    await of_others(company)
    first = await start(stage, company, name="first")
    second = await start(stage, company, name="second")
    assert await first.stop() == 0
    third = await start(stage, company, name="third")
    for worker in (second, third):
        assert await worker.stop() == 0
        assert worker.log("queue.unverified") == []


@pytest.mark.parametrize(
    ("right", "name", "said"),
    [
        ("configure", "erp", "the broker's user may not declare exchange 'erp': ACCESS_REFUSED"),
        ("read", "halo", "the broker's user may not bind queue 'events.tickets' to exchange 'halo': ACCESS_REFUSED"),
        ("write", "erp.assets", "the broker's user may not bind queue 'erp.assets' to exchange 'erp': ACCESS_REFUSED"),
    ],
)
async def test_a_worker_that_lacks_a_permission_is_unready_and_says_which_and_what_prints_it(rabbitmq, amqp_url, stage, company, right, name, said):
    await of_others(company)
    account = next(account for account in accounts_of(load_routes(stage.folder / "routes", {}, stage.folder)) if account.role == "worker")
    less = replace(account, user="less", **{right: rf"^(?!{re.escape(name)}$){getattr(account, right).removeprefix('^')}"})
    with broker_user(rabbitmq, amqp_url, less) as user:
        worker = await stage.start(amqp_url=user.url, public_port=0, ready=False)
        lost = await worker.logged("broker.lost")
        assert lost["reason"].startswith(said)
        assert lost["reason"].endswith("; `halo-worker permissions` prints what it needs")
        assert (await worker.get("/readyz"))[0] == 503
        await worker.kill()


async def test_an_operator_replays_dead_letters_and_moves_cursors(halo, stage, company):
    await of_others(company)
    worker = await start(stage, company)
    halo.fault(Fault(FaultKind.ANSWER, "POST", "/Asset", status=400))
    await send(company.sender, {"serial": "SN-4"}, "asset.new")
    await worker.logged("message.dead", route="erp")
    for arguments in (
        ["dead", "list", "erp"],
        ["dead", "replay", "erp", "--all", "--yes"],
        ["cursor", "show", "tickets"],
        ["cursor", "rewind", "tickets", "--by", "1h"],
    ):
        ended = await run_command(stage.folder, *arguments, routes=stage.folder / "routes", amqp_url=company.operator.url)
        assert ended.code == 0, (arguments, ended.err)
    await worker.logged("message.done", route="erp")
    assert created(halo) == ["SN-4"]
    for queue in ("erp.assets", "erp.contracts", "desk.asks", "legacy.inbox", "payroll"):
        assert not await company.operator.may_look_into(queue)
        assert not await company.operator.may_delete(queue)


async def test_readers_get_the_events(halo, stage, company):
    await of_others(company)
    worker = await start(stage, company)
    await worker.logged("poll.ended", route="assets", result="complete")  # what was there before it is no event
    reader = company.reader
    assert await reader.may_declare("billing", **{"x-queue-type": "quorum"})
    assert await reader.may_bind("billing", "halo")
    halo.store.create("Asset", {"inventory_number": "SN-9"})
    async with open_broker(reader.url, name="a reader") as broker:
        billing = OtherSystem(broker)
        while (await billing.take("billing")).body.get("inventory_number") != "SN-9":  # events of the route of tickets are there too
            pass
    async with open_broker(company.served.url, name="a reader") as broker:
        assert {letter.body["id"] for letter in await OtherSystem(broker).take_all("events.tickets", 3)} == {1, 2, 3}


async def everything(rabbitmq, amqp_url) -> tuple[list[str], list[str]]:
    """All queues and exchanges of the virtual host."""
    vhost = quote(vhost_of(amqp_url), safe="")

    def names(kind: str) -> list[str]:
        return [str(each["name"]) for each in rabbitmq.api.call("GET", f"/api/{kind}/{vhost}")]

    async def all_there() -> bool:
        return {"halo.claims", "halo.state.tickets.wait", "halo.retry.50ms", "erp.contracts.order"} <= set(names("queues"))

    await until(all_there)
    return names("queues"), names("exchanges")


@pytest.fixture
async def at_work(rabbitmq, amqp_url, stage, company):
    """With a worker that has declared all; its queues and exchanges, and those of others."""
    await of_others(company)
    worker = await start(stage, company)
    await company.admin.broker.declare(
        Topology(queues=(browsable_queue("halo.something.new"), *(() if await company.admin.broker.queue_exists(KEYS) else (browsable_queue(KEYS),))))
    )
    await worker.stop()
    return await everything(rabbitmq, amqp_url)


async def rights_of(user: BrokerUser, queue: str) -> list[bool]:
    """What it may do with a queue: to publish into it, to take from it, to declare and delete it, and to bind it."""
    return [
        await user.may_publish(queue),
        await user.may_take(queue),
        await user.may_declare(queue),
        await user.may_delete(queue),
        await user.may_bind(queue, "erp"),
    ]


async def test_a_sender_may_do_nothing_with_any_queue_and_publish_nowhere_else(company, at_work):
    queues, exchanges = at_work
    assert {queue: rights for queue in queues if (rights := await rights_of(company.sender, queue)) != REFUSED} == {}
    assert [name for name in exchanges if name != "erp" and await company.sender.may_publish("asset.new", name)] == []
    assert [name for name in exchanges if name and not name.startswith("amq.") and await company.sender.may_delete_exchange(name)] == []
    assert not await company.sender.may_declare("mine")
    assert not await company.sender.may(lambda channel: channel.queue_declare("", exclusive=True))
    assert await company.sender.may_publish("asset.new", "erp")


async def test_a_reader_may_do_nothing_with_any_queue_but_its_own(company, at_work):
    queues, exchanges = at_work
    assert {queue: rights for queue in queues if (rights := await rights_of(company.reader, queue)) != REFUSED} == {}
    assert {queue: rights for queue in queues if (rights := await rights_of(company.served, queue)) != REFUSED and queue != "events.tickets"} == {}
    assert [name for name in exchanges for user in (company.reader, company.served) if await user.may_publish("tickets.created", name)] == []
    assert [
        name for name in exchanges if name and name != "halo" and await company.reader.may(lambda channel, name=name: channel.queue_bind("billing", name))
    ] == []


async def test_a_readers_own_queue_is_no_way_into_the_queues_of_the_worker(company, at_work):
    """The broker dead-letters and routes by its own rights, so it must refuse to be told where."""
    del at_work
    reader = company.reader
    assert await reader.may_declare("billing")
    assert not await reader.may_declare("billing.trap", **{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "halo.state.tickets"})
    assert not await reader.may_declare("billing.trap", **{"x-dead-letter-exchange": "erp"})
    assert await reader.may(lambda channel: channel.exchange_declare("billing.own", exchange_type="topic"))
    for exchange in ("amq.default", "erp", "halo"):
        assert not await reader.may(
            lambda channel, to=exchange: channel.exchange_declare("billing.trap", exchange_type="topic", arguments={"alternate-exchange": to})
        )
    assert not await reader.may(lambda channel: channel.exchange_bind("erp", "billing.own", "#"))
    assert not await reader.may_bind("erp.assets", "billing.own")


async def test_the_worker_may_not_touch_queues_of_others_and_this_is_where_its_rights_end(company, at_work):
    del at_work
    for queue in ("payroll", "erp.assets.archive", "billing"):
        assert await rights_of(company.worker, queue) == [True, False, False, False, False], "it publishes by amq.default: every queue is within its reach"
    assert [await company.worker.may_delete("legacy.inbox"), await company.worker.may_bind("legacy.inbox", "erp")] == [False, False]


async def test_a_user_without_any_permission_sees_names_and_depths_and_no_more(company, at_work):
    """Known of RabbitMQ, and said in the documentation: a passive declaration asks for no permission."""
    queues, exchanges = at_work
    assert {queue: rights for queue in queues if (rights := await rights_of(company.stranger, queue)) != REFUSED} == {}
    assert [name for name in exchanges if await company.stranger.may_publish("x", name)] == []
    assert await company.stranger.may(lambda channel: channel.queue_declare("halo.claims", passive=True))


async def test_monitoring_counts_messages_and_cannot_read_them(rabbitmq, amqp_url, company, at_work):
    del company, at_work
    vhost = vhost_of(amqp_url)
    account = next(account for account in accounts_of(Routes()) if account.role == "monitoring")
    with broker_user(rabbitmq, amqp_url, account):
        api = Api(rabbitmq.api.base, f"{vhost}-{account.user}", PASSWORD)
        assert any(queue["name"] == "erp.assets.dead" for queue in api.call("GET", f"/api/queues/{vhost}"))
        publishing = {"properties": {}, "routing_key": "erp.assets.dead", "payload": "", "payload_encoding": "string"}
        for method, path, body in (
            ("POST", f"/api/queues/{vhost}/erp.assets.dead/get", {"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"}),
            ("DELETE", f"/api/queues/{vhost}/erp.assets.dead/contents", None),
            ("POST", f"/api/exchanges/{vhost}/amq.default/publish", publishing),
        ):
            with pytest.raises(HTTPError) as refused:
                api.call(method, path, body)
            assert "refused" in (said := refused.value.read().decode().lower()) or "not_authorised" in said or "not_authorized" in said, said
