"""What a replay does with a letter, and what it takes an operator's word for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args, get_type_hints

import pytest

from tests.tools.every import every
from tests.tools.headers import CODEC, opened
from tests.unit.flows.routes import Arrived, Holding, find, publisher
from worker.catalogue.actions import ACTIONS
from worker.cli.dead.commands import dead_replay
from worker.config.automation import Method, Runbook, Step
from worker.config.control_steps import Branch, ForEach
from worker.config.routes import Routes
from worker.config.run_templates import compile_run_template
from worker.config.variables import VariablePath
from worker.core.message import Message
from worker.flows.dead.letter import DeadQueue, letter_of
from worker.flows.dead.plan import MarkDone, Replay, ReplayPlan, Retain, Verdict, incomplete_letter, planner, replay_state
from worker.flows.running.elements import ElementList
from worker.flows.running.iteration import Iteration
from worker.flows.running.run_message import Run

ASSETS = DeadQueue("assets", "publisher", "erp.assets.dead", "erp.assets")
STEPS = DeadQueue("rb", "steps", "halo.run.rb.dead", "halo.run.rb")
DEATH = {"reason": "delivery_limit", "queue": "erp.assets", "exchange": "erp", "routing-keys": ["asset.new"]}
CLASSES = ["decode", "transform", "rejected", "auth", "retries_exhausted", "failed"]
POST = Method("post", "api", "POST", ())


def planned(verdict: Verdict | None, headers: dict[str, Any], body: bytes = b"{}", *, box: DeadQueue = ASSETS, **routes: Any) -> ReplayPlan:
    message = Message(body, headers, message_id="m1")
    return planner(box, Routes(**({"publishers": {"assets": publisher()}} | routes)), verdict)(letter_of(box, message, CODEC), message)


@every("dead_class", CLASSES)
@every("verdict", [None, *Verdict])
def test_letters_whose_effect_is_known_are_replayed_whatever_the_verdict_on_others(dead_class: str, verdict: Verdict | None):
    assert planned(verdict, {"dead-class": dead_class}) == Replay()


def test_a_letter_in_doubt_is_left_until_somebody_says_what_became_of_it():
    left = planned(None, {"dead-class": "in_doubt"})
    assert isinstance(left, Retain)
    assert "in doubt" in left.reason
    assert planned(Verdict.NOT_SENT, {"dead-class": "in_doubt"}) == Replay(Verdict.NOT_SENT)
    assert planned(Verdict.SENT, {"dead-class": "in_doubt"}) == MarkDone()


def test_a_look_is_for_routes_that_have_one():
    left = planned(Verdict.LOOK, {"dead-class": "in_doubt"})
    assert isinstance(left, Retain)
    assert "no `find`" in left.reason
    assert planned(Verdict.LOOK, {"dead-class": "in_doubt"}, publishers={"assets": publisher(find=find())}) == Replay(Verdict.LOOK)


@pytest.mark.parametrize("headers", [{"x-death": [DEATH]}, {"dead-class": "crashed"}, {"dead-class": "retries_exhausted", "halo-doubtful": True}])
def test_crashed_and_doubtful_letters_go_as_they_are_and_an_operator_may_say_more(headers: dict[str, Any]):
    assert planned(None, headers) == Replay()
    assert planned(Verdict.NOT_SENT, headers) == Replay(Verdict.NOT_SENT)
    assert planned(Verdict.SENT, headers) == MarkDone()


def runbook(step: Step, *others: Step) -> dict[str, Any]:
    return {"runbooks": {"rb": Runbook("rb", step.name, {each.name: each for each in (step, *others)})}}


def run_body(step: str | None = "ask", **values: Any) -> bytes:
    return Run("r1", "rb", step, 3, {"Name": "Ada"}, ("Name",), **({"status": 200, "response": {"a": 1}} | values)).message().body


def sent(step: Step, *others: Step, body: bytes | None = None) -> ReplayPlan:
    return planned(Verdict.SENT, {"dead-class": "in_doubt"}, run_body() if body is None else body, box=STEPS, **runbook(step, *others))


def test_a_run_whose_step_was_done_goes_on_with_the_next_and_without_an_answer():
    plan = sent(Step("ask", method=POST, go=(Branch(None, "reply"),)), Step("reply", end="done"))
    assert isinstance(plan, MarkDone)
    assert plan.onward is not None
    onward = Run.read(plan.onward.body)
    assert (onward.step, onward.visit, onward.variables, onward.plain, onward.status, onward.response) == ("reply", 4, {"Name": "Ada"}, ("Name",), None, None)
    assert plan.onward.correlation_id == "r1"


def test_a_run_whose_last_step_was_done_is_done():
    assert sent(Step("ask", action=ACTIONS["create_ticket"], client="main")) == MarkDone()


def element_of(runbook: str = "rb", step: str = "each") -> bytes:
    """A run below one that iterates, or waits for another runbook."""
    above = Run("r1", runbook, step, 2, {"A": 1}, each=Iteration(ElementList.of([1, 2])) if runbook == "rb" else None)
    return Run("r1", "rb", "ask", 3, {"Item": 1}, callers=(above,)).message().body


EACH = Step("each", each=ForEach(compile_run_template([1, 2]), "Item", "ask"))


def test_an_element_whose_last_step_was_done_lets_its_iteration_go_on():
    plan = sent(Step("ask", method=POST), EACH, body=element_of())
    assert isinstance(plan, MarkDone)
    assert plan.onward is not None
    onward = Run.read(plan.onward.body)
    assert (onward.step, onward.visit, onward.callers) == ("each", 4, ())
    assert onward.returned is not None
    assert onward.returned.failure is None


def test_the_end_of_an_element_of_which_a_value_is_collected_and_of_a_run_of_another_runbook_is_left():
    collecting = replace(EACH, each=replace(EACH.each, into=compile_run_template({"Found": 1})))
    plan = sent(Step("ask", method=POST), collecting, body=element_of())
    assert isinstance(plan, Retain)
    assert "collects a value" in plan.reason
    plan = sent(Step("ask", method=POST), body=element_of("other", "more"))
    assert isinstance(plan, Retain)
    assert "runbook 'other' waits" in plan.reason


@pytest.mark.parametrize(
    "step",
    [
        Step("ask", method=POST, go=(Branch(Holding(bool), "reply"), Branch(None, "other"))),
        Step("ask", method=POST, output={"Id": VariablePath("response", (), plain=False)}, go=(Branch(None, "reply"),)),
        Step("ask", method=Method("post", "api", "POST", (), output={"Id": VariablePath("response", (), plain=False)}), go=(Branch(None, "reply"),)),
    ],
    ids=["a branch", "variables of the step", "variables of the method"],
)
def test_a_run_that_needs_an_answer_that_nobody_has_is_left(step: Step):
    left = sent(step)
    assert isinstance(left, Retain)
    assert "the answer is lost" in left.reason


@pytest.mark.parametrize("body", [b"not json", b"{}", run_body(None), run_body("gone"), run_body("end")])
def test_a_run_that_was_at_no_step_that_sends_is_left(body: bytes):
    assert isinstance(sent(Step("ask", method=POST), Step("end", end="failed"), body=body), Retain)


def test_a_look_of_a_run_takes_a_step_that_has_one():
    looks = Step("ask", action=ACTIONS["create_ticket"], client="main", find=find())
    blind = Step("ask", action=ACTIONS["create_ticket"], client="main")
    for step, expected in ((looks, Replay), (blind, Retain)):
        assert isinstance(planned(Verdict.LOOK, {"dead-class": "in_doubt"}, run_body(), box=STEPS, **runbook(step)), expected)
    assert isinstance(planned(Verdict.LOOK, {"dead-class": "in_doubt"}, b"{", box=STEPS, **runbook(blind)), Retain)


def copy(headers: dict[str, Any], verdict: Verdict | None = None, message_id: str = "m1", **properties: Any) -> Message:
    message = Message(b'{"a": 1}', headers, message_id=message_id, **properties)
    return CODEC.copy(message, "erp.assets", replay_state(letter_of(ASSETS, message, CODEC), verdict))


def test_a_replayed_message_is_as_it_first_came_and_counts():
    buried = {
        "order-id": 7, "nested": {"a": [1]}, "dead-class": "rejected", "dead-reason": "no", "dead-status": 400, "dead-attempts": 3, "dead-route": "assets",
        "dead-at": "2026-03-01T12:00:00Z", "original-exchange": "erp", "original-routing-key": "asset.new", "halo-attempts": 2, "halo-retry-reason": "x",
        "halo-waited": True, "halo-tries": 3, "halo-doubtful": True, "replays": 1, "x-delivery-count": 4,
    }  # fmt: skip
    again = copy(buried, correlation_id="c1", reply_to="r", type="t", expiration=5.0)
    assert {name: value for name, value in again.headers.items() if name != "halo-mac"} == {
        "order-id": 7, "nested": {"a": [1]}, "original-exchange": "erp", "original-routing-key": "asset.new", "halo-tries": 3, "halo-doubtful": True, "replays": 2,
        "halo-replay": letter_of(ASSETS, Message(b'{"a": 1}', buried, message_id="m1", correlation_id="c1"), CODEC).fingerprint.hex(),
    }  # fmt: skip
    assert (again.body, again.message_id, again.correlation_id, again.reply_to, again.type, again.expiration) == (b'{"a": 1}', "m1", "c1", "r", "t", None)
    state = opened(Arrived(again, queue="erp.assets", exchange="", routing_key="erp.assets"))
    assert (state.attempts, state.replays, state.exchange, state.routing_key) == (0, 2, "erp", "asset.new")


def test_a_crashed_message_goes_back_as_one_that_somebody_had_before_and_knows_where_it_came_from():
    again = opened(Arrived(copy({"x-death": [DEATH]}), exchange="", routing_key="erp.assets"))
    assert (again.redelivered, again.doubtful, again.exchange, again.routing_key) == (True, False, "erp", "asset.new")


def test_what_was_not_sent_is_tried_as_if_never_begun_whatever_was_claimed_for_it():
    again = opened(Arrived(copy({"dead-class": "in_doubt", "halo-doubtful": True, "halo-redelivered": True, "halo-tries": 2}, Verdict.NOT_SENT)))
    assert (again.doubtful, again.redelivered) == (False, False)
    assert again.tries > 2


def test_what_is_to_be_looked_up_is_doubtful():
    assert opened(Arrived(copy({"dead-class": "in_doubt"}, Verdict.LOOK))).doubtful


def test_a_message_without_an_id_gets_the_one_by_which_it_was_named():
    assert copy({"dead-class": "rejected"}, message_id="").message_id.startswith("nameless-")


def test_a_letter_that_is_not_whole_is_left_whatever_is_said_of_it():
    message = Message(b"{}", {"dead-class": "rejected", "dead-left-out": "124 headers of the sender"}, message_id="m1")
    left = incomplete_letter(letter_of(ASSETS, message, CODEC))
    assert left is not None
    assert "incomplete" in left.reason
    assert incomplete_letter(letter_of(ASSETS, Message(b"{}", {"dead-class": "rejected"}, message_id="m1"), CODEC)) is None


def test_the_command_line_takes_every_verdict():
    values, _ = get_args(get_args(get_type_hints(dead_replay, include_extras=True)["verdict"])[0])
    assert set(get_args(values)) == set(Verdict)
