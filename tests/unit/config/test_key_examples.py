"""Every key of route files has a description and an example, and `check` accepts the example in its place."""

import json
import re
from functools import cache
from pathlib import Path

import pytest

from tests.tools.certificates import private_key
from tests.tools.every import every
from worker.config.key_examples import SECTIONS, read_examples
from worker.config.kinds import KINDS
from worker.config.loader import load_routes
from worker.config.schema import json_schema

schema = cache(json_schema)
key = cache(private_key)
OPENAPI = Path(__file__).parents[1] / "catalogue" / "tiny_openapi.json"
CLIENT = {"url": "https://acme.haloitsm.com", "auth": {"type": "client_credentials", "client_id": "a", "client_secret": "b"}}
SIGNATURE = {"type": "signature", "header": "X-Signature", "secret": "${HOOK_SECRET}"}
PUBLISHER = {"client": "main", "queue": "q", "entity": "Asset"}
SUBSCRIBER = {"client": "main", "entity": "Tickets"}
ERP = {"base_url": "https://erp.example.com", "methods": {"call": {"method": "GET", "path": "/"}}}
GET_CONTROL = {"action": "get_control", "client": "main"}
CLOSE = {"start": {"queue": "close.q"}, "first": "close", "steps": {"close": {**GET_CONTROL, "next": "tell"}, "tell": {"end": "done"}}}
WEBHOOK = {"client": "main", "auth": SIGNATURE, "publish": {}}
ACTION = {"action": "create_action", "client": "main", "body": {"ticket_id": 1, "outcome": "Note"}}
STEPS = {"tell": {"end": "done"}, "give_up": {"end": "failed", "reason": "why"}}


def files(**sections):
    return {"clients": {"main": CLIENT}} | sections


def in_integration(auth):
    return files(integrations={"erp": ERP | {"auth": auth}})


def in_runbook(step, **more):
    """A step with a way to every other step."""
    ways = {"next": [{"when": "{{ status = 200 }}", "go": "tell"}, {"go": "give_up"}]} if "end" not in step and "next" not in step else {}
    first = {"next": [{"when": "{{ Id }}", "go": "here"}, {"when": "{{ X }}", "go": "tell"}, {"go": "give_up"}]}
    inputs = {name: f"request^{name}" for name in ("Items", "Id", "id", "X", "TicketId", "ResponseText", "CustomerId", "OrderId", "Name")}
    steps = {"first": first, "here": {**step, **ways}, **STEPS}
    return files(runbooks={"book": {"start": {"queue": "book.q"}, "input": inputs, "first": "first", "steps": steps}}, **more)


def in_publisher(**members):
    return files(publishers={"assets": PUBLISHER | members})


def in_client(**members):
    return {"clients": {"main": CLIENT | members}}


def in_webhook(**members):
    return files(webhooks={"hook": WEBHOOK | members}, runbooks={"close": CLOSE}, subscribers={"tickets": SUBSCRIBER})


def in_step(key, value):
    """A step that may have this key."""
    if key == "method":
        return in_runbook({key: value}, integrations={"openai": {**ERP, "methods": {"completions": ERP["methods"]["call"]}}})
    if key in {"end", "reason"}:
        return in_runbook({"end": "failed"} | {key: value})
    if key in {"set", "wait", "publish"}:
        return in_step("start", "onboarding") if value is True else in_runbook({key: value})
    if key in {"start", "input"}:
        other = {"input": {"TicketId": "request^id"}, "first": "end", "steps": {"end": {"end": "done"}}}
        given = {"start": "onboarding", "input": {"TicketId": 1}} | {key: value}
        return in_runbook(given) | {"runbooks": in_runbook(given)["runbooks"] | {"onboarding": other}}
    if key in {"for_each", "as", "do", "parallel", "into", "failures"}:
        return in_runbook({"for_each": "<<X>>", "do": "tell", "next": "give_up"} | {key: value} | ({"next": "tell"} if key == "do" else {}))
    if key == "query":
        return in_runbook(ACTION | {key: value, "allow_unknown": True})
    if key == "required":
        return in_runbook({**ACTION, key: value, "body": ACTION["body"] | dict.fromkeys(value, 1), "allow_unknown": value})
    return in_runbook(ACTION | {key: value})


def in_find(key, value):
    find = {"query": {"search": "x"}, "match": {"inventory_number": "x"}, key: value}
    if key == "path":
        return in_publisher(entity="Client/{id}/devices", allow_unknown=True, request={"path": {"id": 1}}, find=find)
    return in_publisher(find=find)


def in_request(key, value):
    entity = {"path": "Client/{id}", "query": "Tickets"}[key]
    return files(subscribers={"a": SUBSCRIBER | {"entity": entity, "request": {key: value}}})


def in_method(key, value):
    method = {"method": "POST", "path": "/orders", "body": {"a": 1}} | {key: value}
    if key == "method" and value == "GET":
        del method["body"]
    if key == "body_kind":
        method["body"] = "text" if value == "text" else {"a": "1"}
    if key == "pages":
        method = {"method": "GET", "path": "/orders", key: value}
    return in_runbook({"method": "erp.call"}, integrations={"erp": ERP | {"methods": {"call": method}}})


def in_login(key, value):
    auth = {"type": "login", "method": "login", "token": "response^token!", "username": "u", "password": "p"} | {key: value}
    return files(integrations={"erp": ERP | {"auth": auth, "methods": {**ERP["methods"], "login": {"method": "POST", "path": "/login"}}}})


def in_customers(customers):
    tables = {"tenants": {"ACME": {"url": "acme.example.com"}}}
    return files(tables=tables, integrations={"erp": ERP | {"base_url": "https://{{ $customer.url }}", "customers": customers}})


def in_oauth2(key, value):
    auth = {"type": "oauth2", "token_url": "https://erp.example.com/token", "client_id": "a"} | {key: value}
    if key in {"private_key", "key_id", "algorithm", "assertion_audience"}:
        return in_integration({"client_auth": "private_key_jwt", "private_key": "${file:own.pem}"} | auth)
    password = {"grant": "password", "username": "u", "password": "p"} if key in {"username", "password", "grant"} else {}
    return in_integration({"client_secret": "b"} | password | auth)


def in_pages(key, value):
    pages = {} if key in {"next", "page", "cursor"} else {"page": "p"} if key == "first" else {"next": "link"}
    return in_list(pages | {key: value})


def in_list(pages):
    return files(integrations={"erp": ERP | {"methods": {"list": {"method": "GET", "path": "/", "pages": pages}}}})


def in_publisher_key(key, value):
    if key == "method" and value == "DELETE":
        return in_publisher(method=value, entity="Asset/{id}")
    if key == "entity" and "{" in value:
        return in_publisher(entity=value, method="DELETE")
    more = {"allow_unknown": True} if key == "request" else {}
    if key == "required":
        more["transform"] = {"payload": dict.fromkeys(value, 1)}
    return in_publisher(**more | {key: value})


def in_subscriber_key(key, value):
    more = {}
    if key == "report":
        return files(subscribers={"rows": {"client": "main", "key": ["id"], key: value}})
    if key == "for_each":
        return in_for_each(**value)
    if key == "deletes_limit":
        more = {"deletes": True}
    if key == "entity" and "{" in value:
        more = {"request": {"path": {"id": 1}}}
    if key == "input_transform":
        more = {"allow_unknown": True}
    if key == "required":
        more = {"transform": dict.fromkeys(value, 1)}
    return files(subscribers={"tickets": SUBSCRIBER | more | {key: value}})


def in_for_each(**parents):
    route = {"client": "main", "entity": "Actions", "request": {"query": {"ticket_id": "{{ $parent.id }}"}}, "for_each": {"entity": "Tickets"} | parents}
    return files(subscribers={"notes": route})


def in_include(key, value):
    entity = "Client/{id}/devices" if key == "path" else "Actions"
    needed = {"path": {"id": "{{ client_id }}"}} if key == "path" else {"query": {"ticket_id": "{{ id }}"}}
    route = SUBSCRIBER | {"allow_unknown": True, "include": {"list": {"entity": entity} | needed | {key: value}}}
    return files(subscribers={"tickets": route})


def in_report(key, value):
    sql = "SELECT TOP 5000 id, changed FROM t WHERE changed >= '{{ $cursor }}' ORDER BY changed"
    route = {"client": "main", "report": {"sql": sql, "cursor": "changed"} | {key: value}, "key": ["id"]}
    return files(subscribers={"rows": route})


def in_example(**members):
    return in_publisher(examples=[{"given": {"a": 1}, "expect": {"request": {"method": "POST"}}} | members])


def in_expect(key, value):
    """The example of a route that has such a result."""
    expect = {"dead": "transform", key: value} if key == "reason" else {key: value}
    example = {"given": {"id": 1}, "expect": expect}
    if key == "events":
        return files(runbooks={"close": CLOSE | {"examples": [example]}})
    if key == "event":
        return files(subscribers={"tickets": SUBSCRIBER | {"examples": [example]}})
    return in_webhook(examples=[example]) if key in {"runbook", "wake"} else in_publisher(examples=[example])


def in_answers(key, value):
    if key == "answers":
        call = {"method": {"method": "POST", "path": "/"}}
        book = {"start": {"queue": "b.q"}, "first": "a", "steps": {"a": {"method": "openai.completions"}}}
        example = {"given": {}, "answers": value, "expect": {"requests": []}}
        return files(integrations={"openai": ERP | {"methods": {"completions": call["method"]}}}, runbooks={"book": book | {"examples": [example]}})
    if key == "change":
        return files(subscribers={"tickets": SUBSCRIBER | {"examples": [{"given": {}, "expect": {"skipped": True}, key: value}]}})
    return in_example(**{key: value})


PLACES = {
    "AnswerDefinition": lambda key, value: in_example(answers={"GET /Asset": {key: value}}),
    "ExampleDefinition": in_answers,
    "ExpectDefinition": in_expect,
    "ExpectedEvent": lambda key, value: in_expect("event", {key: value}),
    "ExpectedRequest": lambda key, value: in_expect("request", {key: value}),
    "ApiKeyAuth": lambda key, value: in_integration({"type": "api_key", "name": "X-Key", "value": "v", "in": "header"} | {key: value}),
    "BasicAuth": lambda key, value: in_integration({"type": "basic", "username": "a", "password": "b"} | {key: value}),
    "BearerAuth": lambda key, value: in_integration({"type": "bearer", "token": "t"} | {key: value}),
    "Bind": lambda key, value: in_publisher(bind=[{"exchange": "e"} | {key: value}]),
    "CallerBasic": lambda key, value: in_webhook(auth={"type": "basic", "username": "a", "password": "${HOOK_PASSWORD}"} | {key: value}),
    "CallerSignature": lambda key, value: in_webhook(
        auth={"type": "signature", "header": "X-S"} | ({} if key in {"secret", "secrets"} else {"secret": "${HOOK_SECRET}"}) | {key: value}
    ),
    "ClientCredentials": lambda key, value: in_client(auth=CLIENT["auth"] | {key: value}),
    "ClientDefinition": lambda key, value: in_client(**{key: value}),
    "CursorDefinition": lambda key, value: in_list({"cursor": {"parameter": "after", "value": "response^next"} | {key: value}}),
    "CustomersDefinition": lambda key, value: in_customers({"table": "tenants", "row": "<<Customer>>"} | {key: value}),
    "EndpointDefinition": lambda key, value: files(runbooks={"close": CLOSE | {"start": {"endpoint": {key: value}}}}),
    "FindDefinition": in_find,
    "HaloAuth": lambda key, value: files(integrations={"own": {"auth": {"type": "halo", "client": "main"} | {key: value}, "methods": ERP["methods"]}}),
    "IntegrationDefinition": lambda key, value: (
        in_customers(value) if key == "customers" else files(integrations={"erp": ERP | ({"cert_file": "c.pem"} if key == "key_file" else {}) | {key: value}})
    ),
    "LoginAuth": in_login,
    "MethodDefinition": in_method,
    "NoAuth": lambda key, value: in_integration({key: value}),
    "OAuth2Auth": in_oauth2,
    "PagesDefinition": in_pages,
    "Password": lambda key, value: in_client(auth={"type": "password", "client_id": "a", "username": "u", "password": "p"} | {key: value}),
    "Publish": lambda key, value: files(subscribers={"a": SUBSCRIBER | {"publish": {key: value}}}),
    "Result": lambda key, value: in_publisher(result={"routing_key": "results"} | {key: value}),
    "PublisherDefinition": in_publisher_key,
    "PushDefinition": lambda key, value: in_webhook(publish={key: value}),
    "ForEachDefinition": lambda key, value: in_for_each(**{key: value}),
    "IncludeDefinition": in_include,
    "ReportDefinition": in_report,
    "Request": in_request,
    "RunbookDefinition": lambda key, value: files(runbooks={"close": CLOSE | {"input": {"TicketId": "request^id"}} | {key: value}}),
    "StartDefinition": lambda key, value: files(runbooks={"close": CLOSE | {"start": {"queue": "close.q"} | {key: value}}}),
    "StepDefinition": in_step,
    "PublicationDefinition": lambda key, value: in_runbook({"publish": {"routing_key": "k", key: value}}),
    "SubscriberDefinition": in_subscriber_key,
    "WakeDefinition": lambda key, value: in_webhook(wake={"subscriber": "tickets"} | {key: value}),
    "WebhookDefinition": lambda key, value: in_webhook(**{key: value}),
}
"""A whole route file around the example of a key, by definition."""


def examples():
    for definition, its in schema()["$defs"].items():
        for key, member in its["properties"].items():
            yield from ((definition, key, example) for example in member.get("examples", []))


@pytest.fixture
def accepted(tmp_path):
    """Loads a route file; gives its warnings."""

    def run(document):
        text = json.dumps(document)
        (tmp_path / "routes").mkdir(exist_ok=True)
        (tmp_path / "routes" / "a.yaml").write_text(text)
        (tmp_path / "routes" / "openapi.json").write_bytes(OPENAPI.read_bytes())
        (tmp_path / "routes" / "models.csv").write_text("code,name\nX1,Thinkpad\n")
        for name in re.findall(r"\$\{file:([\w.-]+)\}", text):
            (tmp_path / name).write_text(key() if name.endswith(".pem") else "a-secret-of-the-test")
        environment = {name: f"a-value-of-the-test-{name}" for name in re.findall(r"\$\{(\w+)\}", text)}
        return load_routes(tmp_path / "routes", environment, tmp_path).warnings

    return run


def keys(part):
    """Every key at any depth of a part of the schema, with what it says."""
    if isinstance(part, dict):
        for name, member in part.get("properties", {}).items():
            yield name, member
        for member in part.values():
            yield from keys(member)
    elif isinstance(part, list):
        for member in part:
            yield from keys(member)


def test_every_key_has_a_description_and_an_example():
    assert [name for name, member in keys(schema()) if not (member.get("description") and member.get("examples"))] == []


def test_no_example_is_for_a_key_that_is_not_there():
    written = {(definition, key) for definition, its in read_examples().items() if definition != SECTIONS for key in its}
    assert written - {(definition, key) for definition, its in schema()["$defs"].items() for key in its["properties"]} == set()
    assert set(read_examples()[SECTIONS]) == set(KINDS)


@every(("definition", "key", "example"), examples)
def test_check_accepts_each_example(accepted, definition, key, example):
    assert accepted(PLACES[definition](key, example)) == ()


@every("section", lambda: schema()["properties"])
def test_check_accepts_the_example_of_each_section(accepted, section):
    document = files(**{section: schema()["properties"][section]["examples"][0]})
    assert accepted(document) == ()
