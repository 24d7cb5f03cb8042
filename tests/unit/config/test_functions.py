"""`$date`, `$fail`, `$table` and `$id`: what they yield, how they fail, and what `check` says of their literals."""

from __future__ import annotations

import asyncio

import pytest

from tests.tools.evaluating import InProcess
from tests.tools.every import every
from worker.config.expressions import compile_template
from worker.config.function_calls import calls_of, literal_value
from worker.config.template_lexer import tokens
from worker.core.errors import ConfigError, ExpressionError
from worker.core.lookups import LookupAnswer
from worker.flows.lookups.evaluator import MOST_LOOKUPS, LookupEvaluator

TABLES = {"customers": {"ACME": 12, "7": 70}, "models": {"a": {"x": 1}}}
MESSAGE = {"code": "ACME", "n": 7, "site": "Berlin", "nil": None, "empty": "", "secret": "planted", "rows": [{"c": "ACME"}, {"c": "7"}]}
PICTURE = "'[D]/[M]/[Y]'"


class SomeIds:
    """Knows each record by its name's length, but for the one named `nobody`, and `twins`."""

    def __init__(self):
        self.asked = []

    async def find(self, entity, members):
        self.asked.append((entity, members))
        name = members.get("name")
        if name in {"nobody", "twins"}:
            return LookupAnswer(found=False, reason=f"no {entity}", refused=name == "twins")
        return LookupAnswer(found=True, value=len(str(name)))


class Anywhere:
    """A place with the tables of these tests."""

    tables = TABLES
    has_client = True

    def child(self, _):
        return self

    def problem(self, message, offset=0):
        from worker.core.errors import Problem

        return Problem("f", 1, offset + 1, message)

    def fill(self, text):
        return text


def result(expression, context=MESSAGE, ids=None):
    template = compile_template({"v": f"{{{{ {expression} }}}}"}, Anywhere(), "omit")
    return asyncio.run(template.evaluate(context, {}, LookupEvaluator(InProcess(), TABLES, ids or SomeIds()))).get("v", "nothing")


def reason(expression, context=MESSAGE, ids=None):
    with pytest.raises(ExpressionError) as failed:
        result(expression, context, ids)
    assert "planted" not in str(failed.value)
    return str(failed.value).removeprefix("`v`: the expression at f:1:4: ")


@every(
    ("expression", "value"),
    [
        (f"$date('31/12/2025', {PICTURE})", "2025-12-31"),
        ("$date('2024-02-29', '[Y]-[M]-[D]')", "2024-02-29"),
        ("$date(20251231, '[Y0001][M01][D01]')", "2025-12-31"),
        ("$date('3 March 2025', '[D] [MNn] [Y]')", "2025-03-03"),
        ("$date('12/2025', '[M]/[Y]')", "2025-12-01"),
        ("$date('2025-12-31 08:15', '[Y]-[M]-[D] [H]:[m]')", "2025-12-31T08:15:00Z"),
        ("$date('2025-12-31 08:15 +02:00', '[Y]-[M]-[D] [H]:[m] [Z]')", "2025-12-31T06:15:00Z"),
        ("$date('2025-12-31 08:15:01.250', '[Y]-[M]-[D] [H]:[m]:[s].[f]')", "2025-12-31T08:15:01.250Z"),
        ("$date('[H] 31/12/2025', '[[H]] [D]/[M]/[Y]')", "2025-12-31"),
        (f"$date(nope, {PICTURE})", "nothing"),
        (f"$date(nil, {PICTURE})", "nothing"),
        (f"$map(['1/2/2025', '3/2/2025'], function($d){{ $date($d, {PICTURE}) }})", ["2025-02-01", "2025-02-03"]),
    ],
)
def test_a_date_by_its_picture(expression, value):
    assert result(expression) == value


@every(
    ("expression", "expected"),
    [
        (f"$date('31/02/2025', {PICTURE})", "a text is not a possible date or time of its picture, or the picture lacks what makes up a date (D3136)"),
        (f"$date(secret, {PICTURE})", "$date was given a text that does not fit its picture '[D]/[M]/[Y]'"),
        (f"$date('31/12/2025 ', {PICTURE})", "$date was given a text that does not fit its picture '[D]/[M]/[Y]'"),
        (f"$date(empty, {PICTURE})", "$date was given a text that does not fit its picture '[D]/[M]/[Y]'"),
        (f"$date(rows, {PICTURE})", "$date was given a text that does not fit its picture '[D]/[M]/[Y]'"),
        ("$date('x', '[D]/' & '[M]/[Y]')", "$date was given a text that does not fit its picture"),
        ("$date('31.12.25', '[D].[M].[Y01]')", "$date was given a year of fewer than four digits: the century is ambiguous"),
        (f"$date('31/12/99999', {PICTURE})", "$date was given a year that is not possible"),
        ("$date('3', '[D]' & '')", "$date: its picture needs [Y] and [M], else the date depends on today's"),
        ("$date('31', nil)", "$date needs a picture such as '[D]/[M]/[Y]'"),
    ],
)
def test_a_date_that_is_impossible_or_of_another_form_fails_without_its_text(expression, expected):
    assert reason(expression) == expected


@every(
    ("expression", "expected"),
    [
        ("$fail('the customer is unknown')", "the customer is unknown"),
        ('code = \'ACME\' ? $fail("say \\"no\\"\\n") : 1', 'say "no"\n'),
        ("$fail('unknown ' & secret)", "$fail was called (its text is computed, so it is not shown: only a text written out is)"),
        ("$fail(secret)", "$fail was called (its text is computed, so it is not shown: only a text written out is)"),
        ("$fail(rows)", "$fail was called (its text is computed, so it is not shown: only a text written out is)"),
        ("$error('as written: \"it\"')", 'as written: "it" (D3137)'),
        ('$error("a \\"quote\\"")', 'a "quote" (D3137)'),
        ("$error(secret)", "$error was called (D3137)"),
        ("$assert(n > 8, 'n is small')", "n is small (D3141)"),
        ("$assert(n > 8, secret)", "an $assert did not hold (D3141)"),
    ],
)
def test_a_text_that_the_author_wrote_out_is_told_and_a_computed_one_is_not(expression, expected):
    assert reason(expression) == expected


@every(
    ("expression", "value"),
    [
        ("$table('customers', code)", 12),
        ("$table('customers', n)", 70),
        ("$table('customers', 7.0)", 70),
        ("$table('customers', '7')", 70),
        ("$table('models', 'a').x", 1),
        ("$table('models', 'a').y", "nothing"),
        ("$table('customers', 'ZZ', 5)", 5),
        ("$table('customers', 'ZZ', null)", None),
        ("$table('customers', nope)", "nothing"),
        ("$table('customers', nil)", "nothing"),
        ("$table('customers', nope, 5)", 5),
        ("$table('cust' & 'omers', code)", 12),
        ("rows.{'id': $table('customers', c)}", [{"id": 12}, {"id": 70}]),
        ("$map(rows, function($r){ $table('customers', $r.c) })", [12, 70]),
        ("$table('customers', code) + 1", 13),
    ],
)
def test_a_row_of_a_table(expression, value):
    assert result(expression) == value


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("$table('customers', secret)", "$table: the table `customers` has no such row"),
        ("$table('customers', empty)", "$table: the table `customers` has no such row"),
        ("$table('customers', 'acme')", "$table: the table `customers` has no such row"),
        ("$table(secret, code)", "$table: there is no such table; there are customers, models"),
        ("$table(secret, code, 1)", "$table: there is no such table; there are customers, models"),
        ("$table('customers', rows)", "$table needs the name of a table, and a text or number as key"),
    ],
)
def test_a_row_that_is_not_there_fails_and_its_key_is_not_told(expression, expected):
    assert reason(expression) == expected


@every(
    ("expression", "value"),
    [
        ("$id('Site', {'name': site})", 6),
        ("$id('Site', {'name': site, 'client_id': $table('customers', code)})", 6),
        ("$id('Site', {'name': 'nobody'}, 3)", 3),
        ("$id('Site', {'name': 'nobody'}, null)", None),
        ("$id('Site', {'name': nope, 'client_id': 12})", "nothing"),
        ("$id('Site', {'name': nil, 'client_id': 12})", "nothing"),
        ("$id('Site', {'name': empty, 'client_id': 12})", "nothing"),
        ("$id('Site', {'name': ' ', 'client_id': 12})", "nothing"),
        ("$id('Site', {'name': nope, 'client_id': 12}, 3)", 3),
        ("$id('Site', {'name': site}) = 6 ? 'six' : $fail('another')", "six"),
        ("($id := 5; $id + 1)", 6),
        ("$map([1, 2], function($id){ $id * 2 })", [2, 4]),
    ],
)
def test_an_id_by_name(expression, value):
    assert result(expression) == value


def test_a_missing_member_asks_nothing_since_the_others_would_find_another_record():
    ids = SomeIds()
    assert result("[$id('Site', {'name': nope, 'client_id': 12}), $id('Site', {'client_id': 12})]", ids=ids) == [4]
    assert ids.asked == [("Site", {"client_id": 12})]


def test_a_lookup_that_needs_another_waits_for_it():
    ids = SomeIds()
    result("$id('Site', {'name': site, 'client_id': $id('Client', {'name': 'Acme'})})", ids=ids)
    assert ids.asked == [("Client", {"name": "Acme"}), ("Site", {"name": "Berlin", "client_id": 4})]


def test_all_lookups_of_a_template_take_one_round():
    evaluator = InProcess()
    template = compile_template({"a": "{{ $id('Team', {'name': 'a'}) }}", "b": "{{ $table('customers', code) & 'x' }}", "c": "{{ n + 1 }}"}, Anywhere(), "fail")
    assert asyncio.run(template.evaluate(MESSAGE, {}, LookupEvaluator(evaluator, TABLES, SomeIds()))) == {"a": 1, "b": "12x", "c": 8}
    assert [len(question.expressions) for question in evaluator.questions] == [3, 2]


def test_none_fails_and_two_fail_with_a_default_too():
    assert reason("$id('Site', {'name': 'nobody'})") == "$id: no Site"
    assert reason("$id('Site', {'name': 'twins'}, 3)") == "$id: no Site"


def test_one_message_cannot_ask_without_end():
    many = {"rows": [{"name": f"n{number}"} for number in range(MOST_LOOKUPS + 1)]}
    assert reason("rows.$id('Agent', {'name': name})", many) == f"it needs more than {MOST_LOOKUPS} lookups of $table and $id for one message"
    deep = "(" + "$f := function($n){ $n = 0 ? 1 : $id('Site', {'client_id': $f($n - 1), 'name': 'x' & $n}) }; $f(20))"
    assert reason(deep) == "more than 10 lookups of $table and $id depend on each other"


def test_without_a_client_or_tables_a_lookup_fails():
    template = compile_template("{{ $id('Site', {'name': site}) }}", Anywhere())
    with pytest.raises(ExpressionError, match="no client of Halo is known here"):
        asyncio.run(template.evaluate(MESSAGE, {}, LookupEvaluator(InProcess(), TABLES)))
    with pytest.raises(ExpressionError, match=r"`\$table` and `\$id` are not available here"):
        asyncio.run(template.evaluate(MESSAGE, {}, InProcess()))


@every(
    ("expression", "message"),
    [
        ("$table('customer', code)", "f:1:11: there is no table `customer`; did you mean customers?"),
        ("$id('Sit', {'name': site})", "f:1:8: there is no entity 'Sit'; did you mean Site?"),
        ("$id('Site', {'nmae': site})", "f:1:16: Site has no member `nmae`; did you mean name?"),
        ("$id('Client/{id}', {'name': site})", "f:1:8: Client/{id} is not a list in which `$id` can look"),
        ("$id(code, {'name': site})", "f:1:8: the entity of `$id` must be a text written out: $id('Site', {'name': site})"),
        ("$id('Site', rows)", "f:1:16: the members of `$id` must be written out as an object with names in quotes, so that a missing one is noticed"),
        ("$id('Site', {code: site})", "f:1:16: the members of `$id` must be written out as an object with names in quotes, so that a missing one is noticed"),
        ("$id('Site')", "f:1:4: `$id` is called as $id('Site', {'name': site})"),
        ("$date('1/2/2025')", "f:1:4: `$date` is called as $date(text, '[D]/[M]/[Y]')"),
        ("$date(code, '[Q]/[M]/[Y]')", "f:1:16: `$date`: its picture has no component `Q`; valid are Y M D d F W w X x H h P m s f Z z C E"),
        ("$date(code, '[D]/[M]')", "f:1:16: `$date`: its picture needs [Y] and [M], else the date depends on today's"),
        ("$fail()", "f:1:4: `$fail` is called as $fail('the reason')"),
        ("$table('customers', code, 1, 2)", "f:1:4: `$table` is called as $table('name', key)"),
    ],
)
def test_a_mistake_in_a_literal_is_found_before_anything_runs(expression, message):
    with pytest.raises(ConfigError) as wrong:
        compile_template(f"{{{{ {expression} }}}}", Anywhere())
    assert str(wrong.value).startswith(message)


@pytest.mark.parametrize(
    "expression",
    ["$id('Users', {'client_name': code, 'emailaddress': site})", "$id('ticketstatus', {'name': code})", "$id('Priority', {'name': code, 'slaid': 1})"],
)
def test_members_of_rows_and_aliases_are_accepted(expression):
    compile_template(f"{{{{ {expression} }}}}", Anywhere())


PLACES = """
publishers:
  p: {{client: main, queue: q, entity: Asset, {publisher}}}
subscribers:
  s: {{client: main, entity: Tickets, {subscriber}}}
"""
CALL = "{{ $id('Site', {'name': x}) }}"


@pytest.mark.parametrize("member", ["when", "once", "transform", "find: {match: {a: X}}", "order_by"])
def test_a_publisher_may_ask_its_client_everywhere_but_for_the_order(load, member):
    text = member.replace("X", f'"{CALL}"') if "X" in member else f'{member}: "{CALL}"'
    source = PLACES.format(publisher=text, subscriber=f'when: "{CALL}"')
    if member != "order_by":
        load(source)
        return
    with pytest.raises(ConfigError, match=r"`\$id` is not available here: it asks the route's client"):
        load(source)


def test_a_condition_of_a_runbook_and_a_method_have_no_client_to_ask(load):
    with pytest.raises(ConfigError) as wrong:
        load(f"""
integrations:
  api: {{base_url: "https://api.example.com", auth: {{type: none}}, methods: {{m: {{method: POST, path: /x, body: {{a: "{CALL}"}}}}}}}}
runbooks:
  r:
    start: {{queue: go}}
    first: a
    steps:
      a: {{action: create_action, client: main, body: {{ticket_id: 1, outcome: x, note: "{CALL}"}}, next: b}}
      b: {{method: api.m, next: [{{when: "{CALL}", go: c}}, {{go: c}}]}}
      c: {{end: done}}
""")
    assert [problem.line for problem in wrong.value.problems if "is not available here" in problem.message] == [8, 15]


def test_calls_are_read_with_their_literals():
    text = "$id('Site', {'name': $f({'x': 1}, [2, 3]), \"client_id\": 4}, 5) & $table(\"t\", /a,b/ ) & `$id(`"
    calls = calls_of(list(tokens(text)))
    assert [(call.name, len(call.arguments), sorted(call.members)) for call in calls] == [("$id", 3, ["client_id", "name"]), ("$table", 2, [])]
    assert (calls[0].literal(0), calls[0].literal(1), calls[1].literal(0)) == ("Site", None, "t")


@pytest.mark.parametrize(("text", "value"), [("'a'", "a"), ('"a\\"b"', 'a"b'), ("'a\"b\\n'", 'a"b\n'), ("'\\u00e9\"'", 'é"'), ("'\\\\'", "\\")])
def test_a_literal_is_read_as_the_engine_reads_it(text, value):
    assert literal_value(text) == value
    assert result(text) == value
