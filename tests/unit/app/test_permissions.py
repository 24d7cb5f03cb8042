"""The permissions that are computed fit what the topology needs, and nothing beside it."""

from __future__ import annotations

import json
import re
import shlex
import sys

import pytest

from tests.tools.every import every
from tests.tools.job import publisher, subscriber
from tests.tools.process import write_routes
from worker.app.permissions import NOTHING, accounts_of, warnings_of
from worker.cli.main import main
from worker.config.loader import load_routes
from worker.core.errors import ConfigError
from worker.core.permit_topology import issuer_lock, permits_topology
from worker.core.topology import (
    Topology,
    baton_topology,
    bootstrap_lock,
    bootstrap_marker,
    common_topology,
    dead_queue,
    echoes_topology,
    letters_lock,
    order_lock,
)
from worker.flows.hooks.effects import webhook_topology
from worker.flows.ordered.consumer import ordered_publisher_topology
from worker.flows.polling.subscriber import subscriber_topology
from worker.flows.running.starting import runbook_topology
from worker.flows.writes.publisher import publisher_topology

CLIENT = {"url": "http://127.0.0.1:1", "auth": {"type": "client_credentials", "client_id": "id", "client_secret": "planted-secret"}}
SIGNED = {"type": "signature", "header": "Token", "secret": "planted-secret-of-the-door"}
RUNBOOK = {"start": {"queue": "desk.asks"}, "first": "end", "steps": {"end": {"end": "done"}}}
RESULT = {"exchange": "answers", "routing_key": "results.erp", "queue": "erp.answers"}
DEFINITION = {
    "clients": {"main": CLIENT},
    "subscribers": {"tickets": subscriber(queue="events.tickets"), "agents": subscriber(entity="Agent", queue=None, publish={"exchange": "people"})},
    "publishers": {
        "erp": publisher(queue="erp.assets", bind=[{"exchange": "erp", "routing_key": "asset.#"}], retry=["500ms", "5s", "10m", "1h", "2d"], result=RESULT),
        "kept": publisher(queue="erp.contracts", bind=[{"exchange": "erp", "routing_key": "contract.#"}], order_by="{{ id }}"),
        "theirs": publisher(queue="legacy.inbox", declare=False),
        "odd": publisher(queue="a(b)|.*[x]"),
    },
    "runbooks": {
        "ask": RUNBOOK,
        "nightly": {
            "start": {"queue": "nightly.starts", "schedule": "0 3 * * *", "bind": [{"exchange": "clock", "routing_key": "night"}]},
            "first": "each",
            "steps": {
                "each": {"for_each": "{{ request.items }}", "do": "tell", "parallel": 2},
                "tell": {"publish": {"exchange": "reports", "routing_key": "done"}, "next": "pause"},
                "pause": {"wait": "3d"},
            },
        },
    },
    "webhooks": {"hook": {"client": "main", "auth": SIGNED, "runbook": "ask", "publish": {"exchange": "hooks"}}},
}


@pytest.fixture
def routes(tmp_path):
    return load_routes(write_routes(tmp_path, DEFINITION), {}, tmp_path)


@pytest.fixture
def accounts(routes):
    return {account.user: account for account in accounts_of(routes, ["billing", "stock=halo"])}


def allows(expression: str, name: str) -> bool:
    """As RabbitMQ asks: it searches for a match anywhere in the name."""
    return re.search(expression, name) is not None


def topology_of(routes) -> Topology:
    """Everything that a worker with these routes declares."""
    whole = common_topology() + echoes_topology() + permits_topology("tenant")
    for subscribed in routes.subscribers.values():
        whole += subscriber_topology(subscribed) + baton_topology(subscribed.name)
    for route in routes.publishers.values():
        whole += publisher_topology(route) if route.order_by is None else ordered_publisher_topology(route)
    whole += sum((runbook_topology(runbook) for runbook in routes.runbooks.values()), start=Topology())
    return whole + sum((webhook_topology(hook) for hook in routes.webhooks.values()), start=Topology())


def test_the_worker_may_declare_and_lock_everything_that_its_routes_need(routes, accounts):
    whole, may = topology_of(routes), accounts["halo-worker"]
    locks = [
        bootstrap_lock("tickets"),
        bootstrap_marker("tickets"),
        issuer_lock("tenant"),
        order_lock("erp.contracts"),
        "halo.keys",
        "halo.keys.lock",
        "halo.keys.made",
    ]
    declared = [queue.name for queue in whole.queues if not queue.passive] + [exchange.name for exchange in whole.exchanges] + locks
    assert [name for name in declared if not allows(may.configure, name)] == []


def test_the_worker_may_bind_publish_and_consume_what_its_routes_need(routes, accounts):
    whole, may = topology_of(routes), accounts["halo-worker"]
    handing_on = [queue.name for queue in whole.queues if "x-dead-letter-exchange" in queue.arguments]
    consumed = ["halo.claims", "halo.echoes", "halo.keys", "halo.state.tickets", "halo.state.tickets.known", "legacy.inbox", "erp.contracts.order"]
    written = ["amq.default", "halo", "people", "hooks", "answers", *(binding.queue for binding in whole.bindings)]
    assert [name for name in (*handing_on, *consumed, *(binding.exchange for binding in whole.bindings)) if not allows(may.read, name)] == []
    assert [name for name in written if not allows(may.write, name)] == []


@every(
    "name",
    ["erp.assets.archive", "xerp.assets", "erp.assets.dead.x", "erp", "erpxassets", "billing", "amq.topic", "halox", "my.halo.claims", "erp.assets.retry.5s.old",
     "a(b)|", "x", "legacy.inbox.archive", "events.tickets.dead", "erp.assets.dead.lock"],
)  # fmt: skip
def test_the_worker_may_not_read_what_only_looks_like_its_own(accounts, name):
    may = accounts["halo-worker"]
    assert not allows(may.configure, name) or name == "erp"
    assert not allows(may.read, name) or name == "erp"
    assert not allows(may.write, name)


def test_a_queue_that_the_worker_does_not_declare_is_consumed_and_neither_deleted_nor_bound(accounts):
    may = accounts["halo-worker"]
    assert [allows(expression, "legacy.inbox") for expression in (may.configure, may.write, may.read)] == [False, False, True]
    assert allows(may.configure, "legacy.inbox.dead")


def test_an_operator_reads_dead_letters_and_not_the_work(routes, accounts):
    may = accounts["halo-operator"]
    queues = [route.queue for route in routes.publishers.values()] + ["desk.asks"]
    assert [name for queue in queues for name in (queue, f"{queue}.retry.5s", f"{queue}.order") if allows(may.read, name) or allows(may.configure, name)] == []
    assert [name for name in map(dead_queue, queues) if not allows(may.read, name) or not allows(may.configure, letters_lock(name))] == []
    assert [name for name in map(dead_queue, queues) if allows(may.configure, name)] == []
    worker = accounts["halo-worker"]
    assert [name for name in map(dead_queue, queues) if not allows(worker.configure, letters_lock(name)) or not allows(worker.read, name)] == []


def test_a_sender_may_publish_to_its_exchange_and_do_nothing_else(accounts):
    senders = {name: account for name, account in accounts.items() if account.role == "sender"}
    assert list(senders) == ["sender-clock", "sender-erp"]
    assert (senders["sender-erp"].configure, senders["sender-erp"].write, senders["sender-erp"].read) == (NOTHING, "^erp$", NOTHING)


def test_a_queue_for_results_has_a_reader(accounts):
    assert accounts["reader-erp.answers"].read == r"^erp\.answers$"


def test_a_reader_may_consume_its_queue_or_declare_its_own(accounts):
    served, own, narrow = accounts["reader-events.tickets"], accounts["reader-billing"], accounts["reader-stock"]
    assert (served.configure, served.write, served.read) == (NOTHING, NOTHING, r"^events\.tickets$")
    assert (own.configure, own.write, own.read) == (r"^billing(\..*)?$", r"^billing(\..*)?$", r"^(billing(\..*)?|answers|halo|hooks|people|reports)$")
    assert narrow.read == r"^(stock(\..*)?|halo)$"


@pytest.mark.parametrize(
    ("reader", "said"),
    [
        ("halo", "'halo' is the worker's"),
        ("halo.mine", "'halo.mine' is the worker's"),
        ("erp.assets.dead", "'erp.assets.dead' is the worker's"),
        ("events", "'events.tickets' is the worker's: name another queue"),
        ("amq", "'amq.default' is the worker's: name another queue"),
        ("", "name a queue, such as `--reader billing`"),
        ("billing=hallo", "exchange 'hallo' carries no events; did you mean halo?"),
    ],
)
def test_a_reader_whose_names_would_reach_into_the_workers_is_refused(routes, reader, said):
    with pytest.raises(ConfigError) as refused:
        accounts_of(routes, [reader])
    assert said in str(refused.value)


def test_queues_that_no_sender_can_reach_narrowly_and_mixed_exchanges_are_told(tmp_path, routes):
    told = warnings_of(routes)
    assert [line.split()[1] for line in told] == ["legacy.inbox", "a(b)|.*[x]", "desk.asks"]
    mixed = DEFINITION | {"publishers": {"erp": publisher(bind=[{"exchange": "halo", "routing_key": "#"}])}, "runbooks": {}, "webhooks": {}}
    both = load_routes(write_routes(tmp_path, mixed), {}, tmp_path)
    assert warnings_of(both) == ("exchange halo carries the worker's events and feeds a queue of the worker: a user who may write to it can forge events",)
    assert [account.user for account in accounts_of(both) if account.role == "sender"] == []


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    directory = write_routes(tmp_path, DEFINITION)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["halo-worker", "permissions", str(directory), *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    return run


def test_the_command_prints_every_account_in_all_three_forms(command, accounts):
    readers = ("--reader", "billing", "--reader", "stock=halo")
    code, table, told = command(*readers)
    assert (code, told.count("warning: ")) == (0, 3)
    _, commands, _ = command(*readers, "--ctl", "--vhost", "my host")
    _, document, silent = command(*readers, "--json")
    listed = {each["user"]: each for each in json.loads(document)["accounts"]}
    granted = {line[4]: line for line in map(shlex.split, commands.splitlines()) if line[1] == "set_permissions"}
    for user, account in accounts.items():
        assert all(text in table for text in (user, account.configure, account.write, account.read))
        assert granted[user][2:] == ["-p", "my host", user, account.configure, account.write, account.read]
        assert (listed[user]["configure"], listed[user]["write"], listed[user]["read"]) == (account.configure, account.write, account.read)
    assert shlex.split(commands.splitlines()[-1]) == ["rabbitmqctl", "set_user_tags", "halo-monitoring", "monitoring"]
    assert len(json.loads(document)["warnings"]) == 3
    assert silent == ""


def test_the_command_refuses_two_forms_at_once(command):
    code, out, err = command("--ctl", "--json")
    assert (code, out) == (2, "")
    assert "exclude each other" in err
