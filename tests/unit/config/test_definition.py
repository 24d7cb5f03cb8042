"""A definition and the object that it becomes: members of the same name are taken over, so none may be lost and no default may differ."""

import dataclasses

import pytest

from tests.tools.every import every
from worker.config.automation import CallerAuth, IntegrationAuth, Method, Runbook, Step, Wake, Webhook
from worker.config.callers import CallerBasic, CallerSignature
from worker.config.clients import ClientCredentials, ClientDefinition, Password
from worker.config.compiled import Find
from worker.config.definition import annotation_of, mark_of
from worker.config.integration_auth import ApiKeyAuth, BasicAuth, BearerAuth, HaloAuth, LoginAuth, NoAuth, OAuth2Auth
from worker.config.integration_parts import Login, PagingRule
from worker.config.lookups import FindDefinition
from worker.config.method_pages import PagesDefinition
from worker.config.methods import MethodDefinition
from worker.config.publishers import PublisherDefinition
from worker.config.routes import Client, Grant, Publisher, Subscriber
from worker.config.runbooks import RunbookDefinition
from worker.config.steps import StepDefinition
from worker.config.subscribers import SubscriberDefinition
from worker.config.webhooks import WakeDefinition, WebhookDefinition
from worker.core.errors import ConfigError

MADE = [
    (ClientDefinition, Client, {"auth", "openapi"}),
    (ClientCredentials, Grant, set()),
    (Password, Grant, set()),
    (SubscriberDefinition, Subscriber, {"entity", "publish", "allow_unknown", "missing"}),
    (PublisherDefinition, Publisher, {"method", "entity", "allow_unknown", "missing"}),
    (FindDefinition, Find, set()),
    *((auth, IntegrationAuth, set()) for auth in (NoAuth, BasicAuth, BearerAuth, ApiKeyAuth, OAuth2Auth, HaloAuth)),
    (LoginAuth, Login, {"type", "username", "password"}),
    (PagesDefinition, PagingRule, {"max"}),
    (MethodDefinition, Method, {"method", "missing"}),
    (StepDefinition, Step, {"next", "allow_unknown", "missing", *["for_each", "item", "do", "parallel", "into", "failures", "input"]}),
    (RunbookDefinition, Runbook, {"start"}),
    (CallerBasic, CallerAuth, set()),
    (CallerSignature, CallerAuth, {"secret"}),
    (WebhookDefinition, Webhook, {"publish"}),
    (WakeDefinition, Wake, set()),
]
"""Definition, object, and the members that the compiler gives another name or shape."""
RESOLVED = {"every", "changes", "details", "key", "ignore", "concurrency", "body_kind", "secrets", "find", "method", "request", "required", "page", "cursor"}
"""Members whose value depends on others."""


@every(("definition", "target", "renamed"), MADE, ids=lambda value: getattr(value, "__name__", ""))
def test_no_member_of_a_definition_is_lost(definition, target, renamed):
    assert definition.model_fields.keys() - {field.name for field in dataclasses.fields(target)} == renamed


@every(("definition", "target", "renamed"), MADE, ids=lambda value: getattr(value, "__name__", ""))
def test_a_default_of_a_file_is_the_default_of_the_object(definition, target, renamed):
    objects = {field.name: field for field in dataclasses.fields(target)}
    for name, member in definition.model_fields.items():
        if name in renamed | RESOLVED or member.is_required() or mark_of(annotation_of(member)) or objects[name].default is dataclasses.MISSING:
            continue
        default = member.get_default(call_default_factory=True)
        assert (tuple(default) if isinstance(default, list) else default) == objects[name].default, name


def test_no_variable_is_filled_in_an_expression_wherever_one_may_stand(load):
    """Each text has a variable that is not set, so that one that is looked for is reported."""
    routes = load("""
subscribers:
  feed: {client: main, entity: Tickets, request: {query: {search: '{{ "${A}" }}'}}, when: '"${A} {{ x }}" = a', transform: '"${A}" & "{{ x }}"', input_transform: '{"query": "${A}"}', publish: {routing_key: 'a.{{ "${A}" }}'}}
publishers:
  sink:
    client: main
    queue: q
    entity: Asset
    when: '"${A}"'
    once: '"${A}"'
    order_by: '{{ "${A}" }} and {{ b }}'
    transform: {payload: [{a: '{{ "${A}" }}'}]}
    find: {match: {a: '{{ "${A}" }}'}}
integrations:
  api:
    base_url: https://api.example.com
    methods:
      ask: {method: POST, path: '/{{ "${A}" }}', query: {a: '{{ "${A}" }}'}, headers: {A: '{{ "${A}" }}'}, body: {a: ['{{ "${A}" }}']}}
runbooks:
  book:
    start: {queue: other}
    first: body
    steps:
      body: {method: api.ask, next: [{when: '"${A}" = "x"', go: next}, {go: over}]}
      next: {action: create_action, client: main, body: {ticket_id: 1, outcome: '{{ "${A}" }}'}, find: {match: {a: '{{ "${A}" }}'}}, next: over}
      over: {end: failed, reason: '{{ "${A}" }}'}
webhooks:
  hook:
    client: main
    auth: {type: basic, username: a, password: a-password-of-the-test}
    id: '{{ "${A}" }}'
    when: '"${A}" = "x"'
    publish: {routing_key: '{{ "${A}" }}'}
    wake: {subscriber: feed, id: '{{ "${A}" }}'}
""")
    assert routes.webhooks


def test_a_step_is_a_step_whatever_its_name(load):
    """The names of steps are no keys of a step, and their keys are those of a step."""
    with pytest.raises(ConfigError) as raised:
        load("runbooks:\n  book: {start: {queue: q}, first: find, steps: {find: {end: done, entity: x, reasn: x}}}\n")
    assert [problem.message for problem in raised.value.problems] == [
        "unknown key `entity`; valid are method, action, client, path, query, body, missing, required, set, wait, publish, start, input, for_each, as, do, parallel, into, failures, output, next, on_failure, end, reason, retry, in_doubt, find, allow_unknown, timeout",
        "unknown key `reasn`; did you mean reason?",
    ]
