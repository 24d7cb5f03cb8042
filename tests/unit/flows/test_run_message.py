"""A run as a message: what goes in comes out, and what is no run is refused in a sentence."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.every import every
from tests.unit.flows.routes import Arrived
from worker.config.control_steps import MOST_STARTS
from worker.config.run_values import Values
from worker.core.errors import Undecodable
from worker.core.message import Message
from worker.flows.running import run_message
from worker.flows.running.run_message import Run, run_id_of, start_message, started_by

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.integers(-(2**53), 2**53) | st.floats(-(2.0**53), 2.0**53, width=32)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)
names = texts.filter(bool)
runs = st.builds(
    Run,
    id=names,
    runbook=names,
    step=st.none() | texts,
    visit=st.integers(0, 10_000),
    variables=st.dictionaries(texts, values, max_size=5),
    plain=st.lists(texts, max_size=3).map(tuple),
    status=st.none() | st.integers(100, 599),
    response=values,
    request=values,
    started=texts,
)
whole = Run("r1", "rb", step="ask", visit=3, variables={"A": 1}, plain=("A",), status=200, response={}, request=[], started="2026-01-01")


@given(runs)
def test_a_run_survives_its_message(run: Run):
    message = run.message()
    assert Run.read(message.body) == run
    assert (message.correlation_id, message.message_id) == (run.id, ""), "each publishing is to get an id of its own"


@given(runs, st.builds(Values, st.dictionaries(texts, values, max_size=3), st.frozensets(texts, max_size=3), st.none() | st.integers(100, 599), values), names)
def test_the_next_step_takes_the_values_along_and_keeps_what_the_run_is(run: Run, found: Values, step: str):
    then = Run.read(run.next(step, found).message().body)
    assert (then.id, then.runbook, then.request, then.started) == (run.id, run.runbook, run.request, run.started)
    assert (then.step, then.visit) == (step, run.visit + 1)
    assert then.values() == replace(found, request=run.request)


@given(st.binary(max_size=60) | values.map(lambda value: json.dumps(value).encode()))
def test_what_is_no_run_is_refused(body: bytes):
    with pytest.raises(Undecodable):
        Run.read(body)


@given(st.sampled_from(["id", "runbook", "step", "visit", "variables", "plain", "status", "started"]), values)
def test_a_member_of_another_type_never_gets_through_as_it_is(member: str, value: Any):
    document = json.loads(whole.message().body) | {member: value}
    try:
        run = Run.read(json.dumps(document).encode())
    except Undecodable:
        return
    assert type(run.visit) is int
    assert run.visit >= 0
    assert isinstance(run.variables, dict)
    assert isinstance(run.step, str | None)
    assert all(isinstance(name, str) for name in run.plain)
    assert isinstance(run.id + run.runbook + run.started, str)


@every("member", ["id", "runbook", "step", "visit", "variables", "plain", "status", "response", "request", "started"])
def test_a_member_that_is_missing_is_named(member: str):
    document = json.loads(whole.message().body)
    del document[member]
    with pytest.raises(Undecodable, match=f"lacks its member '{member}'"):
        Run.read(json.dumps(document).encode())


@pytest.mark.parametrize(
    "wrong", [{"dead_class": "nonsense"}, {"dead_class": 5}, {"reason": 6}, {"status": "x"}, {"status": True}, {"step": None}, {"more": 1}], ids=str
)
def test_a_failure_of_another_shape_is_refused_and_never_read_as_one(wrong: dict[str, Any]):
    failure = {"dead_class": "rejected", "reason": "no", "status": 400, "step": "a"}
    document = json.loads(whole.message().body)
    read = Run.read(json.dumps(document | {"returned": {"run": None, "failure": failure}}).encode())
    assert read.returned is not None
    assert read.returned.failure is not None
    with pytest.raises(Undecodable, match="wrong type"):
        Run.read(json.dumps(document | {"returned": {"run": None, "failure": failure | wrong}}).encode())


def test_a_run_below_more_runs_than_a_runbook_may_start_is_refused_before_they_are_unpacked(monkeypatch: pytest.MonkeyPatch):
    caller = json.loads(json.dumps(replace(whole, callers=()).waiting().document()))
    document = json.loads(whole.message().body)
    assert len(Run.read(json.dumps(document | {"callers": [caller] * MOST_STARTS}).encode()).callers) == MOST_STARTS
    monkeypatch.setattr(run_message, "unpacked", pytest.fail)
    with pytest.raises(Undecodable, match="wrong type"):
        Run.read(json.dumps(document | {"callers": [caller] * (MOST_STARTS + 1)}).encode())


def test_a_run_of_another_version_is_refused():
    with pytest.raises(Undecodable, match="not a run"):
        Run.read(json.dumps(json.loads(whole.message().body) | {"v": 2}).encode())


def test_an_answer_too_large_to_travel_stays_behind(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(run_message, "RESPONSE_LIMIT", 10)
    assert whole.next("b", Values(response="x" * 8)).response == "x" * 8
    assert whole.next("b", Values(response="x" * 9)).response is None


def test_a_run_too_large_to_travel_is_told_without_its_content(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(run_message, "MAX_BYTES", 500)
    with pytest.raises(Undecodable, match=r"has 6\d\d bytes; at most 500 are allowed"):
        replace(whole, variables={"A": "x" * 450}).message()


def test_what_started_a_run_makes_its_id_so_that_a_copy_is_the_same_run():
    first, copy = Arrived(Message(b"{}", message_id="m1"), queue="go"), Arrived(Message(b"{}", message_id="m1"), queue="go", redelivered=True)
    assert started_by(first) == started_by(copy)
    assert (
        len(
            {
                started_by(first),
                started_by(Arrived(Message(b"{}", message_id="m2"), queue="go")),
                started_by(Arrived(Message(b"{}", message_id="m1"), queue="b")),
            }
        )
        == 3
    )
    nameless = Arrived(Message(b"{}"), queue="go")
    assert started_by(nameless) != started_by(nameless)
    assert run_id_of("a", "b") != run_id_of("b", "a")


def test_a_start_holds_the_payload_and_no_step():
    run = Run.read(start_message("rb", "r1", {"a": 1}, 0.0).body)
    assert (run.id, run.runbook, run.step, run.visit, run.request, run.variables) == ("r1", "rb", None, 0, {"a": 1}, {})
    assert run.started
