"""A replay is a new attempt: claims of earlier attempts and of other letters do not hold it up, and of two copies of one replay one is sent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import orjson
import pytest

from tests.tools.evaluating import InProcess
from tests.tools.headers import CODEC, dead_letter, opened
from tests.unit.flows.routes import Arrived, Given, Impatient, Ledger, ScriptedHalo, answered, find, publisher
from worker.core.exchange import Exchange, RequestResult
from worker.core.message import Message
from worker.core.outcome import DeadClass, Done, NotSent, Outcome, Refused
from worker.core.settlement import Bury, settle
from worker.flows.dead.letter import DeadQueue, letter_of
from worker.flows.dead.plan import ENDED_AFTER, replay_state
from worker.flows.writes.publisher import PublisherFlow

BOX = DeadQueue("assets", "publisher", "erp.assets.dead", "erp.assets")
AT = datetime(2026, 3, 1, tzinfo=UTC)
SENT, REJECTED = answered({"id": 1}, 201), Exchange(RequestResult.REJECTED, 400, "no")
NONE_FOUND = answered({"record_count": 0, "assets": []})
LATER = AT.timestamp() + ENDED_AFTER + 1


class At(Impatient):
    def __init__(self, now: float) -> None:
        self._now = now

    def now(self) -> float:
        return self._now


def message(**fields: object) -> Arrived:
    return Arrived(Message(orjson.dumps({"serial": "SN-7", "payload": {"serial": "SN-7"}}), message_id="m1"), **fields)  # type: ignore[arg-type]


async def handled(delivery: Arrived, ledger: Ledger, *answers: Exchange, looks: bool = False, now: float = LATER) -> Outcome:
    fields = {"transform": Given(lambda document: {"payload": document["payload"]}), "retry": (), "find": find() if looks else None}
    halo = ScriptedHalo(list(answers or (SENT,)))
    return await PublisherFlow(publisher(**fields), halo, ledger, InProcess(), At(now)).handle(delivery, opened(delivery))  # type: ignore[arg-type]


def replayed(delivery: Arrived, outcome: Outcome, at: datetime = AT, now: float = LATER, **fields: object) -> Arrived:
    """The message as a replay of its dead letter puts it back."""
    state = opened(delivery)
    bury = settle(outcome, attempts=state.attempts, doubtful=state.doubtful, delays=())
    assert isinstance(bury, Bury)
    letter = dead_letter(delivery, state, bury, "assets", at)
    return Arrived(CODEC.copy(letter, "erp.assets", replay_state(letter_of(BOX, letter, CODEC), now=now)), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("looks", [True, False], ids=["with find", "without find"])
async def test_two_letters_with_one_id_and_one_content_are_both_sent_when_both_are_replayed(looks: bool):
    ledger = Ledger()
    letters = [replayed(message(), await handled(message(), ledger, REJECTED), AT + timedelta(seconds=number)) for number in range(2)]
    for letter in letters:
        assert isinstance(await handled(letter, ledger, looks=looks), Done)


@pytest.mark.parametrize("looks", [True, False], ids=["with find", "without find"])
async def test_of_two_copies_of_one_replay_one_is_sent(looks: bool):
    ledger = Ledger()
    letter = replayed(message(), await handled(message(), ledger, REJECTED))
    assert isinstance(await handled(letter, ledger, looks=looks), Done)
    second = await handled(letter, ledger, looks=looks)
    assert isinstance(second, NotSent) if looks else (isinstance(second, Refused) and second.dead_class is DeadClass.IN_DOUBT)


async def test_a_replay_that_the_broker_brings_again_is_in_doubt():
    ledger = Ledger()
    rejected = await handled(message(), ledger, REJECTED)
    assert isinstance(await handled(replayed(message(), rejected), ledger), Done)
    again = await handled(replayed(message(), rejected, redelivered=True), ledger)
    assert isinstance(again, Refused)
    assert again.dead_class is DeadClass.IN_DOUBT


async def test_the_original_that_comes_again_after_its_letter_was_replayed_is_not_sent():
    ledger = Ledger()
    letter = replayed(message(), await handled(message(), ledger, REJECTED))
    assert isinstance(await handled(letter, ledger), Done)
    assert isinstance(await handled(message(redelivered=True), ledger), Refused)


def crashed() -> Arrived:
    """A replay of a message that the broker dead-lettered after crashes."""
    death = {"queue": "erp.assets", "reason": "delivery_limit", "exchange": "", "routing-keys": ["erp.assets"], "time": AT}
    letter = Message(message().message.body, {"x-death": [death]}, message_id="m1")
    return Arrived(CODEC.copy(letter, "erp.assets", replay_state(letter_of(BOX, letter, CODEC), now=LATER)))


async def test_a_replay_does_not_wait_for_an_attempt_that_has_long_ended_and_is_looked_up_first():
    ledger = Ledger(at=AT.timestamp())
    await handled(message(), ledger)  # of which the worker died
    denied = await handled(crashed(), ledger, NONE_FOUND, looks=True)
    assert isinstance(denied, NotSent)
    assert (denied.after, denied.state_updates) == (0.0, {"doubtful": True, "waited": True, "tries": 1})


async def test_a_replay_waits_for_an_attempt_that_may_be_under_way():
    ledger = Ledger(at=LATER - 5)
    await handled(message(), ledger)
    denied = await handled(crashed(), ledger, NONE_FOUND, looks=True)
    assert isinstance(denied, NotSent)
    assert denied.after > 10


async def test_a_letter_that_may_have_been_sent_long_ago_is_created_after_one_lookup():
    ledger, exhausted = Ledger(), Exchange(RequestResult.AMBIGUOUS, 500, "failed")
    letter = replayed(message(), await handled(message(), ledger, exhausted, looks=True))
    assert isinstance(await handled(letter, ledger, NONE_FOUND, SENT, looks=True), Done)
    young = replayed(message(), await handled(message(), Ledger(), exhausted, looks=True), now=AT.timestamp() + 1)
    assert isinstance(await handled(young, Ledger(), NONE_FOUND, SENT, looks=True), NotSent)


@pytest.mark.parametrize("first", [0, 1], ids=["original first", "redelivered first"])
async def test_of_two_letters_that_one_message_left_since_it_was_delivered_again_one_is_sent(first: int):
    ledger, refused = Ledger(), Refused(DeadClass.TRANSFORM, "no")
    letters = [replayed(message(), refused), replayed(message(redelivered=True), refused, AT + timedelta(seconds=1))]
    outcomes = [await handled(letters[number], ledger) for number in (first, 1 - first)]
    assert sum(isinstance(outcome, Done) for outcome in outcomes) <= 1
    assert isinstance(outcomes[1], Refused)
