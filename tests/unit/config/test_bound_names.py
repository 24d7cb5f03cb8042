"""Variables that nothing binds are found before a run."""

import pytest

from tests.tools.every import every
from worker.core.errors import ConfigError


def messages(load, text):
    try:
        load(text)
    except ConfigError as error:
        return [problem.message for problem in error.problems]
    return []


def publisher(expression):
    return f"publishers:\n  a:\n    client: main\n    queue: q\n    entity: Asset\n    transform:\n      payload:\n        inventory_number: {expression}\n"


def subscriber(more):
    return f"subscribers:\n  a:\n    client: main\n    entity: Tickets\n    {more}\n"


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ('"{{ $custmer }}"', "`$custmer` is never bound, so it yields nothing; bound here: $client, $headers, $message, $route"),
        ('"{{ $heders.a }}"', "`$heders` is never bound, so it yields nothing; did you mean $headers?"),
        ('"a {{ $x }} b"', "`$x` is never bound"),
        ('"{{ ($serial := a; $seral) }}"', "did you mean $serial?"),
        ('"{{ $map(rows, function($row) { $roww.a }) }}"', "did you mean $row?"),
        ('"{{ $change }}"', "`$change` is the kind of change"),
        ('"{{ $parent.id }}"', "`$parent` is the parent's record under `for_each`"),
    ],
)
def test_a_variable_that_nothing_binds_is_a_mistake(load, expression, said):
    (message,) = messages(load, publisher(expression))
    assert said in message


@every(
    "expression",
    [
        '"{{ $headers.a & $message.id & $route & $client }}"',
        '"{{ $ }}"',
        '"{{ $$.a }}"',
        '"{{ ($a := 1; $b := $a; $b) }}"',
        '"{{ $map(rows, function($row, $index) { $row.a & $index }) }}"',
        '"{{ $map(rows, $uppercase) }}"',
        '"{{ rows@$r#$i.($r.a & $i) }}"',
        '"{{ ($f := function($n) { $n < 1 ? 1 : $f($n - 1) }; $f(3)) }}"',
        "\"{{ '$custmer' & /$x/.match & `$y` /* $z */ }}\"",
    ],
)
def test_what_the_worker_or_the_expression_binds_is_good(load, expression):
    assert messages(load, publisher(expression)) == []


def test_each_variable_is_named_once_an_expression_and_at_its_place(load):
    with pytest.raises(ConfigError) as raised:
        load(publisher('"{{ $x & $x & $y }}"'))
    assert [(problem.line, problem.column) for problem in raised.value.problems] == [(13, 31), (13, 41)]


@pytest.mark.parametrize(
    "more",
    [
        "when: $chnage = 'created'",
        'transform: {a: "{{ $chnage }}"}',
        'publish: {routing_key: "x.{{ $chnage }}"}',
        'input_transform: {query: {search: "{{ $change }}"}}',
        'request: {query: {search: "{{ $change }}"}}',
    ],
)
def test_subscribers_are_checked_wherever_expressions_stand(load, more):
    assert [message for message in messages(load, subscriber(more)) if "is never bound" in message]


def test_texts_without_expressions_hold_no_variables(load):
    assert messages(load, subscriber("transform: {a: costs $5, b: $x}")) == []


def test_the_expressions_of_runbooks_have_no_variables_but_their_own(load):
    text = """runbooks:
  a:
    start: {queue: q}
    input: {Id: request^id}
    first: one
    steps:
      one: {action: get_control, client: main, next: [{when: "{{ $status = 200 }}", go: two}, {go: two}]}
      two: {action: create_action, client: main, body: {ticket_id: <<Id>>, outcome: Note, note: "{{ $Id & ($x := 1; $x) }}"}}
"""
    assert messages(load, text) == [
        "`$status` is never bound, so it yields nothing; a member of the input is written without `$`",
        "`$Id` is never bound, so it yields nothing; bound here: $x",
    ]
