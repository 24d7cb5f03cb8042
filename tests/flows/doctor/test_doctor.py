"""`doctor` names each planted fault with a sentence and a remedy, and writes nothing to Halo."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import pytest

from tests.tools.broker_user import PASSWORD, broker_user
from tests.tools.job import client, publisher, subscriber
from tests.tools.process import write_routes
from tests.tools.rabbitmq import vhost_of
from tests.tools.waiting import until
from worker.app.doctor.check import Check, Subject, Verdict, healthy
from worker.app.doctor.examination import examine
from worker.app.doctor.management import cluster, members
from worker.app.permissions import Account
from worker.broker.open import open_broker
from worker.config.loader import load_routes
from worker.core.clock import SystemClock
from worker.core.topology import Queue, Topology, common_topology
from worker.sandbox.faults import Fault, FaultBody, FaultKind
from worker.sandbox.server import serve
from worker.sandbox.settings import SandboxSettings
from worker.settings import Settings

AUTH = {"type": "client_credentials", "client_id": "sandbox-client", "client_secret": "sandbox-secret"}
ENDPOINT = {"auth": {"type": "basic", "username": "u", "password": "a-long-password-of-the-tests"}}
CALLED = {"first": "end", "steps": {"end": {"end": "done"}}, "start": {"endpoint": ENDPOINT}}


async def checks(tmp_path: Any, routes: dict[str, Any], amqp_url: str = "memory://", **settings: Any) -> list[Check]:
    directory = write_routes(tmp_path, routes)
    given = Settings(amqp_url=amqp_url, routes=directory, **settings)  # type: ignore[arg-type]
    return [check async for check in examine(load_routes(directory, {}, tmp_path), given, SystemClock())]


def of(found: list[Check], name: str) -> Check:
    [check] = [each for each in found if each.name == name]
    return check


def fault(path: str, **more: Any) -> Fault:
    return Fault(FaultKind.ANSWER, "GET", path, times=None, **more)


PLANTED = [  # what the simulated Halo is told, what the client says, the check that fails, a part of its result, a part of its remedy
    ({}, {"auth": AUTH | {"client_secret": "wrong"}}, (), "token", "client_id or client_secret is wrong", "compare client_id and client_secret"),
    ({}, {"auth": AUTH | {"client_id": "wrong"}}, (), "token", "client_id or client_secret is wrong", "compare client_id and client_secret"),
    ({}, {"auth": AUTH | {"scopes": ["read:nothing"]}}, (), "token", "one of the scopes read:nothing is not known", "correct `scopes`"),
    ({}, {"auth": {"type": "password", "client_id": "sandbox-client", "username": "agent", "password": "x"}}, (), "token", "username or password", "correct"),
    ({"tenant_required": True}, {"token_url": "{url}/auth/token"}, (), "token", "", "check the API application in Halo"),
    ({}, {"token_url": "{url}/nowhere"}, (), "token", "a web page", "token_url"),
    ({}, {}, (Fault(FaultKind.ANSWER, "POST", "/auth/token", times=None, status=404),), "token", "no token endpoint", "token_url"),
    ({}, {}, (Fault(FaultKind.HTML, "POST", "/auth/token", times=None),), "token", "a web page", "token_url"),
    ({}, {}, (Fault(FaultKind.ANSWER, "POST", "/auth/token", times=None, status=503),), "token", "answered 503", "whether Halo is up"),
    ({}, {}, (fault("/api/authinfo", status=404),), "discovery", "names no token endpoint", "token_url"),
    ({}, {}, (Fault(FaultKind.RESET, "GET", "/api/authinfo", times=None),), "discovery", "", "the outgoing connections"),
    ({"scopes": ("read:tickets",)}, {}, (), "scopes", "not granted: all; granted: read:tickets", "grant them"),
    ({"scopes": ("read:assets",)}, {"auth": AUTH | {"scopes": ["read:assets"]}}, (), "subscriber tickets", "403", "grant the scope"),
    ({"scopes": ("read:tickets", "read:assets")}, {"auth": AUTH | {"scopes": ["read:tickets", "read:assets"]}}, (), "erp writes", "no scope", "edit:assets"),
    ({"date_offset": 900.0}, {}, (), "clock", "apart: polls by date can miss changes", "NTP"),
    ({}, {}, (fault("/api/Tickets", status=404),), "subscriber tickets", "404: this Halo does not have it", "`entity`"),
    ({}, {}, (fault("/api/Tickets", status=429),), "subscriber tickets", "429", "rate_limit"),
    ({}, {}, (fault("/api/Tickets", status=400, body=FaultBody.STRING),), "subscriber tickets", "status 400: An error", "correct the query"),
    ({}, {}, (Fault(FaultKind.HTML, "GET", "/api/Tickets", times=None),), "subscriber tickets", "not JSON", "api_url"),
    ({}, {}, (fault("/api/Tickets", status=401),), "subscriber tickets", "401", "choose an agent"),
    ({}, {}, (fault("/api/Asset", status=403),), "publisher erp", "403", "grant the scope"),
]  # fmt: skip


@pytest.mark.parametrize(("halo_is", "client_is", "faults", "name", "result", "fix"), PLANTED)
async def test_each_planted_fault_of_halo_is_told_with_its_remedy(tmp_path, halo_is, client_is, faults, name, result, fix):
    async with serve(SandboxSettings(**({"rate_limit": None, "tickets": 3} | halo_is))) as halo:
        for each in faults:
            halo.fault(each)
        said = {key: value.format(url=halo.url) if isinstance(value, str) else value for key, value in client_is.items()}
        routes = {"clients": {"main": client(halo, **said)}, "subscribers": {"tickets": subscriber()}, "publishers": {"erp": publisher()}}
        found = await checks(tmp_path, routes)
        check = of(found, name)
        assert check.verdict is Verdict.FAILED, found
        assert result in check.result
        assert fix in check.fix
        assert not healthy(found)
        assert not [entry for entry in halo.journal.executed("POST") if entry.path.lower().startswith("/asset")]


async def test_all_is_good_where_nothing_is_wrong_and_only_gets_are_sent(tmp_path, amqp_url):
    async with serve(SandboxSettings(rate_limit=None, tickets=300)) as halo:
        routes = {"clients": {"main": client(halo)}, "subscribers": {"tickets": subscriber()}, "publishers": {"erp": publisher()}}
        found = await checks(tmp_path, routes, amqp_url)
        assert healthy(found), found
        assert {check.name for check in found} >= {
            "dns", "discovery", "token", "scopes", "agent", "clock", "subscriber tickets", "page cap", "publisher erp", "erp writes", "openapi",
            "connection", "configure", "write", "queues",
        }  # fmt: skip
        assert "a page has at most 100" in of(found, "page cap").result
        assert {entry.method for entry in halo.journal.executed()} <= {"GET"}
        async with open_broker(amqp_url, name="test") as broker:
            assert not await broker.queue_exists("assets")


async def test_a_name_that_nobody_knows_ends_the_checks_of_its_client(tmp_path):
    main = {"url": "https://nowhere.invalid", "auth": AUTH}
    found = await checks(tmp_path, {"clients": {"main": main}, "subscribers": {"tickets": subscriber()}})
    assert [check.name for check in found if check.subject == "client main"] == ["dns"]
    assert "not known here" in of(found, "dns").result
    assert "`url`" in of(found, "dns").fix


async def test_a_server_without_tls_is_told(tmp_path):
    async with serve(SandboxSettings(rate_limit=None, tickets=1)) as halo:
        main = client(halo) | {"url": halo.url.replace("http://", "https://")}
        found = await checks(tmp_path, {"clients": {"main": main}, "subscribers": {"tickets": subscriber()}})
    assert of(found, "tls").verdict is Verdict.FAILED
    assert "check the port" in of(found, "tls").fix


@pytest.mark.parametrize(
    ("change", "result", "fix"),
    [
        (lambda url: url.rpartition("/")[0] + "/absent", "", "create the virtual host and"),
        (lambda url: "amqp://nobody:wrong@" + url.partition("@")[2], "", "correct user and password"),
        (lambda _: "amqp://guest:guest@127.0.0.1:1/", "", "check host and port"),
    ],
)
async def test_a_broker_that_cannot_be_used_is_told_with_its_remedy(tmp_path, amqp_url, change, result, fix):
    found = await checks(tmp_path, {"runbooks": {"r": CALLED}}, change(amqp_url))
    check = of(found, "connection")
    assert check.verdict is Verdict.FAILED
    assert result in check.result
    assert fix in check.fix
    assert PASSWORD not in check.result


async def test_each_of_several_addresses_is_tried_and_the_queues_are_examined_once(tmp_path, amqp_url):
    away = f"{amqp_url.partition('@')[0]}@127.0.0.1:1/{amqp_url.rpartition('/')[2]}"
    found = await checks(tmp_path, {"runbooks": {"r": CALLED}}, f"{away},{amqp_url},{amqp_url.replace('127.0.0.1', 'localhost')}")
    told = [(check.verdict, check.tried) for check in found if check.name == "connection"]
    port = amqp_url.partition("@")[2].partition("/")[0].rpartition(":")[2]
    assert told == [
        (Verdict.FAILED, "connect to 127.0.0.1:1"),
        (Verdict.GOOD, f"connect to 127.0.0.1:{port}"),
        (Verdict.GOOD, f"connect to localhost:{port}"),
    ]
    assert [check.verdict for check in found if check.name == "queues"] == [Verdict.GOOD]


async def test_a_user_without_rights_is_told(tmp_path, rabbitmq, amqp_url):
    with broker_user(rabbitmq, amqp_url, Account("doctor-patient", "worker", "may nothing")) as user:
        found = await checks(tmp_path, {"runbooks": {"r": CALLED}}, user.url)
    for name in ("configure", "write"):
        assert of(found, name).verdict is Verdict.FAILED
        assert "halo-worker permissions" in of(found, name).fix


async def test_a_policy_that_drops_messages_of_the_worker_is_told(tmp_path, rabbitmq, amqp_url):
    async with open_broker(amqp_url, name="test") as broker:
        await broker.declare(common_topology())
    vhost = quote(vhost_of(amqp_url), safe="")
    policy = {"pattern": "^halo", "definition": {"max-length": 5}, "apply-to": "queues", "priority": 1}
    rabbitmq.api.call("PUT", f"/api/policies/{vhost}/short", policy)

    async def applied() -> bool:
        return any(queue.get("effective_policy_definition") for queue in rabbitmq.api.call("GET", f"/api/queues/{vhost}"))

    await until(applied)  # the management API tells it some seconds late
    parts = urlsplit(rabbitmq.api.base)
    management = urlunsplit(parts._replace(netloc=f"{rabbitmq.api.user}:{rabbitmq.api.password}@{parts.netloc.rpartition('@')[2]}", path=""))
    found = await checks(tmp_path, {"runbooks": {"r": CALLED}}, amqp_url, management_url=management)
    assert of(found, "cluster").verdict is Verdict.WARNING
    assert "1 of 3 nodes" in of(found, "cluster").result
    assert of(found, "policies").verdict is Verdict.FAILED
    assert "max-length of policy short" in of(found, "policies").result
    assert of(found, "members").verdict is Verdict.GOOD
    wrong = await checks(tmp_path, {"runbooks": {"r": CALLED}}, amqp_url, management_url=management.replace(f":{rabbitmq.api.password}@", ":not-this@"))
    assert of(wrong, "cluster").result == "status 401"
    assert "not-this" not in str(wrong)


NODE = {"name": "rabbit@a", "running": True, "mem_alarm": False, "disk_free_alarm": False}
QUEUE = {"name": "halo.claims", "members": ["a", "b", "c"], "online": ["a", "b", "c"]}


@pytest.mark.parametrize(
    ("check", "verdict", "part"),
    [
        (cluster([NODE, NODE | {"name": "rabbit@b", "running": False}], Subject("broker")), Verdict.FAILED, "not running: rabbit@b"),
        (cluster([NODE | {"disk_free_alarm": True}], Subject("broker")), Verdict.FAILED, "an alarm stops publishing: rabbit@a"),
        (cluster([NODE] * 3, Subject("broker")), Verdict.GOOD, "3 nodes run"),
        (members([QUEUE | {"online": ["a"]}], 3, Subject("broker")), Verdict.FAILED, "not online: halo.claims"),
        (members([QUEUE | {"members": ["a"], "online": ["a"]}], 3, Subject("broker")), Verdict.WARNING, "1 queues have fewer"),
        (members([QUEUE], 3, Subject("broker")), Verdict.GOOD, "1 queues"),
    ],
)
def test_the_state_of_a_cluster_is_told(check, verdict, part):
    assert check.verdict is verdict
    assert part in check.result
    assert bool(check.fix) == (verdict is not Verdict.GOOD)


async def test_a_queue_of_another_kind_is_told(tmp_path, amqp_url):
    async with open_broker(amqp_url, name="test") as broker:
        await broker.declare(common_topology() + Topology(queues=(Queue("assets", {"x-queue-type": "classic"}),)))
        async with serve(SandboxSettings(rate_limit=None, tickets=1)) as halo:
            found = await checks(tmp_path, {"clients": {"main": client(halo)}, "publishers": {"erp": publisher()}}, amqp_url)
    check = of(found, "queues")
    assert check.verdict is Verdict.FAILED
    assert "'assets'" in check.result
    assert "Delete what differs" in check.fix
    assert of(found, "read").verdict is Verdict.GOOD


async def test_a_queue_that_a_route_takes_as_it_is_must_be_there(tmp_path, amqp_url):
    async with serve(SandboxSettings(rate_limit=None, tickets=1)) as halo:
        found = await checks(tmp_path, {"clients": {"main": client(halo)}, "publishers": {"erp": publisher(declare=False)}}, amqp_url)
    assert "assets" in of(found, "declared elsewhere").result


async def test_a_taken_public_port_is_told(tmp_path):
    with ExitStack() as stack:
        taken = stack.enter_context(socket.socket())
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        found = await checks(tmp_path, {"runbooks": {"r": CALLED}}, public_port=taken.getsockname()[1])
    assert of(found, "listen").verdict is Verdict.FAILED
    assert "WORKER_PUBLIC_PORT" in of(found, "listen").fix
    assert "cannot reach it from outside" in of(found, "reachable").result
