"""Alerts and dashboard ask for what the worker exports, and the dashboard shows all of it."""

import json
import re
from collections import Counter
from itertools import combinations
from pathlib import PurePosixPath

import pytest

from tests.tools.every import every
from tests.unit.deploy.manifests import TOP, document
from tests.unit.deploy.promql import families, mistakes, parsed, result_labels, selectors
from worker.cli.main import app
from worker.core.permit_topology import pause_queue, permits_queue
from worker.core.topology import CLAIMS, UNROUTED, dead_queue, known_stream, retry_queue, state_queue, subscriber_dead_queue, wait_queue
from worker.flows.ordered.consumer import MAX_WAITING_BY_CUSTOMER, MAX_WAITING_BY_KEY
from worker.settings import Settings

MONITORING = TOP / "docker" / "monitoring"
DASHBOARD_FILE = MONITORING / "grafana" / "dashboards" / "halo-worker.json"
DASHBOARD = json.loads(DASHBOARD_FILE.read_text("utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
TARGETS = [(panel["title"], target["expr"], target["legendFormat"]) for panel in PANELS for target in panel["targets"]]
RULES = [rule for group in document(MONITORING / "alerts.yaml")["groups"] for rule in group["rules"]]
ASKED = [*((title, expr) for title, expr, _ in TARGETS), *((rule["alert"], rule["expr"]) for rule in RULES)]
PROMETHEUS = document(MONITORING / "prometheus.yaml")
SERVICES = document(TOP / "docker" / "compose.yaml")["services"]
QUEUES = [
    "erp.assets",
    retry_queue(10.0),
    state_queue("tickets"),
    wait_queue("tickets"),
    known_stream("tickets"),
    CLAIMS,
    permits_queue("acme"),
    pause_queue("acme"),
]
DEAD = [dead_queue("erp.assets"), dead_queue("halo.run.ask"), subscriber_dead_queue("tickets")]


def titled(pairs):
    return every(("title", "expression"), pairs, ids=[title for title, _ in pairs])


@titled(ASKED)
def test_an_expression_asks_for_what_the_worker_exports(title, expression):
    assert list(mistakes(expression)) == []


@every("family", sorted(families()))
def test_the_dashboard_shows_every_metric(family):
    shown = {selector.name for _, expression, _ in TARGETS for selector in selectors(expression)}
    assert shown & families()[family], (
        f"{family} is on no panel: add a target to a panel of {DASHBOARD_FILE.relative_to(TOP)}, and an alert to docker/monitoring/alerts.yaml when somebody has to act on it"
    )


@pytest.mark.parametrize(
    "wrong",
    [
        "halo_worker_messages",
        'halo_worker_messages_total{result="buried"}',
        'halo_worker_messages_total{result=~"dead_.+|gone"}',
        'halo_worker_messages_total{client="main"}',
        "sum by (client) (halo_worker_messages_total)",
        "rate(halo_worker_known_records[5m])",
        "halo_worker_broker_up * on (route) halo_worker_client_up",
    ],
)
def test_a_wrong_expression_would_be_seen(wrong):
    assert list(mistakes(wrong))


@every(("title", "expression", "legend"), TARGETS)
def test_a_legend_names_labels_of_its_result(title, expression, legend):
    labels = result_labels(expression)
    assert labels is None or set(re.findall(r"\{\{(\w+)\}\}", legend)) <= labels


@every("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_it_is_and_what_to_do(rule):
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert set(rule["annotations"]) == {"summary", "description"}
    assert rule["labels"]["severity"] in {"critical", "warning"}
    named = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
    labels = result_labels(rule["expr"])
    assert labels is None or named <= labels


@every("rule", [rule for rule in RULES if "for" not in rule and "increase(" in rule["expr"]], ids=lambda rule: rule["alert"])
def test_an_alert_at_once_sees_the_first_event_of_a_counter(rule):
    """`increase` does not: the series begins at 1. Where more than one event is asked for, the second shows it."""
    assert " offset " in rule["expr"] or re.search(r"> [1-9]\d*$", rule["expr"])


def test_a_full_waiting_queue_is_told_a_little_below_the_limits_of_the_worker():
    (rule,) = [rule for rule in RULES if "ordered_waiting" in rule["expr"]]
    turns, order = (int(number) for number in re.findall(r">= (\d+)", rule["expr"]))
    assert 0.8 * MAX_WAITING_BY_CUSTOMER < turns < MAX_WAITING_BY_CUSTOMER
    assert 0.8 * MAX_WAITING_BY_KEY < order < MAX_WAITING_BY_KEY


def test_an_alert_names_commands_that_exist():
    text = " ".join(rule["annotations"]["description"] for rule in RULES)
    there = {command.name or command.callback.__name__ for command in app.registered_commands} | {group.name for group in app.registered_groups}
    assert set(re.findall(r"halo-worker ([a-z]+)", text)) <= there


def test_every_alert_has_a_name_of_its_own():
    assert [name for name, times in Counter(rule["alert"] for rule in RULES).items() if times > 1] == []


@every(
    "fault",
    [
        "broker_up",
        "client_up",
        "consuming",
        "cursor_lost",
        "last_complete_poll",
        "messages_total",
        "token_calls",
        "budget_waiting",
        "parked_records",
        "unrouted",
        "refused_state",
        "ordered_waiting",
    ],
)
def test_somebody_is_told_of(fault):
    assert [rule["alert"] for rule in RULES if f"halo_worker_{fault}" in rule["expr"]]


def test_dead_queues_and_no_others_are_watched_as_such():
    """In alerts and on the dashboard, by the names that the topology gives them."""
    patterns = [
        (matcher.value, str(matcher.op))
        for _, expression in ASKED
        for selector in selectors(expression)
        for matcher in selector.matchers.matchers
        if matcher.name == "queue"
    ]
    dead = [value for value, op in patterns if op == "MatchOp.Re"]
    others = [value for value, op in patterns if op == "MatchOp.NotRe"]
    assert dead
    assert others
    for pattern in dead:
        assert [name for name in DEAD if not re.fullmatch(pattern, name)] == []
        assert [name for name in QUEUES if re.fullmatch(pattern, name)] == []
    for pattern in others:
        assert [name for name in [*DEAD, *QUEUES[2:]] if not re.fullmatch(pattern, name)] == []
        assert [name for name in [*QUEUES[:2], UNROUTED] if re.fullmatch(pattern, name)] == []


def test_the_panels_have_numbers_of_their_own_and_do_not_overlap():
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    apart = [
        one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"] or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        for one, other in combinations(places, 2)
    ]
    assert all(apart)


def test_the_dashboard_uses_the_variables_that_it_offers():
    offered = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD["panels"]))) - {"__rate_interval"}
    assert used == offered


def test_the_variables_offer_what_the_worker_exports():
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["definition"]).groups()
            assert list(mistakes(f"sum by ({label}) ({metric})")) == []
            assert variable["query"]["query"] == variable["definition"]


def mounted(service):
    """Where the service of the compose file finds our files; a volume that has a name is none."""
    mounts = [mount.split(":") for mount in SERVICES[service]["volumes"] if mount.startswith((".", "/"))]
    return {(TOP / "docker" / source).resolve(): PurePosixPath(target) for source, target, *_ in mounts}


def test_grafana_finds_prometheus_and_the_dashboard():
    grafana = MONITORING / "grafana"
    (source,) = document(grafana / "provisioning" / "datasources" / "prometheus.yaml")["datasources"]
    (offered,) = [variable["current"]["value"] for variable in DASHBOARD["templating"]["list"] if variable["name"] == "datasource"]
    assert (source["uid"], source["type"]) == (offered, "prometheus")
    assert source["url"].removeprefix("http://").partition(":")[0] in SERVICES
    (provider,) = document(grafana / "provisioning" / "dashboards" / "halo-worker.yaml")["providers"]
    assert mounted("grafana") == {
        grafana / "provisioning": PurePosixPath("/etc/grafana/provisioning"),
        grafana / "dashboards": PurePosixPath(provider["options"]["path"]),
    }


def test_prometheus_of_the_compose_file_finds_its_files():
    places = mounted("prometheus")
    configuration = places[MONITORING / "prometheus.yaml"]
    assert str(configuration) == "/etc/prometheus/prometheus.yml", "the image starts with this one"
    assert [configuration.parent / name for name in PROMETHEUS["rule_files"]] == [places[MONITORING / name] for name in PROMETHEUS["rule_files"]]


def test_prometheus_reads_the_alerts_and_every_service_by_its_name():
    assert [name for name in PROMETHEUS["rule_files"] if not (MONITORING / name).is_file()] == []
    (worker,) = [job for job in PROMETHEUS["scrape_configs"] if job["job_name"] == "halo-worker"]
    (found,) = worker["dns_sd_configs"]
    assert found["port"] == Settings().admin_port
    static = [target for job in PROMETHEUS["scrape_configs"] for config in job.get("static_configs", ()) for target in config["targets"]]
    assert {*found["names"], *(target.partition(":")[0] for target in static)} <= set(SERVICES)


def test_every_expression_can_be_read():
    assert all(parsed(expression) is not None for _, expression in ASKED)
