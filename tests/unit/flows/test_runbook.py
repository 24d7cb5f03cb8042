"""Which step comes next, which message may take it, and when a failure is the end: the handler of runbooks with everything around it written down."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.evaluating import InProcess
from tests.tools.headers import opened
from tests.unit.flows.routes import Arrived, Holding, Impatient, Ledger
from worker.catalogue.errors import WrongType
from worker.config.automation import Runbook, Step
from worker.config.control_steps import Branch
from worker.config.expressions import compile_condition
from worker.config.run_templates import compile_run_template
from worker.config.run_values import Values
from worker.config.variables import parse_variable
from worker.core.errors import CallRefused
from worker.core.ledger import visit_key
from worker.core.message import Message
from worker.core.outcome import Ambiguous, Continue, DeadClass, Done, NotSent, Outcome, Refused, Skipped
from worker.core.settlement import Bury, settle
from worker.flows.local.broker import EventRecorder, LocalBroker
from worker.flows.running import runbook as module
from worker.flows.running.endings import is_final
from worker.flows.running.run_message import Run
from worker.flows.running.runbook import RunbookFlow
from worker.flows.running.step import StepResult
from worker.flows.writes.attempt import Attempt

ASK = Step("ask", action=None, method=object(), retry=(1.0, 2.0))  # type: ignore[arg-type]  # the performer of these tests asks for nothing of it


@dataclass
class Scripted:
    """Performs every step so."""

    outcome: Outcome | Exception
    values: Values | None = None
    performed: list[tuple[str, bool]] = field(default_factory=list)

    async def perform(self, step: Step, values: Values, attempt: Attempt) -> StepResult:
        self.performed.append((step.name, attempt.suspect))
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return StepResult(self.outcome, self.values or values)


def book(*steps: Step, **more: Any) -> Runbook:
    return Runbook("rb", steps[0].name, {step.name: step for step in steps}, **more)


async def handled(
    runbook: Runbook,
    run: Run,
    step_executor: Scripted,
    ledger: Ledger | None = None,
    *,
    message_id: str = "m1",
    redelivered: bool = False,
    attempts: int = 0,
) -> Outcome:
    """The outcome; what the ledger is to learn with a dead letter is learnt, as the runner does."""
    ledger = ledger or Ledger()
    flow = RunbookFlow(runbook, step_executor, ledger, InProcess(), Impatient(), broker=LocalBroker(EventRecorder()))  # type: ignore[arg-type]
    delivery = Arrived(replace(run.message(), message_id=message_id), queue="halo.run.rb", redelivered=redelivered)
    outcome = await flow.handle(delivery, replace(opened(delivery), attempts=attempts))
    settlement = settle(outcome, attempts=attempts, doubtful=False, delays=runbook.delays)
    if isinstance(settlement, Bury) and settlement.release is not None:
        await ledger.claim(settlement.release.key, settlement.release.owner)
    return replace(outcome, release=None) if isinstance(outcome, (Refused, NotSent, Ambiguous)) else outcome


def at(step: str, **more: Any) -> Run:
    return Run("r1", "rb", step=step, **({"visit": 1, "request": {"a": 1}} | more))


def led_to(outcome: Outcome) -> str | None:
    assert isinstance(outcome, Continue)
    assert outcome.queue == "halo.run.rb"
    return Run.read(outcome.message.body).step


@given(st.lists(st.sampled_from(["always", "holds", "fails"]), max_size=6))
async def test_the_first_branch_that_holds_is_taken_and_no_branch_is_the_end_of_it(kinds: list[str]):
    conditions = {"always": None, "holds": Holding(lambda _: True), "fails": Holding(lambda _: False)}
    step = Step("choose", go=tuple(Branch(conditions[kind], f"s{number}") for number, kind in enumerate(kinds)))
    outcome = await handled(book(step), at("choose"), Scripted(Done()))
    first = next((number for number, kind in enumerate(kinds) if kind != "fails"), None)
    if not kinds:
        assert isinstance(outcome, Done)
    elif first is None:
        assert outcome == Refused(DeadClass.FAILED, "no branch of step 'choose' holds", None)
    else:
        assert led_to(outcome) == f"s{first}"


async def test_a_start_takes_the_variables_and_goes_to_the_first_step():
    runbook = book(ASK, input={"A": parse_variable("request^a"), "Text": parse_variable("request^t!"), "None": parse_variable("request^x")})
    step_executor = Scripted(Done())
    outcome = await handled(runbook, Run("r1", "rb", request={"a": 1, "t": "x"}), step_executor)
    assert isinstance(outcome, Continue)
    run = Run.read(outcome.message.body)
    assert (run.step, run.visit, run.variables, run.plain) == ("ask", 1, {"A": 1, "Text": "x"}, ("Text",))
    assert step_executor.performed == []


@pytest.mark.parametrize("outcome", [Refused(DeadClass.REJECTED, "no", 400), Refused(DeadClass.AUTH, "no", 403)])
async def test_a_refusal_goes_to_on_failure_with_the_status_and_without_it_ends_the_run(outcome: Refused):
    step = replace(ASK, on_failure="tell")
    told = await handled(book(step), at("ask"), Scripted(outcome))
    assert led_to(told) == "tell"
    assert isinstance(told, Continue)
    assert Run.read(told.message.body).status == outcome.status
    assert await handled(book(ASK), at("ask"), Scripted(outcome)) == replace(outcome, reason="step 'ask': no")


@pytest.mark.parametrize("error", [CallRefused("a segment holds a slash")])
async def test_what_may_not_be_sent_goes_the_way_of_a_refusal(error: Exception):
    assert led_to(await handled(book(replace(ASK, on_failure="tell")), at("ask"), Scripted(error))) == "tell"
    assert await handled(book(ASK), at("ask"), Scripted(error)) == Refused(DeadClass.REJECTED, "step 'ask': not sent: a segment holds a slash")


async def test_a_parameter_of_another_type_is_an_error_of_the_expression_that_gave_it():
    error = WrongType("GET Tickets: query parameter 'open_only' must be true or false")
    assert await handled(book(ASK), at("ask"), Scripted(error)) == Refused(DeadClass.TRANSFORM, f"step 'ask': not sent: {error}")
    assert led_to(await handled(book(replace(ASK, on_failure="tell")), at("ask"), Scripted(error))) == "tell"


failures = st.one_of(
    st.builds(NotSent, st.just("no"), st.none(), st.booleans()),
    st.builds(Ambiguous, st.just("no"), st.booleans(), st.none(), st.booleans()),
    st.builds(Refused, st.sampled_from(DeadClass), st.just("no")),
)


@given(failures, st.integers(0, 4), st.booleans())
async def test_on_failure_is_taken_exactly_where_the_run_would_be_buried_but_for_what_is_in_doubt(
    outcome: NotSent | Ambiguous | Refused, attempts: int, safe: bool
):
    step = replace(ASK, on_failure="tell" if safe else None)
    told = await handled(book(step), at("ask"), Scripted(outcome), attempts=attempts)
    settlement = settle(replace(outcome, delays=step.retry) if not isinstance(outcome, Refused) else outcome, attempts=attempts, doubtful=False, delays=())
    ends = isinstance(settlement, Bury) and settlement.dead_class is not DeadClass.IN_DOUBT
    if ends and safe:
        assert led_to(told) == "tell"
    else:
        assert settle(told, attempts=attempts, doubtful=False, delays=()) == replace(settlement, reason="step 'ask': no")  # type: ignore[call-arg]


def test_what_nobody_can_decide_is_never_final():
    assert not is_final(Ambiguous("x", repeatable=False, delays=()), 9)
    assert not is_final(Refused(DeadClass.IN_DOUBT, "x"), 9)
    assert not is_final(NotSent("x", counted=False, delays=()), 9)
    assert is_final(Ambiguous("x", repeatable=True, delays=(1.0,)), 1)
    assert not is_final(Ambiguous("x", repeatable=True, delays=(1.0,)), 0)


async def test_the_same_message_again_takes_its_step_again_as_doubtful():
    ledger, step_executor = Ledger(), Scripted(Done())
    await handled(book(ASK), at("ask"), step_executor, ledger)
    await handled(book(ASK), at("ask"), step_executor, ledger, redelivered=True)
    assert step_executor.performed == [("ask", False), ("ask", True)]


async def test_a_message_with_another_id_is_a_copy():
    ledger, step_executor = Ledger(), Scripted(Done())
    await handled(book(ASK), at("ask"), step_executor, ledger)
    assert isinstance(await handled(book(ASK), at("ask"), step_executor, ledger, message_id="m2"), Skipped)
    assert len(step_executor.performed) == 1


async def test_a_step_whose_successor_was_claimed_is_finished_whoever_comes():
    ledger, step_executor = Ledger({visit_key("r1", 1): "m1", visit_key("r1", 2): "n1"}), Scripted(Done())
    for message_id in ("m1", "m2"):
        assert isinstance(await handled(book(ASK), at("ask"), step_executor, ledger, message_id=message_id, redelivered=True), Skipped)
    assert step_executor.performed == []
    assert ledger.waited == [module.CLAIM_WAIT, module.CLAIM_WAIT], "the next step may be on its way to be claimed"


@pytest.mark.parametrize("outcome", [Refused(DeadClass.REJECTED, "no"), Ambiguous("?", repeatable=False)])
async def test_what_was_buried_may_be_put_back_under_any_id(outcome: Outcome):
    ledger = Ledger()
    await handled(book(ASK), at("ask"), Scripted(outcome), ledger)
    step_executor = Scripted(Done())
    assert isinstance(await handled(book(ASK), at("ask"), step_executor, ledger, message_id="by hand"), Done)
    assert step_executor.performed == [("ask", False)]


async def test_what_waits_for_a_retry_is_not_buried():
    ledger = Ledger()
    await handled(book(ASK), at("ask"), Scripted(NotSent("later")), ledger)
    assert isinstance(await handled(book(ASK), at("ask"), Scripted(Done()), ledger, message_id="m2"), Skipped)
    assert isinstance(await handled(book(ASK), at("ask"), Scripted(Done()), ledger), Done)


async def test_without_claims_a_step_stays_undone_and_uncounted():
    step_executor = Scripted(Done())
    outcome = await handled(book(ASK), at("ask"), step_executor, Ledger(lost=True))
    assert outcome == NotSent("the step could not be claimed: no claims", counted=False)
    assert step_executor.performed == []


async def test_the_step_limit_counts_steps_and_lets_a_run_end():
    steps = (ASK, Step("end", end="done"))
    runbook = book(*steps, step_limit=3)
    assert isinstance(await handled(runbook, at("ask", visit=3, steps=3), Scripted(Done())), Done)
    assert await handled(runbook, at("ask", visit=4, steps=4), Scripted(Done())) == Refused(DeadClass.FAILED, "the run has taken 3 steps, which is its limit")
    assert isinstance(await handled(runbook, at("end", visit=4, steps=4), Scripted(Done())), Done)


@pytest.mark.parametrize(
    ("reason", "told"),
    [("too <<A>>", "too late"), ("<<Many>>", "[1,2]"), (None, "the run ended at step 'stop'"), ("<<Nothing>>", "the run ended at step 'stop'")],
)
async def test_the_reason_of_an_end_is_a_text(reason: str | None, told: str):
    step = Step("stop", end="failed", reason=None if reason is None else compile_run_template(reason))
    run = at("stop", variables={"A": "late", "Many": [1, 2]}, plain=("A",))
    assert await handled(book(step), run, Scripted(Done())) == Refused(DeadClass.FAILED, told)


async def test_a_condition_that_fails_tells_the_step_and_not_the_data():
    step = Step("choose", go=(Branch(compile_condition("$number(A) > 1"), "x"),))
    outcome = await handled(book(step), at("choose", variables={"A": "planted"}), Scripted(Done()))
    assert isinstance(outcome, Refused)
    assert outcome.dead_class is DeadClass.TRANSFORM
    assert outcome.reason.startswith("step 'choose': ")
    assert "planted" not in outcome.reason


async def test_garbage_is_buried_without_a_claim():
    ledger = Ledger()
    flow = RunbookFlow(book(ASK), Scripted(Done()), ledger, InProcess(), Impatient(), broker=LocalBroker(EventRecorder()))  # type: ignore[arg-type]
    delivery = Arrived(Message(b"{"))
    outcome = await flow.handle(delivery, opened(delivery))
    assert isinstance(outcome, Refused)
    assert outcome.dead_class is DeadClass.DECODE
    assert ledger.owners == {}


async def test_the_reason_of_a_run_that_ends_holds_no_secret_that_an_answer_quoted():
    step = Step("give_up", end="failed", reason=compile_run_template("the API said <<Text>>"))
    step_executor = Scripted(Done())
    flow = RunbookFlow(
        book(step), step_executor, Ledger(), InProcess(), Impatient(), lambda text: text.replace("key-of-eight", "***"), broker=LocalBroker(EventRecorder())
    )  # type: ignore[arg-type]
    delivery = Arrived(at("give_up", variables={"Text": "no key-of-eight"}, plain=("Text",)).message(), queue="halo.run.rb", redelivered=False)
    outcome = await flow.handle(delivery, opened(delivery))
    assert isinstance(outcome, Refused)
    assert outcome.reason == "the API said no ***"
