"""What route files become."""

import os
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.tools.evaluating import evaluated, holds
from worker.catalogue.catalogue import load as load_catalogue
from worker.config.loader import load_routes
from worker.config.routes import RateLimit
from worker.core.errors import ConfigError
from worker.core.topology import AmqpExchange, Source


def subscriber(routes):
    (found,) = routes.subscribers.values()
    return found


def publisher(routes):
    (found,) = routes.publishers.values()
    return found


def all_evaluated(templates, context=None):
    return {name: evaluated(template, context or {}, {}) for name, template in templates.items()}


def test_a_client_has_the_defaults_that_are_documented(load):
    client = load().clients["main"]
    assert (client.url, client.rate_limit, client.timeout, client.grant.scopes) == ("https://acme.haloitsm.com", RateLimit(700, 300), 30, ("all",))


def test_a_client_takes_everything_that_a_file_can_say(load):
    routes = load(
        """
  other:
    api_url: http://halo.local:8080/pfx/api/
    token_url: http://halo.local:8080/pfx/auth/token
    tenant: acme
    auth: {type: password, client_id: a, username: b, password: c, scopes: ["read:tickets"]}
    rate_limit: none
    timeout: 1500ms
    ca_file: /etc/ca.pem
    proxy: http://user:hidden-word@proxy:3128
    headers: {X-Trace: "on"}
"""
    )
    client = routes.clients["other"]
    assert (client.url, client.api_url, client.token_url) == (None, "http://halo.local:8080/pfx/api", "http://halo.local:8080/pfx/auth/token")
    assert (client.grant.type, client.grant.username, client.grant.password, client.grant.client_secret, client.grant.scopes) == (
        "password",
        "b",
        "c",
        None,
        ("read:tickets",),
    )
    assert (client.tenant, client.rate_limit, client.timeout, client.ca_file, client.proxy) == (
        "acme",
        None,
        1.5,
        "/etc/ca.pem",
        "http://user:hidden-word@proxy:3128",
    )
    assert "hidden" not in repr(routes)
    assert client.headers == {"X-Trace": "on"}


@pytest.mark.parametrize(
    ("token_url", "expected"),
    [
        ("https://acme.haloitsm.com/auth/token?tenant=acme", ("https://acme.haloitsm.com/auth/token", "acme")),
        ("https://acme.haloitsm.com/auth/token?tenant=acme&realm=it", ("https://acme.haloitsm.com/auth/token?realm=it", "acme")),
        ("https://acme.haloitsm.com/auth/token?realm=it", ("https://acme.haloitsm.com/auth/token?realm=it", None)),
        ("https://acme.haloitsm.com/auth/token/", ("https://acme.haloitsm.com/auth/token", None)),
    ],
)
def test_the_query_of_a_token_url_is_kept_and_its_tenant_is_the_clients(load, token_url, expected):
    other = f"  other:\n    api_url: https://acme.haloitsm.com/api\n    token_url: {token_url}\n    auth: {{type: client_credentials, client_id: a, client_secret: b}}\n"
    client = load(other).clients["other"]
    assert (client.token_url, client.tenant) == expected


def test_the_token_url_of_an_integration_keeps_its_query(load):
    routes = load("""
integrations:
  api:
    base_url: https://api.example.com
    auth: {type: oauth2, token_url: "https://login.example.com/token?realm=it&audience=x", client_id: a, client_secret: b}
    methods: {ask: {method: GET, path: /}}
""")
    assert routes.integrations["api"].auth.token_url == "https://login.example.com/token?realm=it&audience=x"


def test_no_secret_is_in_the_repr_of_what_is_loaded(load):
    routes = load(
        "  other:\n    url: http://h\n    auth: {type: password, client_id: a, username: b, password: hidden-too}\n    headers: {X-Key: hidden-also}\n"
    )
    assert "hidden" not in repr(routes)


def test_a_subscriber_has_the_defaults_that_are_documented(load):
    route = subscriber(load("subscribers:\n  feed: {client: main, entity: tickets}\n"))
    assert (route.operation.path, route.every, route.cron, route.changes, route.start, route.overlap) == ("/Tickets", 60, None, "by_date", "now", 300)
    assert (route.details, route.deletes, route.unrouted, route.when, route.transform) == (None, False, "park", None, None)
    assert (route.exchange, route.routing_key, route.queue, route.key, route.ignore) == ("halo", None, None, ("id",), frozenset())
    assert route.on_lost_cursor == "wait"


def test_a_subscriber_takes_everything_that_a_file_can_say(load):
    route = subscriber(
        load(
            """
subscribers:
  feed:
    client: main
    entity: Assets
    cron: "*/5 * * * *"
    request: {query: {search: "{{ 1 + 1 }}", Client_Id: 5, includeactive: true, site_id: null}}
    input_transform: {query: {username: "{{ path.x }}"}}
    changes: by_date
    start: 2026-01-31
    overlap: 0s
    details: true
    unrouted: stop
    when: id > 5
    transform: {number: "{{ id }}"}
    publish: {exchange: events, routing_key: "a.{{ $change }}", queue: inbox}
    key: [client_id, id]
    ignore: lastseen
    on_lost_cursor: start
"""
        )
    )
    assert (route.operation.path, route.every, route.cron) == ("/Asset", None, "*/5 * * * *")
    assert all_evaluated(route.request.query) == {"search": 2, "client_id": 5, "includeactive": True, "site_id": None}
    assert evaluated(route.input_transform, {"path": {"x": "u"}}, {}) == {"query": {"username": "u"}}
    assert (route.start, route.overlap, route.details.path, route.unrouted) == (datetime(2026, 1, 31, tzinfo=UTC), 0, "/Asset/{id}", "stop")
    assert [holds(route.when, {"id": number}, {}) for number in (5, 6)] == [False, True]
    assert evaluated(route.transform, {"id": 6}, {}) == {"number": 6}
    assert (route.exchange, evaluated(route.routing_key, {}, {"change": "created"}), route.queue) == ("events", "a.created", "inbox")
    assert (route.key, route.ignore, route.on_lost_cursor) == (("client_id", "id"), {"lastseen"}, "start")


@pytest.mark.parametrize(
    ("entity", "changes"),
    [("Tickets", "by_date"), ("Users", "by_date"), ("Agent", "by_content"), ("Item", "by_content"), ("Actions/{id}", "by_content")],
)
def test_changes_are_found_by_date_where_halo_can_filter_and_else_by_content(load, entity, changes):
    path = "{id: AC12}" if "{" in entity else "{}"
    assert subscriber(load(f'subscribers:\n  feed: {{client: main, entity: "{entity}", request: {{path: {path}}}}}\n')).changes == changes


@pytest.mark.parametrize(
    ("publish", "binding"),
    [
        ("{}", "tickets.*"),
        ('{routing_key: "a.b"}', "a.b"),
        ('{routing_key: "a.b.{{ $change }}"}', "a.b.#"),
        ('{routing_key: "a.b{{ id }}.c"}', "a.#"),
        ('{routing_key: "{{ id }}.c"}', "#"),
        ('{routing_key: "${PREFIX}.{{ id }}"}', "eu.#"),
        ('{routing_key: "${PREFIX}"}', "eu"),
    ],
)
def test_the_queue_of_a_subscriber_gets_whatever_its_routing_key_can_become(load, publish, binding):
    routes = load(f"subscribers:\n  feed: {{client: main, entity: Tickets, queue: q, publish: {publish}}}\n", environment={"PREFIX": "eu"})
    assert subscriber(routes).queue_binding == binding


def test_a_path_parameter_is_found_whatever_its_case(load):
    route = subscriber(load('subscribers:\n  feed: {client: main, entity: "actions/{id}", request: {path: {ID: AC12}, query: {ticket_id: 1}}}\n'))
    assert all_evaluated(route.request.path) == {"id": "AC12"}


def test_a_path_parameter_may_come_from_the_input_transform(load):
    text = 'subscribers:\n  feed: {client: main, entity: "Actions/{id}", input_transform: %s}\n'
    for transform in ('{path: {id: "{{ 1 }}"}}', '\'{"path": {"id": 1}}\'', "{path: \"{{ {'id': 1} }}\"}"):
        assert evaluated(subscriber(load(text % transform)).input_transform, {}, {}) == {"path": {"id": 1}}


def test_a_publisher_has_the_defaults_that_are_documented(load):
    route = publisher(load("publishers:\n  sink: {client: main, queue: q, entity: Asset}\n"))
    assert (route.operation.method, route.operation.path, route.declare, route.bind) == ("POST", "/Asset", True, ())
    assert (route.find, route.in_doubt, route.retry, route.concurrency) == (None, "park", (10, 60, 600, 3600), 4)


@pytest.mark.parametrize(("entity", "concurrency"), [("Tickets", 1), ("Ticket", 1), ("Asset", 4), ("Tickets/Vote", 4)])
def test_only_new_tickets_are_sent_one_at_a_time_by_default(load, entity, concurrency):
    assert publisher(load(f"publishers:\n  sink: {{client: main, queue: q, entity: {entity}, allow_unknown: true}}\n")).concurrency == concurrency


def test_a_publisher_takes_everything_that_a_file_can_say(load):
    route = publisher(
        load(
            """
publishers:
  sink:
    client: main
    queue: q
    declare: false
    bind: [{exchange: erp, routing_key: "a.#"}, {exchange: crm}]
    method: POST
    entity: Actions
    request: {query: {returnall: true}}
    when: "{{ $exists(serial) }}"
    transform: {payload: [{note: "{{ note }}"}]}
    find:
      query: {ticket_id: "{{ ticket }}"}
      match: {note: "{{ note }}", hidden: false}
      use: always
      then: skip
    in_doubt: park
    retry: []
    concurrency: 16
"""
        )
    )
    assert (route.declare, route.bind, route.retry, route.concurrency) == (
        False,
        (Source(AmqpExchange("erp"), "a.#"), Source(AmqpExchange("crm"), "#")),
        (),
        16,
    )
    assert (route.find.operation.method, route.find.operation.path, route.find.use, route.find.then) == ("GET", "/Actions", "always", "skip")
    assert all_evaluated(route.find.query, {"ticket": 7}) == {"ticket_id": 7}
    assert all_evaluated(route.find.match, {"note": "x"}) == {"note": "x", "hidden": False}
    assert evaluated(route.transform, {"note": "x"}, {}) == {"payload": [{"note": "x"}]}
    assert holds(route.when, {}, {}) is False


@pytest.mark.parametrize(
    "transform",
    [
        "",
        'transform: {path: {id: "{{ id }}"}}',
        'transform: \'{"path": {"id": id}}\'',
        'transform: {path: "{{ $ }}"}',
        "request: {path: {id: 5}}, transform: {query: {}}",
    ],
)
def test_a_path_parameter_of_a_publisher_may_come_from_wherever_it_can(load, transform):
    assert publisher(load(f'publishers:\n  sink: {{client: main, queue: q, method: DELETE, entity: "Asset/{{id}}", {transform}}}\n'))


def test_what_is_not_in_the_catalogue_is_let_through_where_the_route_says_so(load):
    routes = load(
        """
subscribers:
  feed: {client: main, entity: BrandNew, request: {query: {whatever: 1}}, allow_unknown: true}
publishers:
  sink: {client: main, queue: q, method: DELETE, entity: "BrandNew/{id}", request: {path: {id: 1}}, allow_unknown: true}
"""
    )
    assert subscriber(routes).operation.path == "/BrandNew"
    assert publisher(routes).operation.method == "DELETE"


def test_variables_are_filled_outside_of_expressions_only(load, tmp_path):
    (tmp_path / "token").write_bytes(b"from a file\r\n")
    routes = load(
        """
subscribers:
  feed:
    client: ${CLIENT}
    entity: Tickets
    every: ${POLL}
    when: $contains(summary, "${POLL}")
    transform:
      env: "${POLL}"
      file: "<${file:token}>"
      both: '${POLL} {{ "${POLL}" }}'
      escaped: "$${POLL}"
      trap: "${TRAP}"
""",
        environment={"POLL": "5m", "CLIENT": "main", "TRAP": "{{ secret }}"},
        secrets=tmp_path,
    )
    route = subscriber(routes)
    assert (route.client, route.every) == ("main", 300)
    assert holds(route.when, {"summary": "a ${POLL} b"}, {})
    assert evaluated(route.transform, {"secret": 1}, {}) == {
        "env": "5m",
        "file": "<from a file>",
        "both": "5m ${POLL}",
        "escaped": "${POLL}",
        "trap": "{{ secret }}",
    }


def test_routes_and_clients_come_together_from_all_files(load):
    routes = load(
        a="subscribers:\n  one: {client: main, entity: Tickets}\n", b="publishers:\n  two: {client: main, queue: q, entity: Asset}\n", c="# nothing\n"
    )
    assert (list(routes.subscribers), list(routes.publishers)) == (["one"], ["two"])


def test_files_that_are_no_route_files_are_left_alone(load, tmp_path):
    (tmp_path / "routes" / "sub").mkdir(parents=True)
    for name in ("notes.txt", ".hidden.yaml", "sub/deeper.yaml"):
        (tmp_path / "routes" / name).write_text("[broken")
    assert load().clients


def test_an_empty_or_missing_directory_is_reported(tmp_path):
    with pytest.raises(ConfigError, match="there are no route files"):
        load_routes(tmp_path, {}, tmp_path)
    with pytest.raises(ConfigError, match="cannot be read: no such file or directory"):
        load_routes(tmp_path / "nowhere", {}, tmp_path)


def test_an_error_at_work_names_the_place_of_the_expression(load):
    route = subscriber(load('subscribers:\n  feed:\n    client: main\n    entity: Tickets\n    transform:\n      a: "n {{ $number(x) }}"\n'))
    with pytest.raises(Exception, match=r"^`transform\.\w+`: the expression at routes/main\.yaml:11:16: a value cannot be turned into a number \(D3030\)$"):
        evaluated(route.transform, {"x": "secret"}, {})


def test_every_operation_of_the_api_can_be_a_route(load):
    kinds = {"subscribers": {}, "publishers": {}}
    for number, operation in enumerate(load_catalogue().operations()):
        request = {"path": dict.fromkeys(operation.path_parameters, "{{ id }}"), "query": {}}
        if operation.method == "GET":
            kinds["subscribers"][f"r{number}"] = {"client": "main", "entity": operation.entity, "request": request}
        else:
            kinds["publishers"][f"r{number}"] = {
                "client": "main",
                "queue": f"q{number}",
                "method": operation.method,
                "entity": operation.entity,
                "request": request,
            }
    routes = load(every=orjson.dumps(kinds).decode())
    made = {(route.operation.method, route.operation.path) for route in (*routes.subscribers.values(), *routes.publishers.values())}
    assert made == {(operation.method, operation.path) for operation in load_catalogue().operations()}


LINES = st.lists(
    st.sampled_from(
        [
            "clients:", "  main:", "    url: https://acme.haloitsm.com", "    auth: {type: password, client_id: a}", "subscribers:", "  feed: {client: main, entity: Tickets}",
            "    when: '{{ a }}'", "publishers:", "  sink:", "    queue: q", "    transform: {a: '{{ b'}", "- x", "  ? y", "&a b", "*a", "!!x y", "'", '"', "{{ z }}", "|", "${A}", "\t", "...", "%Y",
            "integrations:", "  api: {base_url: 'http://10.0.0.1', auth: {type: halo, client: main}}", "    methods: {x: {method: GET, path: '/{a}/<<b'}, y: 5}",
            "runbooks:", "  book: {first: a, steps: {a: {next: a}, b: {method: api.x, next: [{go: c}, 1]}}}", "    steps: [a]", "    input: {a: 'response[', status: b, c: 1}",
            "webhooks:", "  hook: {events: [x, 3], auth: {type: 1}, wake: {subscriber: {}}}", "    publish: {routing_key: '{{'}",
        ]
    ),
    max_size=12,
).map("\n".join)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(LINES | st.text() | st.text(alphabet="ab:-{}[]?!&*|>'\"#%@`, \n\t\r\x85\u2028\ufeff"))
def test_any_text_is_loaded_or_refused_with_sentences(tmp_path, text):
    directory = tmp_path / "any"
    directory.mkdir(exist_ok=True)
    (directory / "a.yaml").write_text(text, "utf-8", newline="")
    try:
        load_routes(directory, {}, tmp_path)
    except ConfigError as error:
        problems = error.problems
        assert problems, "a refusal has its reason"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_loaded_or_refused(tmp_path, content):
    directory = tmp_path / "bytes"
    directory.mkdir(exist_ok=True)
    (directory / "a.yaml").write_bytes(content)
    with pytest.raises(ConfigError):
        load_routes(directory, {}, tmp_path)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_route_file_that_is_no_file_is_reported_without_waiting(tmp_path, make):
    directory = tmp_path / "any"
    directory.mkdir()
    make(directory / "a.yaml")
    with pytest.raises(ConfigError, match=r"any/a\.yaml: it is not a file"):
        load_routes(directory, {}, tmp_path)


def test_credentials_are_known_so_that_they_can_be_masked_and_addresses_and_names_are_not(tmp_path):
    directory = tmp_path / "routes"
    directory.mkdir()
    (tmp_path / "key").write_text("planted-from-a-file")
    (directory / "a.yaml").write_text(
        """
clients:
  main:
    url: ${HALO_URL}
    headers: {X-Api-Key: planted-in-a-header, X-Stage: production}
    auth: {type: client_credentials, client_id: "${CLIENT_ID}", client_secret: "${A}"}
integrations:
  api: {base_url: "https://api.example/v1", auth: {type: bearer, token: "${file:key}"}, methods: {x: {method: GET, path: /}}}
publishers:
  erp: {client: main, queue: "${QUEUE}", entity: Asset}
""",
        "utf-8",
    )
    environment = {"HALO_URL": "https://acme.haloitsm.com", "CLIENT_ID": "worker-of-acme", "A": "planted-as-a-variable", "QUEUE": "erp.assets"}
    routes = load_routes(directory, environment, tmp_path)
    planted = "planted-from-a-file planted-in-a-header planted-as-a-variable"
    plain = "https://acme.haloitsm.com/api production"
    assert routes.secrets.hide(f"{planted} {plain} erp.assets worker-of-acme") == f"*** *** *** {plain} erp.assets worker-of-acme"
    assert routes.filled.hide(f"{planted} {plain} erp.assets") == f"*** *** *** {plain} ***"
    assert "planted" not in repr(routes)


def test_a_route_file_that_is_a_link_out_of_the_folder_is_refused_and_none_of_its_lines_is_shown(load, tmp_path):
    (tmp_path / "admin-token").write_text("f00dcafe-0123456789abcdef")
    (tmp_path / "routes").mkdir()
    (tmp_path / "routes" / "leak.yaml").symlink_to(tmp_path / "admin-token")
    with pytest.raises(ConfigError) as wrong:
        load("subscribers: {feed: {client: main, entity: Tickets}}\n")
    assert [str(each) for each in wrong.value.problems] == [
        "routes/leak.yaml: it is a link that leads out of the folder of route files: put the file itself there"
    ]


STEP = "first: a, steps: {a: {set: {X: '1'}}}"


@pytest.mark.parametrize(
    ("text", "queue", "route", "other"),
    [
        *(
            (
                f"subscribers:\n  feed: {{client: main, entity: Tickets}}\n  feed.{end}: {{client: main, entity: Tickets}}\n",
                f"halo.state.feed.{end}",
                f"feed.{end}",
                "feed",
            )
            for end in ("wait", "known", "born", "lock")
        ),
        (f"runbooks:\n  rb.dead: {{start: {{queue: b}}, {STEP}}}\n  rb: {{start: {{queue: a}}, {STEP}}}\n", "halo.run.rb.dead", "rb.dead", "rb"),
        (
            f"subscribers:\n  rb.born: {{client: main, entity: Tickets}}\nrunbooks:\n  rb: {{start: {{schedule: '0 6 * * *'}}, {STEP}}}\n",
            "halo.state.rb.born",
            "rb.born",
            "rb",
        ),
    ],
)
def test_no_two_routes_have_one_queue_of_the_worker_s_own(load, text, queue, route, other):
    with pytest.raises(ConfigError, match=rf"the queue `{queue}` would belong to `{route}` and to `{other}` in routes/main\.yaml"):
        load(text)


def test_routes_whose_names_only_begin_alike_have_queues_of_their_own(load):
    entity = "{client: main, entity: Tickets}"
    routes = load(f"subscribers:\n  feed: {entity}\n  feed.dead: {entity}\n  feed.waits: {entity}\nrunbooks:\n  rb.born: {{start: {{queue: a}}, {STEP}}}\n")
    assert set(routes.subscribers) == {"feed", "feed.dead", "feed.waits"}
