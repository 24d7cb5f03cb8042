"""While no expression can be evaluated, messages wait uncounted, records stay unread, and what is done already is not done again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from tests.tools.evaluating import InProcess
from tests.tools.headers import opened
from tests.unit.flows.routes import Arrived, Given, Impatient, Ledger, ScriptedHalo, answered, publisher, subscriber
from tests.unit.flows.test_runbook import ASK, Scripted, at, book, led_to
from worker.changes.detect import Change
from worker.config.automation import Step
from worker.config.control_steps import Branch
from worker.config.expressions import compile_condition, compile_template
from worker.core.errors import EvaluatorUnavailable
from worker.core.evaluation import Question
from worker.core.message import Message
from worker.core.outcome import Continue, Done, NotSent
from worker.core.settlement import Retry, settle
from worker.flows.consuming.runner import handled
from worker.flows.local.broker import EventRecorder, LocalBroker
from worker.flows.local.following import LocalJob
from worker.flows.ordered.lanes import MessageKeys
from worker.flows.ordered.messages import keys_of
from worker.flows.polling.emit import EmitStopped, Emitter, ScanTally
from worker.flows.running.runbook import RunbookFlow
from worker.flows.writes.publisher import PublisherFlow
from worker.metrics import Metrics

REASON = "a process for expressions cannot be started: Resource temporarily unavailable"
MESSAGE = Message(orjson.dumps({"key": "K", "n": 1}), message_id="m1")


@dataclass
class Away:
    """Answers once it was asked so often in vain."""

    vain: int = 1_000
    asked: int = field(default=0)

    async def answer(self, question: Question) -> list[Any]:
        self.asked += 1
        if self.asked <= self.vain:
            raise EvaluatorUnavailable(REASON)
        return await InProcess().answer(question)


@pytest.mark.parametrize(
    "fields",
    [
        {"when": compile_condition("n + 1 = 2")},
        {"transform": compile_template({"payload": "{{ {'a': n + 1} }}"})},
        {"once": compile_template("{{ key & 'x' }}")},
        {"once": Given("K"), "transform": compile_template({"payload": "{{ {'a': n + 1} }}"})},
    ],
    ids=["when", "transform", "once", "transform after once"],
)
async def test_a_message_is_tried_again_uncounted_and_nothing_is_sent(fields):
    halo, ledger, delivery = ScriptedHalo([answered({"id": 1})]), Ledger(), Arrived(MESSAGE)
    flow = PublisherFlow(publisher(**({"transform": Given({"payload": {"a": 1}})} | fields)), halo, ledger, Away(), Impatient())
    outcome = await handled(LocalJob(flow.handle, delivery, opened(delivery), ()))
    assert isinstance(outcome, NotSent)
    assert (outcome.reason, outcome.counted, outcome.after > 0) == (REASON, False, True)
    assert isinstance(settle(outcome, attempts=3, doubtful=False, delays=()), Retry)
    assert halo.requests == []
    assert ("holder" in outcome.state_updates) == bool(ledger.owners), "what holds a key of `once` keeps it"


async def test_a_step_that_was_done_waits_for_its_next_one_and_is_not_done_again():
    away, performer = Away(vain=3), Scripted(Done())
    step = Step("ask", method=object(), go=(Branch(compile_condition("1 + 1 = 2"), "next"),))
    delivery = Arrived(at("ask").message(), queue="halo.run.rb")
    outcome = await RunbookFlow(book(step, Step("next", end="done")), performer, Ledger(), away, Impatient(), broker=LocalBroker(EventRecorder())).handle(
        delivery, opened(delivery)
    )
    assert isinstance(outcome, Continue)
    assert led_to(outcome) == "next"
    assert (away.asked, len(performer.performed)) == (4, 1)


async def test_a_step_that_was_not_begun_is_tried_again_uncounted():
    delivery = Arrived(at("ask").message(), queue="halo.run.rb")
    flow = RunbookFlow(book(ASK), Scripted(EvaluatorUnavailable(REASON)), Ledger(), Away(), Impatient(), broker=LocalBroker(EventRecorder()))
    outcome = await handled(LocalJob(flow.handle, delivery, opened(delivery), ()))
    assert isinstance(outcome, NotSent)
    assert not outcome.counted


async def test_a_message_that_is_kept_in_order_waits_for_its_key():
    delivery, away = Arrived(MESSAGE), Away(vain=2)
    route = publisher(order_by=compile_template("{{ key & '!' }}"))
    assert await keys_of(route, delivery, opened(delivery), away, Impatient(), 1000) == MessageKeys("K!")
    assert away.asked == 3


@pytest.mark.parametrize("fields", [{"when": compile_condition("n + 1 = 2")}, {"transform": compile_template("{{ n + 1 }}")}], ids=["when", "transform"])
async def test_a_record_is_neither_published_nor_parked_and_the_poll_ends(fields):
    published: list[Any] = []

    class Recording:
        async def publish(self, message, **_):
            published.append(message)

    emitter = Emitter(subscriber(**fields), Recording(), Away(), Impatient(), Metrics(), "source")
    with pytest.raises(EmitStopped, match="cannot be started") as stopped:
        await emitter.emit([Change("created", "7", {"id": 7, "n": 1}, None, "aa")], "1.1", ScanTally())
    assert (published, stopped.value.settled) == ([], [])
