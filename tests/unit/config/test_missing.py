"""What becomes of a member whose expression yields nothing, and of one that is required."""

from __future__ import annotations

import pytest

from tests.tools.evaluating import InProcess, evaluated, filled, now
from tests.tools.every import every
from worker.config.expressions import compile_expression, compile_template
from worker.config.run_templates import compile_run_template
from worker.config.run_values import Values
from worker.core.errors import ConfigError, ExpressionError

MESSAGE = {"serial": "A1", "nil": None, "empty": "", "zero": 0, "deep": {"in": {"here": "x"}}, "secret": "planted"}
PUBLISHER = """
publishers:
  computers:
    client: main
    queue: cmdb
    entity: Asset
    transform:
      payload:
        inventory_number: "{{ serial }}"
        client_id: "{{ customer.id }}"
        notes?: "{{ remark }}"
"""
STEP = """
runbooks:
  note:
    start: {queue: go}
    input: {Text: "request^text", Hint: "request^hint"}
    first: write
    steps:
      write:
        action: create_action
        client: main
        body:
          ticket_id: 7
          outcome: Note
          note: "{{ Text }}"
          hint?: <<Hint>>
          plain: <<Hint>>
"""


def made(template, missing, context=MESSAGE):
    return evaluated(compile_template(template, missing=missing), context, {})


def test_fail_names_every_member_that_is_missing_and_no_data():
    with pytest.raises(ExpressionError) as failed:
        made({"a": "{{ nope }}", "b": {"c": ["{{ serial }}", "{{ nope2 }}"], "d": "text {{ nope }}"}, "s": "{{ secret }}"}, "fail")
    assert str(failed.value) == (
        "`a` is missing: the expression yields nothing; `b.c.1` is missing: the expression yields nothing; `b.d` is missing: the expression yields nothing"
    )


def test_the_engines_answer_is_nothing_as_a_path_is():
    with pytest.raises(ExpressionError, match="`a` is missing"):
        made({"a": "{{ $uppercase(nope) }}"}, "fail")
    assert made({"a": "{{ $uppercase(serial) }}"}, "fail") == {"a": "A1"}


@pytest.mark.parametrize(("missing", "expected"), [("omit", {"t": "text ", "l": [1]}), ("null", {"a": None, "t": "text ", "l": [None, 1], "m": {"x": None}})])
def test_omit_leaves_the_member_out_and_null_says_so(missing, expected):
    template = {"a": "{{ nope }}", "t": "text {{ nope }}", "l": ["{{ nope }}", 1], "m": {"x": "{{ nope }}"}}
    assert made(template, missing) == ({"m": {}} | expected)


def test_null_and_empty_text_are_values():
    assert made({"a": "{{ nil }}", "b": "{{ empty }}", "c": "{{ zero }}"}, "fail") == {"a": None, "b": "", "c": 0}


@pytest.mark.parametrize("missing", ["fail", "omit", "null"])
def test_a_member_with_a_question_mark_may_be_missing(missing):
    template = {"a?": "{{ nope }}", "b?": "text {{ nope }}", "c?": "{{ serial }}", "d?": {"e": "{{ serial }}", "f?": "{{ nope }}"}}
    assert made(template, missing) == {"c": "A1", "d": {"e": "A1"}}


def test_an_optional_mapping_that_lacks_a_member_is_left_out_whole():
    assert made({"a?": {"b": "{{ nope }}", "c": 1}, "d": 2}, "fail") == {"d": 2}


def test_two_question_marks_are_one_of_the_name_and_three_are_one_of_an_optional_name():
    assert made({"really??": "{{ serial }}", "why???": "{{ nope }}", "who???": 1, "four????": 2}, "fail") == {"really?": "A1", "who?": 1, "four??": 2}
    with pytest.raises(ExpressionError, match=r"`really\?` is missing"):
        made({"really??": "{{ nope }}"}, "fail")


def test_a_member_with_and_without_its_mark_is_given_twice():
    with pytest.raises(ConfigError, match="`a` is given twice"):
        compile_template({"a": 1, "a?": 2})


def test_an_expression_that_makes_the_whole_document_must_make_one():
    with pytest.raises(ExpressionError, match=r"^`transform` is missing: the expression yields nothing$"):
        evaluated(compile_expression("nope", missing="fail", name="transform"), MESSAGE, {})
    assert evaluated(compile_expression("nope"), MESSAGE, {}) is None


def test_an_error_in_an_expression_names_the_member_too():
    with pytest.raises(ExpressionError, match=r"^`b\.c`: the expression: a value cannot be turned into a number"):
        made({"b": {"c": "{{ $number(secret) }}"}}, "fail")


def test_a_variable_that_is_missing_is_null_as_in_halo_unless_its_member_is_optional():
    values = Values({"There": 1})
    template = compile_run_template({"a": "<<There>>", "b": "<<Nope>>", "c?": "<<Nope>>", "d": "x <<Nope>>"}, missing="fail")
    assert filled(template, values) == {"a": 1, "b": None, "d": "x "}
    with pytest.raises(ExpressionError, match="`a` is missing"):
        filled(compile_run_template({"a": "{{ Nope }}"}, missing="fail"), values)


def test_a_publisher_fails_where_a_subscriber_leaves_out(load):
    routes = load(PUBLISHER + "subscribers:\n  feed: {client: main, entity: Tickets, transform: {a: '{{ nope }}'}}\n")
    with pytest.raises(ExpressionError) as failed:
        evaluated(routes.publishers["computers"].transform, MESSAGE, {})
    assert str(failed.value) == "`transform.payload.client_id` is missing: the expression at routes/main.yaml:15:24 yields nothing"
    assert evaluated(routes.publishers["computers"].transform, MESSAGE | {"customer": {"id": 1}}, {}) == {"payload": {"inventory_number": "A1", "client_id": 1}}
    assert evaluated(routes.subscribers["feed"].transform, MESSAGE, {}) == {}


def test_missing_is_set_for_each_route(load):
    routes = load(PUBLISHER.replace("    transform:", "    missing: omit\n    transform:"))
    assert evaluated(routes.publishers["computers"].transform, MESSAGE, {}) == {"payload": {"inventory_number": "A1"}}


def test_the_body_of_an_action_fails_and_names_its_member(load):
    body = load(STEP).runbooks["note"].steps["write"].body
    with pytest.raises(ExpressionError, match=r"^`body\.note` is missing: the expression at routes/main\.yaml:\d+:\d+ yields nothing$"):
        now(body.fill(Values({}), InProcess()))
    assert now(body.fill(Values({"Text": "hi"}), InProcess())) == {"ticket_id": 7, "outcome": "Note", "note": "hi", "plain": None}


def required(load, names, transform="    transform: '{\"payload\": $}'\n", **more):
    head = "publishers:\n  computers:\n    client: main\n    queue: cmdb\n    entity: Asset\n"
    return load(f"{head}    required: [{names}]\n{transform}", **more).publishers["computers"].required


@every(
    ("payload", "reason"),
    [
        ({"a": 1, "b": {"c": 0}}, None),
        ({"a": False, "b": {"c": "x"}}, None),
        ({"a": 1, "b.c": "named with a dot"}, None),
        ({"a": 1, "b": [{"c": 1}, {"c": 2}]}, None),
        ({"b": {"c": 1}}, "`payload.a` is missing (it is required in routes/main.yaml:11)"),
        ({"a": None, "b": {"c": 1}}, "`payload.a` is empty (it is required in routes/main.yaml:11)"),
        ({"a": " ", "b": {"c": 1}}, "`payload.a` is empty (it is required in routes/main.yaml:11)"),
        (
            {"a": [], "b": {"c": {}}},
            "`payload.a` is empty (it is required in routes/main.yaml:11); `payload.b.c` is empty (it is required in routes/main.yaml:11)",
        ),
        ({"a": 1, "b": 5}, "`payload.b.c` is missing (it is required in routes/main.yaml:11)"),
        ({"a": 1, "b": []}, "`payload.b.c` is missing (it is required in routes/main.yaml:11)"),
        ({"a": 1, "b": [{"c": 1}, {}]}, "`payload.b.c` is missing (it is required in routes/main.yaml:11)"),
        ([{"a": 1, "b": {"c": 1}}, {"a": 1}], "`payload.b.c` is missing (it is required in routes/main.yaml:11)"),
    ],
)
def test_what_is_required_is_there_and_not_empty(load, payload, reason):
    rule = required(load, "a, b.c")
    if reason is None:
        rule.check(payload, "payload.")
        return
    with pytest.raises(ExpressionError) as failed:
        rule.check(payload, "payload.")
    assert str(failed.value) == reason


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("serail", "`required` names `serail`, which `payload` does not make; did you mean serial?"),
        ("note", "`required` names `note`, which `note?` marks as one that may be missing: leave one of them out"),
        ("a..b", "`a..b` is not the name of a member, nor several with dots between them"),
    ],
)
def test_what_a_mapping_never_makes_cannot_be_required(load, names, message):
    with pytest.raises(ConfigError) as wrong:
        required(load, names, "    transform: {payload: {serial: '{{ s }}', note?: '{{ n }}'}}\n")
    assert [problem.message for problem in wrong.value.problems] == [message]


def test_a_deletion_has_no_payload_to_require_anything_of(load):
    with pytest.raises(ConfigError, match="`required` is for payloads: a DELETE sends none"):
        load("publishers: {gone: {client: main, queue: q, entity: 'Asset/{id}', method: DELETE, required: [id]}}")


def test_parameters_in_a_transform_may_be_missing_under_their_mark(load):
    gone = "publishers: {gone: {client: main, queue: q, entity: 'Tickets/{id}', method: DELETE, transform: {path: {id: '{{ n }}'}, query: {reason?: '{{ why }}'}}}}"
    assert evaluated(load(gone).publishers["gone"].transform, {"n": 7}, {}) == {"path": {"id": 7}, "query": {}}
    with pytest.raises(ConfigError, match="no query parameter 'raeson'"):
        load(gone.replace("reason", "raeson"))


@pytest.mark.parametrize("written", ["null", '"null"'])
def test_null_may_be_written_with_and_without_quotes(load, written):
    route = f"publishers: {{one: {{client: main, queue: q, entity: Asset, missing: {written}, transform: {{payload: {{notes: '{{{{ n }}}}'}}}}}}}}"
    assert evaluated(load(route).publishers["one"].transform, {}, {}) == {"payload": {"notes": None}}
