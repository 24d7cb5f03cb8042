"""The AsyncAPI document of the routes is whole: each reference leads somewhere, and each queue and exchange of the routes is in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.tools.process import write_routes
from worker.app.asyncapi import document_of
from worker.config.loader import load_routes

AUTH = {"type": "client_credentials", "client_id": "i", "client_secret": "s"}
END = {"end": {"end": "done"}}
RESULT = {"exchange": "answers", "routing_key": "results.plain", "queue": "q 1 results"}
ROUTES = {
    "clients": {"main": {"url": "https://halo.example.com", "auth": AUTH}},
    "subscribers": {
        "tickets": {"client": "main", "entity": "Tickets", "queue": "events"},
        "assets": {"client": "main", "entity": "Asset", "publish": {"exchange": "other", "routing_key": "{{ 'x' }}"}},
    },
    "publishers": {
        "plain": {"client": "main", "queue": "q 1", "entity": "Asset", "bind": [{"exchange": "erp", "routing_key": "asset.#"}], "result": RESULT},
        "made": {
            "client": "main",
            "queue": "q2",
            "entity": "Asset",
            "transform": {"payload": {"inventory_number": "{{ serial }}"}},
            "examples": [{"name": "one", "given": {"serial": "A1"}, "expect": {"request": {"method": "POST"}}}],
        },
    },
    "runbooks": {
        "book": {
            "first": "tell",
            "steps": {"tell": {"publish": {"exchange": "reports", "routing_key": "done"}, "next": "end"}} | END,
            "start": {"queue": "starts", "bind": [{"exchange": "desk", "routing_key": "book.#"}]},
        }
    },
}


@pytest.fixture
def document(tmp_path):
    return document_of(load_routes(write_routes(tmp_path, ROUTES), {}, tmp_path), "amqps://user:secret-of-the-test@broker.example.com:5671/vhost")


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for member in value.values():
            yield from references(member)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def resolved(document: Any, reference: str) -> Any:
    for part in reference.removeprefix("#/").split("/"):
        document = document[part]
    return document


def test_every_reference_leads_to_what_it_names(document):
    found = list(references(document))
    assert len(found) > 20
    for reference in found:
        assert resolved(document, reference)


def test_the_members_are_those_of_asyncapi_3_and_keys_have_its_characters(document):
    assert document["asyncapi"] == "3.0.0"
    assert document.keys() == {"asyncapi", "info", "servers", "defaultContentType", "channels", "operations", "components"}
    for key in (*document["channels"], *document["operations"], *document["components"]["messages"]):
        assert re.fullmatch(r"[A-Za-z0-9._-]+", key)
    for channel in document["channels"].values():
        assert set(re.findall(r"\{(\w+)\}", channel["address"])) == set(channel.get("parameters", {}))
        binding = channel["bindings"]["amqp"]
        assert binding["is"] in {"queue", "routingKey"}
        assert ("queue" in binding) == (binding["is"] == "queue")
    for operation in document["operations"].values():
        assert operation["action"] in {"send", "receive"}
        channel = resolved(document, operation["channel"]["$ref"])
        assert [resolved(document, each["$ref"]) for each in operation["messages"]] == list(channel["messages"].values())


def test_every_queue_and_exchange_of_the_routes_is_in_it(document):
    bindings = [channel["bindings"]["amqp"] for channel in document["channels"].values()]
    assert {each["queue"]["name"] for each in bindings if "queue" in each} == {
        "events", "q 1", "q2", "starts", "q 1.dead", "q2.dead", "starts.dead", "halo.run.book.dead", "halo.dead.tickets", "halo.dead.assets", "halo.unrouted",
        "q 1 results",
    }  # fmt: skip
    assert {(each["exchange"]["name"], each["exchange"]["type"]) for each in bindings if "exchange" in each} == {
        ("halo", "topic"), ("other", "topic"), ("erp", "topic"), ("answers", "topic"), ("reports", "topic"), ("desk", "topic"),
    }  # fmt: skip
    assert document["channels"]["subscriber.tickets"]["parameters"]["change"]["enum"] == ["created", "updated", "deleted", "backfilled"]


def test_a_publisher_without_a_transform_takes_its_shape_and_one_with_examples_shows_them(document):
    messages = document["components"]["messages"]
    assert set(messages["publisher.plain"]["payload"]["properties"]) == {"path", "query", "payload"}
    assert messages["publisher.made"]["examples"] == [{"payload": {"serial": "A1"}}]


def test_a_route_with_results_says_where_they_are_sent(document):
    channel = document["channels"]["result.plain"]
    assert (channel["address"], document["operations"]["send.result.plain"]["action"]) == ("results.plain", "send")
    assert document["components"]["messages"]["result"]["payload"]["properties"]["outcome"] == {"enum": ["done", "skipped", "dead"]}


def test_the_broker_is_named_without_its_credentials(document):
    assert document["servers"] == {"broker": {"host": "broker.example.com:5671", "protocol": "amqps", "pathname": "/vhost"}}
    assert "secret-of-the-test" not in str(document)
