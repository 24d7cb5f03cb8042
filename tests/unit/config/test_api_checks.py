"""What `check` knows of the Halo API: members of payloads, needs of new records and lists."""

import orjson
import pytest

from tests.tools.every import every
from worker.catalogue.actions import ACTIONS
from worker.catalogue.catalogue import load as load_catalogue
from worker.catalogue.openapi import openapi_document
from worker.config.loader import load_routes
from worker.core.errors import ConfigError

CLIENT = """
clients:
  main: {url: "https://acme.haloitsm.com", auth: {type: client_credentials, client_id: worker, client_secret: hidden-away}}
"""


def found(load, text):
    """The texts of problems and of warnings."""
    try:
        return [], [warning.message for warning in load(text).warnings]
    except ConfigError as error:
        return [problem.message for problem in error.problems], [warning.message for warning in error.warnings]


def publisher(payload, entity="Asset", more=""):
    return f"publishers:\n  a:\n    client: main\n    queue: q\n    entity: {entity}\n{more}    transform:\n      payload: {payload}\n"


@every(
    ("payload", "said"),
    [
        ("{inventry_number: '{{ a }}'}", "POST Asset has no member `inventry_number`"),
        ("[{inventory_number: a}, {inventry_number: a}]", "`inventry_number`"),
        ("{fields: [{id: 1, vlaue: 2}]}", "no member `fields[].vlaue`"),
        ("{fields: {id: 1, vlaue: 2}}", "no member `fields[].vlaue`"),
        ("\"{{ {'inventry_number': a} }}\"", "`inventry_number`"),
        ("\"{{ rows.{'inventry_number': a} }}\"", "`inventry_number`"),
        ("\"{{ ok ? {'inventory_number': a} : {'inventry_number': b} }}\"", "`inventry_number`"),
        ("\"{{ ($p := {'inventry_number': a}; $p) }}\"", "`inventry_number`"),
        ("{inventry_number?: '{{ a }}'}", "`inventry_number`"),
    ],
)
def test_a_member_that_halo_does_not_have_is_a_warning_with_the_nearest_name(load, payload, said):
    problems, warnings = found(load, publisher(payload))
    assert problems == []
    (warning,) = warnings
    assert said in warning
    assert "did you mean" in warning


@every(
    "payload",
    [
        "{Inventory_Number: a, INACTIVE: false}",  # Halo reads names without case
        "{client_id: '12', inactive: 'true', status_id: null, notes: 12, warranty_end: '2026-01-31'}",
        "{client_id: '{{ a }}', site_id: '{{ 1 + 1 }}', notes: 'a {{ b }}', 'x{{ name }}': 1}",
        "{client_id: '1{{ b }}', customfields: {name: CFa, value: [1]}, fields: []}",
        "\"{{ $merge([a, {'inventry_number': 1}]) }}\"",
        "{client_id: '{{ a & b }}', site_id: '{{ $count(a) }}', inactive: '{{ a = 1 }}', notes: '{{ $exists(a) }}'}",
        "{client_id: \"{{ '1' & a }}\", warranty_end: '{{ $now() }}', site_id: '{{ a ~> $f(b = 1) }}', status_id: '{{ and }}'}".replace("$f", "$number"),
        "{client_id: '{{ rows[a = 1].id }}', site_id: '{{ $number(a).b }}', status_id: '{{ $exists(a) ? b : c }}', item_id: '{{ $millis() - a }}'}",
        '"{{ $ }}"',
    ],
)
def test_nothing_is_said_about_what_halo_takes_or_only_a_run_can_tell(load, payload):
    assert found(load, publisher(payload)) == ([], [])


@every(
    ("payload", "said"),
    [
        ("{client_id: ACME}", "`client_id` must be a whole number"),
        ("{client_id: 12.0}", "`client_id` must be a whole number without a fraction"),
        ("{client_id: true}", "`client_id` must be a whole number"),
        ("{client_id: [12]}", "`client_id` must be a whole number, not an array"),
        ("{client_id: 'C-{{ a }}'}", "`client_id` must be a whole number, not text"),
        ("{client_id: \"{{ 'ACME' }}\"}", "`client_id` must be a whole number"),
        ("{client_id: \"{{ 'C-' & code }}\"}", "`client_id` must be a whole number, not text"),
        ("{client_id: '{{ code = 3 }}'}", "`client_id` must be a whole number"),
        ("{client_id: '{{ a and b }}'}", "`client_id` must be a whole number"),
        ("{client_id: '{{ $exists(a) }}'}", "`client_id` must be a whole number"),
        ("{warranty_end: '{{ $millis() }}'}", "`warranty_end` must be a date or time"),
        ("{warranty_end: '{{ $toMillis(a) + 0 }}', fields: '{{ a & b }}'}", "`fields` must be an array of objects"),
        ("{inactive: 'no'}", "`inactive` must be true or false"),
        ("{warranty_end: 31/12/2026}", "`warranty_end` must be a date or time"),
        ("{warranty_end: 2026-02-30}", "`warranty_end` must be a date or time"),
        ("{notes: {a: 1}}", "`notes` must be a text, not an object"),
        ("{fields: text}", "`fields` must be an array of objects"),
        ("{fields: [1]}", "`fields[]` must be an object"),
        ("{fields: [{id: x}]}", "`fields[].id` must be a whole number"),
        ("\"{{ {'fields': [{'id': 'x'}]} }}\"", "`fields[].id` must be a whole number"),
    ],
)
def test_a_literal_of_another_type_is_a_mistake(load, payload, said):
    problems, warnings = found(load, publisher(payload))
    assert (len(problems), warnings) == (1, [])
    assert said in problems[0]


def test_a_variable_of_the_environment_is_checked_by_its_value_and_never_shown(load):
    with pytest.raises(ConfigError) as raised:
        load(publisher("{client_id: '${CLIENT}'}"), environment={"CLIENT": "planted-acme"})
    (problem,) = raised.value.problems
    assert "`client_id` must be a whole number" in problem.message
    assert "planted" not in problem.message + problem.excerpt
    assert load(publisher("{client_id: '${CLIENT}'}"), environment={"CLIENT": "12"}).warnings == ()


def test_what_only_stands_for_a_variable_is_no_literal(tmp_path):
    (tmp_path / "routes").mkdir()
    query = "subscribers:\n  b: {client: main, entity: Tickets, request: {query: {open_only: '${OPEN}'}}}\n"
    (tmp_path / "routes" / "a.yaml").write_text(CLIENT + publisher("{client_id: '${CLIENT}'}") + query)
    assert load_routes(tmp_path / "routes", {}, tmp_path, placeholders=True).warnings == ()
    with pytest.raises(ConfigError):
        load_routes(tmp_path / "routes", {"CLIENT": "x", "OPEN": "1"}, tmp_path, placeholders=True)


@pytest.mark.parametrize("allowed", ["true", "[brand_new]", "[Brand_New]"])
def test_a_route_may_allow_members_that_only_its_own_halo_has(load, allowed):
    assert found(load, publisher("{brand_new: 1}", more=f"    allow_unknown: {allowed}\n")) == ([], [])


def test_a_whole_document_in_jsonata_is_checked_too(load):
    text = 'publishers:\n  a:\n    client: main\n    queue: q\n    entity: Asset\n    transform: |\n      {"payload": {\n        "inventry_number": a}}\n'
    with_mistake = load(text)
    (warning,) = with_mistake.warnings
    assert (warning.line, warning.column) == (13, 9)
    assert (warning.excerpt, warning.caret) == ('        "inventry_number": a}}', 8)


CREATES = [
    ("Actions", "{outcome: Note}", "needs `ticket_id`"),
    ("Actions", "{ticket_id: 1}", "needs `outcome` or `outcome_id`"),
    ("Users", "{site_id: 1}", "needs `name` or `firstname` or `surname`"),
    ("Users", "{name: Ann}", "needs `site_id`"),
    ("Agent", "{email: a@b.c}", "needs `name`"),
    ("Tickets", "{details: a}", "needs `summary`"),
    ("Tickets", "{summary: a, user_id: 3}", "needs `site_id`"),
    ("Tickets", "{summary: ''}", "needs `summary`"),
    ("Site", "{name: a}", "needs `client_id`"),
    ("Tickets", "[{summary: a}, {details: b}]", "needs `summary`"),
]


@every(("entity", "payload", "said"), CREATES)
def test_a_new_record_without_what_halo_needs_is_a_warning(load, entity, payload, said):
    problems, warnings = found(load, publisher(payload, entity))
    assert problems == []
    (warning,) = warnings
    assert said in warning


@pytest.mark.parametrize(
    ("entity", "payload"),
    [
        ("Actions", "{ticket_id: '{{ a }}', outcome_id: 7, who: Ann}"),
        ("Tickets", "{id: 4, status_id: 9}"),
        ("Tickets", "{id?: '{{ a }}', user_id: 9}"),
        ("Tickets", "{summary: a, user_id: 3, site_id: 4}"),
        ("Users", "{id: '{{ a }}', inactive: true}"),
        ("Users", "{'{{ name }}': 1}"),
    ],
)
def test_updates_and_records_with_what_they_need_are_not_blamed(load, entity, payload):
    assert [warning for warning in found(load, publisher(payload, entity))[1] if "needs" in warning] == []


@every(
    ("entity", "query", "said"),
    [
        ("Actions", "", "Actions needs `ticket_id` under `query`"),
        ("Actions", "request: {query: {ticket_id: null}}", "Actions needs `ticket_id`"),
        ("AssetChange", "", "AssetChange needs `asset_id`"),
        ("AssetSoftware", "", "AssetSoftware needs `device_id`"),
        ("Actions", "request: {query: {Ticket_Id: 3}}", None),
        ("Actions", 'input_transform: {query: {ticket_id: "{{ 3 }}"}}', None),
        ("Actions", 'input_transform: {query: "{{ $ }}"}', None),
        ("Tickets", "", None),
    ],
)
def test_a_list_that_needs_a_parameter_is_a_warning_without_it(load, entity, query, said):
    warnings = found(load, f"subscribers:\n  a:\n    client: main\n    entity: {entity}\n    {query}\n")[1]
    assert (len(warnings), all(said in warning for warning in warnings)) == ((1, True) if said else (0, True))


def test_a_lookup_is_checked_as_a_list_and_for_misspelt_members(load):
    more = "    find: {query: {excludesys: true}, match: {outcom: Note, surely_own: 1}}\n"
    problems, warnings = found(load, publisher("{ticket_id: 1, outcome: Note}", "Actions", more))
    assert problems == []
    assert [text.split(",")[0] for text in warnings] == [
        "Actions needs `ticket_id` under `query`: without it Halo answers after a long time",
        "Actions has no member `outcom`",
    ]


def step(action, body, more=""):
    return f"""runbooks:
  a:
    start: {{queue: q}}
    input: {{Id: request^id}}
    first: one
    steps:
      one: {{action: {action}, client: main, body: {body}{more}}}
"""


@every("action", [action for action in ACTIONS.values() if action.method == "POST"], ids=lambda action: action.name)
def test_no_action_is_blamed_for_its_own_template(load, action):
    assert found(load, step(action.name, str(dict(action.template)).replace("True", "true").replace("False", "false"))) == ([], [])


def test_a_step_is_checked_like_a_publisher(load):
    problems, warnings = found(load, step("create_ticket", "{summary: a, user_id: <<Id>>, tickettype_id: x, sumary: b}"))
    assert problems == ["`tickettype_id` must be a whole number"]
    assert [text.split(";")[0].split(":")[0] for text in warnings] == [
        "a new record of Tickets needs `site_id`",
        "POST Tickets has no member `sumary` (Halo would ignore it",
    ]
    assert found(load, step("update_ticket", "{id: <<Id>>, user_id: <<Id>>, mine: 1}", ", allow_unknown: [mine]")) == ([], [])


def test_a_method_of_halos_own_api_is_checked_too(load):
    text = """integrations:
  own:
    auth: {type: halo, client: main}
    methods:
      good: {method: POST, path: /Tickets, body: [{summary: <<A>>, tickettype_id: 1}]}
      bad: {method: POST, path: /tickets, body: {sumary: <<A>>}}
      dynamic: {method: POST, path: "/Tickets/<<Id>>", body: {sumary: <<A>>}}
"""
    problems, warnings = found(load, text)
    assert problems == []
    assert warnings == [
        "POST Tickets takes an array: Halo refuses one object without brackets around it",
        "POST Tickets has no member `sumary` (Halo would ignore it); did you mean summary?",
    ]


def test_a_tenants_own_api_decides_about_the_members_of_its_routes(load, tmp_path):
    document = openapi_document(load_catalogue())
    document["components"]["schemas"]["Device"]["properties"]["brand_new"] = {"type": "integer"}
    (tmp_path / "routes").mkdir()
    (tmp_path / "routes" / "own.json").write_bytes(orjson.dumps(document))
    own = "  other:\n    url: https://b.haloitsm.com\n    openapi: own.json\n    auth: {type: client_credentials, client_id: a, client_secret: b}\n"
    assert found(load, own + publisher("{brand_new: 1}").replace("main", "other")) == ([], [])
    assert len(found(load, own + publisher("{brand_new: 1}"))[1]) == 1
