"""What integrations, runbooks and webhooks become."""

import pytest

from tests.tools.certificates import private_key
from tests.tools.evaluating import evaluated, filled, holds
from tests.tools.every import every
from worker.config.automation import CallerAuth, IntegrationAuth
from worker.config.events import EVENTS, event_name
from worker.config.run_values import Values

VALUES = Values({"Prompt": 'so "what"', "Id": 7, "Kind": "a b"}, frozenset(("Kind",)), status=200, request={"a": 1})
API = """
integrations:
  api:
    base_url: https://api.example.com/v1/
    methods:
      ask: {method: POST, path: /ask, body: {q: "<<Prompt>>"}, output: {Answer: response^text!}}
"""


def method(load, text, **more):
    routes = load("integrations:\n  api:\n    base_url: https://api.example.com\n    methods:\n      it: " + text, **more)
    return routes.integrations["api"].methods["it"]


def runbook(load, steps, inputs="{Prompt: request^text!, Id: request^id}"):
    return load(f"{API}runbooks:\n  book:\n    start: {{queue: q}}\n    input: {inputs}\n    first: a\n    steps:\n{steps}").runbooks["book"]


def webhook(load, text):
    return load(f"subscribers:\n  feed: {{client: main, entity: Tickets}}\n{API}webhooks:\n  hook: {text}").webhooks["hook"]


def test_an_integration_has_the_defaults_that_are_documented(load):
    integration = load(API).integrations["api"]
    assert (integration.base_url, integration.auth, integration.allow_hosts) == ("https://api.example.com/v1", IntegrationAuth(), ())
    ask = integration.methods["ask"]
    assert (ask.full_name, ask.verb, ask.path, ask.body_kind, ask.timeout) == ("api.ask", "POST", ("/ask",), "json", 30)
    assert (ask.query, ask.headers, {name: str(path) for name, path in ask.output.items()}) == ({}, {}, {"Answer": "response^text!"})


@pytest.mark.parametrize(
    ("text", "auth"),
    [
        ("{type: none}", IntegrationAuth("none")),
        ("{type: basic, username: a, password: hidden}", IntegrationAuth("basic", username="a", password="hidden")),
        ("{type: bearer, token: hidden}", IntegrationAuth("bearer", token="hidden")),
        ("{type: api_key, name: X-Key, value: hidden}", IntegrationAuth("api_key", name="X-Key", value="hidden")),
        ("{type: api_key, name: Authorization, value: Token hidden}", IntegrationAuth("api_key", name="Authorization", value="Token hidden")),
        ("{type: api_key, in: query, name: key, value: hidden}", IntegrationAuth("api_key", place="query", name="key", value="hidden")),
        (
            "{type: oauth2, token_url: 'https://login.example/t', client_id: a, client_secret: hidden, scopes: [x, y]}",
            IntegrationAuth("oauth2", token_url="https://login.example/t", client_id="a", client_secret="hidden", scopes=("x", "y")),
        ),
        (
            "{type: oauth2, grant: password, token_url: 'https://login.example/t', client_id: a, username: u, password: hidden}",
            IntegrationAuth("oauth2", grant="password", token_url="https://login.example/t", client_id="a", username="u", password="hidden"),
        ),
    ],
)
def test_every_kind_of_authorization_is_taken_and_shows_no_secret(load, text, auth):
    integration = load(f"{API}    auth: {text}\n").integrations["api"]
    assert integration.auth == auth
    assert "hidden" not in repr(integration)


def test_an_integration_with_halo_has_the_address_of_its_client(load):
    routes = load("integrations:\n  own:\n    auth: {type: halo, client: main}\n    methods: {me: {method: GET, path: /Agent/me}}\n")
    assert (routes.integrations["own"].base_url, routes.integrations["own"].auth.client) == ("https://acme.haloitsm.com/api", "main")
    given = load(
        'integrations:\n  own: {base_url: "https://acme.haloitsm.com/api/v2", auth: {type: halo, client: main}, methods: {me: {method: GET, path: /}}}\n'
    )
    assert given.integrations["own"].base_url == "https://acme.haloitsm.com/api/v2"


def test_allowed_hosts_are_distinguished_from_their_ports(load):
    hosts = '["Intranet.Example", "10.0.0.5:8080", "[::1]:80", "::1", "bücher.example"]'
    integration = load(f"{API}    allow_hosts: {hosts}\n").integrations["api"]
    assert integration.allow_hosts == (("intranet.example", None), ("10.0.0.5", 8080), ("::1", 80), ("::1", None), ("xn--bcher-kva.example", None))


@pytest.mark.parametrize(
    ("address", "hosts"),
    [
        ("http://127.0.0.1:8080/v1", "127.0.0.1"),
        ("http://127.0.0.1:8080", "127.0.0.1:8080"),
        ("http://localhost", "localhost:80"),
        ("http://[::1]:81", "[::1]:81"),
        ("http://8.8.8.8", "x"),
    ],
)
def test_an_internal_address_may_be_called_when_it_is_listed(load, address, hosts):
    text = f'integrations:\n  api: {{base_url: "{address}", allow_hosts: ["{hosts}"], methods: {{x: {{method: GET, path: /}}}}}}\n'
    assert load(text).integrations["api"].base_url == address


@every(
    ("path", "parts"),
    [
        ("/", ["/"]),
        ("/a/b/", ["/a/b/"]),
        ("/users/{Id}", ["/users/", 7]),
        ("/users/{Id}/notes", ["/users/", 7, "/notes"]),
        ("/users/<<Id>>/<<Kind>>", ["/users/", 7, "/", "a b"]),
        ("/users/<<Prompt>>", ["/users/", 'so "what"']),
        ("/u-{Id}.json", ["/u-", 7, ".json"]),
        ("/u/{{ Id + 1 }}", ["/u/", 8]),
        ("/{{ {'a': Kind}.a }}/x", ["/", "a b", "/x"]),
        ("/${STAGE}/x", ["/v2/x"]),
        ("/${STAGE}/{Id}", ["/v2/", 7]),
        ("/a%20b/ü", ["/a%20b/ü"]),
        ("/<<request^a>>", ["/", 1]),
    ],
)
def test_a_path_is_literal_text_and_variables(load, path, parts):
    found = method(load, f'{{method: GET, path: "{path}"}}\n', environment={"STAGE": "v2"})
    assert [part if isinstance(part, str) else filled(part, VALUES) for part in found.path] == parts


def test_a_method_takes_everything_that_a_file_can_say(load):
    found = method(
        load,
        """
        method: PATCH
        path: /a
        query: {a: "<<Id>>", b: 5, c: null, d: "x ${STAGE} <<Kind>>"}
        headers: {X-A: "${STAGE}", Accept: "{{ Kind }}"}
        body: {a: ["<<Id>>", "${STAGE}"], b: "{{ status }}"}
        timeout: 10m
        output: {All: response, First Name: "response[id=1]^first name!", Asked: request^a}
""",
        environment={"STAGE": "v2"},
    )
    assert {name: filled(filler, VALUES) for name, filler in found.query.items()} == {"a": 7, "b": 5, "c": None, "d": "x v2 a b"}
    assert {name: filled(filler, VALUES) for name, filler in found.headers.items()} == {"X-A": "v2", "Accept": "a b"}
    assert filled(found.body, VALUES) == {"a": [7, "v2"], "b": 200}
    assert (found.verb, found.timeout, list(found.output)) == ("PATCH", 600, ["All", "First Name", "Asked"])


@every(
    ("body", "kind", "content_type", "sent"),
    [
        ("{a: 1}", "json", None, {"a": 1}),
        ("[1, '<<Id>>']", "json", None, [1, 7]),
        ("'<<request>>'", "json", None, {"a": 1}),
        ("' {{ request }} '", "json", None, {"a": 1}),
        ("'{{ request }}{{ Id }}'", "text", None, '{"a":1}7'),
        ("hello <<Kind>>", "text", None, "hello a b"),
        ("'{\"a\": <<Prompt>>}'", "text", "application/json", '{"a": "so \\"what\\""}'),
        ("'[<<Id>>]'", "text", "application/json", "[7]"),
        ("'[<<Id>>]', headers: {content-type: text/plain}", "text", "text/plain", "[7]"),
        ("{a: <<Id>>}, body_kind: form", "form", None, {"a": 7}),
        ("'<<Kind>>', body_kind: text", "text", None, "a b"),
        ("5", "json", None, 5),
    ],
)
def test_a_body_is_sent_as_its_shape_tells(load, body, kind, content_type, sent):
    found = method(load, f"{{method: POST, path: /, body: {body}}}\n")
    types = [filled(filler, VALUES) for name, filler in found.headers.items() if name.lower() == "content-type"]
    assert (found.body_kind, types, filled(found.body, VALUES)) == (kind, [content_type] if content_type else [], sent)


def test_a_runbook_has_the_defaults_that_are_documented(load):
    book = runbook(load, "      a: {method: api.ask}\n")
    assert (book.queue, book.endpoint, book.step_limit, book.concurrency, book.first) == ("q", None, 100, 4, "a")
    step = book.steps["a"]
    assert (step.method.full_name, step.go, step.on_failure, step.end) == ("api.ask", (), None, None)
    assert (step.retry, step.in_doubt, step.find, step.timeout) == ((10, 60, 600), "park", None, None)
    assert {name: str(path) for name, path in book.input.items()} == {"Prompt": "request^text!", "Id": "request^id"}


def test_a_runbook_takes_everything_that_a_file_can_say(load):
    routes = load(
        f"""{API}
runbooks:
  book:
    start:
      queue: q
      endpoint: {{auth: {{type: signature, header: X-Sig, secrets: [hidden-a-of-the-test, hidden-b-of-the-test], algorithm: sha512, digest: hex, prefix: sha512=}}}}
    input: {{Prompt: "request[0]^text!", Id: request^id}}
    first: ask
    step_limit: 7
    concurrency: 2
    steps:
      ask:
        method: api.ask
        output: {{Whole: response}}
        next: [{{when: "{{{{ status = 200 }}}}", go: note}}, {{when: Id > 5, go: note}}, {{go: over}}]
        on_failure: over
        retry: [1s, 2m]
        in_doubt: repeat
        timeout: 5s
      note:
        action: update_ticket
        client: main
        query: {{}}
        body: {{id: "<<Id>>", summary: "<<Answer>>: <<Prompt>>"}}
        retry: []
        find: {{query: {{search: "x <<Answer>> <<Id>>"}}, match: {{id: "<<Id>>"}}, use: always, then: skip}}
        next: over
      over: {{end: failed, reason: "sorry <<Id>>"}}
"""
    )
    book = routes.runbooks["book"]
    assert book.endpoint == CallerAuth(
        "signature", header="X-Sig", secrets=("hidden-a-of-the-test", "hidden-b-of-the-test"), algorithm="sha512", digest="hex", prefix="sha512="
    )
    assert "hidden" not in repr(routes)
    assert (book.step_limit, book.concurrency, book.delays) == (7, 2, (1, 30, 120, 300, 900))
    ask, note, over = book.steps.values()
    assert [(branch.go, branch.label) for branch in ask.go] == [("note", "status = 200"), ("note", "Id > 5"), ("over", "")]
    assert [branch.when is None or holds(branch.when, VALUES.context(), {}) for branch in ask.go] == [True, True, True]
    assert (ask.on_failure, ask.retry, ask.in_doubt, ask.timeout, list(ask.output)) == ("over", (1, 120), "repeat", 5, ["Whole"])
    assert (note.action.name, note.client, note.retry, [branch.go for branch in note.go]) == ("update_ticket", "main", (), ["over"])
    assert (note.find.operation.path, note.find.use, note.find.then) == ("/Tickets", "always", "skip")
    assert (over.end, filled(over.reason, VALUES)) == ("failed", "sorry 7")


def test_variables_in_find_are_plain_where_their_expression_says_so(load):
    book = runbook(
        load,
        """
      a: {method: api.ask, output: {Quoted: response^text}, next: b}
      b:
        action: create_action
        client: main
        body: {ticket_id: "<<Id>>", outcome: Note}
        find: {query: {ticket_id: "<<Id>>", actoutcome: "<<Answer>>, <<Quoted>>, <<Prompt>>, <<request^x>>"}, match: {note: "<<Answer>>", id: "<<Id>>"}}
""",
    )
    find = book.steps["b"].find
    context = Values({"Answer": "yes", "Quoted": "no", "Prompt": "p", "Id": 7}, request={"x": 1}).context()
    assert {name: evaluated(template, context, {}) for name, template in find.query.items()} == {"ticket_id": 7, "actoutcome": 'yes, "no", p, 1'}
    assert {name: evaluated(template, context, {}) for name, template in find.match.items()} == {"note": "yes", "id": 7}


def test_a_step_that_looks_back_at_itself_may_use_what_it_set(load):
    book = runbook(
        load,
        '      a: {method: api.ask, next: [{when: "{{ status = 202 }}", go: b}, {go: c}]}\n'
        '      b: {action: create_action, client: main, body: {ticket_id: "<<Id>>", outcome: "<<Later>> <<Answer>>"}, output: {Later: response^id}, next: a, on_failure: c}\n'
        "      c: {end: done}\n",
    )
    assert book.steps["b"].body.names == {"Id", "Later", "Answer"}


def test_an_action_may_be_one_expression(load):
    book = runbook(
        load,
        '      a: {action: get_control, client: main, output: {Zone: response^timezone!}, next: b}\n      b: {action: create_ticket, client: main, body: "{{ request }}"}\n',
    )
    assert filled(book.steps["b"].body, VALUES) == {"a": 1}


def test_a_webhook_has_the_defaults_that_are_documented(load):
    hook = webhook(load, "{client: main, auth: {type: basic, username: a, password: hidden-of-the-test}, publish: {}, wake: {subscriber: feed}}")
    assert hook.auth == CallerAuth("basic", username="a", password="hidden-of-the-test")
    assert "hidden" not in repr(hook)
    delivery = {"id": "x-1", "object_id": 12}
    assert (hook.client, hook.events, hook.when, hook.runbook, hook.exchange) == ("main", (), None, None, "halo")
    assert (evaluated(hook.id, delivery, {}), evaluated(hook.routing_key, delivery, {})) == ("x-1", "webhooks.hook")
    assert (hook.wake.subscriber, evaluated(hook.wake.id, delivery, {})) == ("feed", 12)


def test_a_webhook_takes_everything_that_a_file_can_say(load):
    routes = load(
        f"""{API}
subscribers:
  feed: {{client: main, entity: Tickets}}
runbooks:
  book: {{input: {{Prompt: request^text}}, first: a, steps: {{a: {{method: api.ask}}}}}}
webhooks:
  hook:
    client: main
    events: [new_ticket, 76, 1072]
    auth: {{type: signature, header: Token, secret: "${{KEY}}", prefix: "sha256="}}
    id: "{{{{ id }}}}-{{{{ event }}}}"
    when: "{{{{ event = 'x' }}}}"
    runbook: book
    publish: {{exchange: other, routing_key: "a.{{{{ event }}}}"}}
    wake: {{subscriber: feed, id: "{{{{ ticket.id }}}}"}}
""",
        environment={"KEY": "hidden-of-the-test"},
    )
    hook = routes.webhooks["hook"]
    assert hook.auth == CallerAuth("signature", header="Token", secrets=("hidden-of-the-test",), prefix="sha256=")
    delivery = {"id": 1, "event": "x", "ticket": {"id": 9}}
    assert (hook.events, hook.runbook, hook.exchange) == ((3, 76, 1072), "book", "other")
    assert (evaluated(hook.id, delivery, {}), evaluated(hook.routing_key, delivery, {}), evaluated(hook.wake.id, delivery, {})) == ("1-x", "a.x", 9)
    assert [holds(hook.when, {"event": event}, {}) for event in ("x", "y")] == [True, False]
    assert routes.runbooks["book"].queue is None


def test_every_event_of_the_facts_has_a_word_and_the_others_their_number():
    assert sorted(EVENTS.values()) == [3, 19, 39, 42, 46, 61, 70, 76, 1072]
    assert [event_name(number) for number in (76, 5)] == ["status_changed", "5"]


def test_definitions_may_stand_in_any_order_and_file(load):
    routes = load(
        "webhooks:\n  hook: {client: main, auth: {type: basic, username: a, password: a-password-of-the-test}, runbook: book}\n",
        a_book="runbooks:\n  book: {input: {Prompt: request^x}, first: a, steps: {a: {method: api.ask}}}\n",
        z_api=API,
    )
    assert routes.runbooks["book"].steps["a"].method is routes.integrations["api"].methods["ask"]


def test_a_variable_in_a_header_of_a_key_is_a_warning_unless_its_name_is_masked(load):
    text = "{method: GET, path: /, headers: {X-Api-Key: '<<Key>>', X-Auth-Token: '<<SessionToken>>'}}\n"
    routes = load("integrations:\n  api:\n    base_url: https://api.example.com\n    auth: {type: bearer, token: hidden}\n    methods:\n      it: " + text)
    [warning] = routes.warnings
    assert "the value of `Key` is a credential here" in warning.message


def test_a_login_has_a_prefix_for_the_header_of_authorization_only(load):
    text = "integrations:\n  api:\n    base_url: https://api.example.com\n    auth: {{type: login, method: l, token: response^t!{more}}}\n    methods: {{l: {{method: POST, path: /l}}}}\n"
    made = [load(text.format(more=more)).integrations["api"].auth.login for more in ("", ", header: X-Token", ", header: X-Token, prefix: 'T '")]
    assert [(each.header, each.prefix, str(each.expires_in)) for each in made] == [
        ("Authorization", "Bearer ", "response^expires_in"), ("X-Token", "", "response^expires_in"), ("X-Token", "T ", "response^expires_in"),
    ]  # fmt: skip


def test_a_login_names_its_method_with_or_without_the_integration(load):
    text = "integrations:\n  api:\n    base_url: https://api.example.com\n    auth: {{type: login, method: {name}, token: response^t!}}\n    methods: {{l: {{method: POST, path: /l}}}}\n"
    assert [load(text.format(name=name)).integrations["api"].auth.login.method for name in ("l", "api.l")] == ["l", "l"]


def test_proofs_and_connections_are_taken_and_show_no_secret(load, tmp_path):
    key = private_key()
    (tmp_path / "key.pem").write_text(key)
    auth = (
        "{type: oauth2, token_url: 'https://t.example', client_id: a, client_auth: private_key_jwt, private_key: '${file:key.pem}', parameters: {audience: x}}"
    )
    more = "    proxy: http://me:hidden-secret@proxy:3128\n    ca_file: ca.pem\n    cert_file: c.pem\n    key_file: k.pem\n"
    routes = load(f"{API}    auth: {auth}\n{more}", secrets=tmp_path)
    made = routes.integrations["api"]
    assert (made.auth.private_key, made.auth.parameters, made.ca_file, made.cert_file, made.key_file) == (
        key.strip(),
        {"audience": "x"},
        "ca.pem",
        "c.pem",
        "k.pem",
    )
    assert "hidden" not in repr(made)
    assert key[60:90] not in repr(made)
    assert routes.secrets.hide("the proxy refused hidden-secret") == "the proxy refused ***"
    bare = made.offline()
    assert (bare.auth, bare.proxy, bare.ca_file, bare.cert_file, bare.methods) == (IntegrationAuth(), None, None, None, made.methods)


def test_bodies_with_files_name_their_kind_by_their_only_member(load):
    assert method(load, "{method: POST, path: /, body: {base64: '<<F>>'}}").body_kind == "base64"
    assert method(load, "{method: POST, path: /, body: {multipart: {file: {base64: '<<F>>'}}}}").body_kind == "multipart"
    assert method(load, "{method: POST, path: /, body: {base64: '<<F>>'}, body_kind: json}").body_kind == "json"
    assert method(load, "{method: POST, path: /, body: {base64: '<<F>>', name: a}}").body_kind == "json"
