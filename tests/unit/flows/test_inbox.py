"""Which of the messages with the same key is taken: the first, or the next one after it was buried, and each of them again when it comes again itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from tests.tools.evaluating import InProcess
from tests.tools.every import every
from tests.tools.headers import CODEC, dead_letter, opened, retry_copy
from tests.unit.flows.routes import ASSETS, Arrived, Given, Holding, Impatient, Ledger, ScriptedHalo, answered, publisher
from worker.config.routes import Publisher
from worker.core.errors import ExpressionError
from worker.core.exchange import Exchange, RequestResult
from worker.core.message import Message
from worker.core.outcome import DeadClass, Done, NotSent, Outcome, Refused, Skipped
from worker.core.settlement import Bury, Retry, settle
from worker.flows.dead.letter import DeadQueue, letter_of
from worker.flows.dead.plan import replay_state
from worker.flows.writes.deduplicator import key_text
from worker.flows.writes.publisher import PublisherFlow

AT = datetime(2026, 3, 1, tzinfo=UTC)
SENT, REJECTED, AWAY = answered({"id": 1}, 201), Exchange(RequestResult.REJECTED, 400, "no"), Exchange(RequestResult.NOT_SENT, reason="away", down=True)


def message(message_id: str = "m1", key: Any = "K", **fields: Any) -> Arrived:
    return Arrived(Message(orjson.dumps({"payload": {"serial": "SN-7"}, "key": key}), message_id=message_id), **fields)


async def handled(delivery: Arrived, ledger: Ledger, answer: Exchange = SENT, **fields: Any) -> Outcome:
    fields = {"once": Given(lambda document: document["key"]), "transform": Given(lambda document: {"payload": document["payload"]}), "retry": ()} | fields
    flow = PublisherFlow(publisher(**fields), ScriptedHalo([answer], waits=answer is AWAY), ledger, InProcess(), Impatient())  # type: ignore[arg-type]
    outcome, state = await flow.handle(delivery, opened(delivery)), opened(delivery)
    settlement = settle(outcome, attempts=state.attempts, doubtful=state.doubtful, delays=())
    if isinstance(settlement, Bury) and settlement.release is not None and not ledger.lost:  # as the runner does
        await ledger.claim(settlement.release.key, settlement.release.owner)
    return outcome


def copied(delivery: Arrived, outcome: Outcome) -> Arrived:
    """The copy that the worker puts into a retry queue or the dead queue, as it comes back."""
    state = opened(delivery)
    match settle(outcome, attempts=state.attempts, doubtful=state.doubtful, delays=()):
        case Retry() as retry:
            return Arrived(retry_copy(delivery, state, retry))
        case Bury() as bury:
            letter = dead_letter(delivery, state, bury, "assets", AT)
            box = DeadQueue("assets", "publisher", "erp.assets.dead", "erp.assets")
            return Arrived(CODEC.copy(letter, "erp.assets", replay_state(letter_of(box, letter, CODEC))))
    raise AssertionError(outcome)


async def test_of_two_messages_with_the_same_key_the_first_is_sent_and_the_other_is_left_out():
    ledger = Ledger()
    assert isinstance(await handled(message("m1"), ledger), Done)
    skipped = await handled(message("m2"), ledger)
    assert isinstance(skipped, Skipped)
    assert "once" in skipped.detail
    assert isinstance(await handled(message("m3", "another"), ledger), Done)


async def test_the_same_message_sent_again_by_its_sender_is_left_out():
    ledger = Ledger()
    await handled(message("m1"), ledger)
    assert isinstance(await handled(message("m1"), ledger), Skipped)


async def test_keys_of_different_routes_are_different():
    ledger = Ledger()
    await handled(message("m1"), ledger)
    other = Publisher("other", "main", "q", ASSETS, once=Given("K"), transform=Given({"payload": {}}))
    delivery = message("m2")
    flow = PublisherFlow(other, ScriptedHalo([SENT]), ledger, InProcess(), Impatient())  # type: ignore[arg-type]
    assert isinstance(await flow.handle(delivery, opened(delivery)), Done)


@pytest.mark.parametrize("message_id", ["m1", ""])
async def test_what_the_broker_brings_again_is_its_own_and_goes_on(message_id: str):
    ledger = Ledger()
    assert isinstance(await handled(message(message_id), ledger, AWAY), NotSent)
    again = await handled(message(message_id, redelivered=True), ledger)
    assert isinstance(again, Done if message_id else Refused), "its attempt is in doubt, since a copy of it may be about under another id"
    if isinstance(again, Refused):
        assert again.dead_class is DeadClass.IN_DOUBT


@pytest.mark.parametrize("message_id", ["m1", ""])
async def test_a_retry_copy_is_its_own_and_goes_on(message_id: str):
    ledger, first = Ledger(), message(message_id)
    again = copied(first, await handled(first, ledger, AWAY))
    assert isinstance(await handled(message("m2"), ledger), Skipped), "the first one is still to be sent"
    assert isinstance(await handled(again, ledger), Done)


async def test_after_the_first_was_buried_the_next_one_takes_over_and_the_buried_one_is_then_the_copy():
    ledger, first = Ledger(), message("m1")
    letter = copied(first, await handled(first, ledger, REJECTED))
    assert isinstance(await handled(message("m2"), ledger), Done)
    assert isinstance(await handled(letter, ledger), Skipped)
    assert isinstance(await handled(message("m3"), ledger), Skipped)


@pytest.mark.parametrize("message_id", ["m1", ""])
async def test_a_buried_one_that_is_replayed_before_another_comes_is_sent(message_id: str):
    ledger, first = Ledger(), message(message_id)
    letter = copied(first, await handled(first, ledger, REJECTED))
    assert isinstance(await handled(letter, ledger), Done)


async def test_of_a_replayed_one_and_one_that_took_over_under_the_same_id_only_the_second_is_sent():
    ledger, first, second = Ledger(), message("m1"), message("m1")
    letter = copied(first, await handled(first, ledger, REJECTED))
    waiting = copied(second, await handled(second, ledger, AWAY))
    assert isinstance(await handled(letter, ledger), Skipped)
    assert isinstance(await handled(waiting, ledger), Done)


async def test_who_took_over_and_is_delivered_again_goes_on():
    ledger, first = Ledger(), message("m1")
    await handled(first, ledger, REJECTED)
    await handled(message("m1"), ledger, AWAY)
    assert isinstance(await handled(message("m1", redelivered=True), ledger), Done)


async def test_one_that_took_over_and_was_buried_as_well_makes_room_for_a_third():
    ledger = Ledger()
    for name in ("m1", "m2"):
        assert isinstance(await handled(message(name), ledger, REJECTED), Refused)
    assert isinstance(await handled(message("m3"), ledger), Done)


async def test_a_message_that_the_filter_leaves_out_holds_no_key():
    ledger = Ledger()
    await handled(message("m1"), ledger, when=Holding(lambda _: False))
    assert isinstance(await handled(message("m2"), ledger), Done)


@pytest.mark.parametrize("nothing", [None, ""])
async def test_a_message_without_a_key_is_buried_and_never_silently_sent(nothing: Any):
    refused = await handled(message("m1", nothing), Ledger())
    assert refused == Refused(DeadClass.TRANSFORM, "`once` yields nothing for this message, so the worker cannot know whether it was sent before")


async def test_a_message_whose_key_fails_is_buried_with_what_the_expression_said():
    def fails(_: Any) -> Any:
        raise ExpressionError("order.id is missing")

    assert await handled(message("m1"), Ledger(), once=Given(fails)) == Refused(DeadClass.TRANSFORM, "order.id is missing")


async def test_a_key_that_cannot_be_claimed_is_tried_again_and_counts_as_no_attempt():
    outcome = await handled(message("m1"), Ledger(lost=True))
    assert isinstance(outcome, NotSent)
    assert not outcome.counted


@every(("value", "text"), [(7, "7"), (7.0, "7"), ("7", "7"), (False, "false"), (0, "0"), (["a", 1], '["a",1]'), (None, ""), ("", "")])
def test_a_key_is_its_text(value: Any, text: str):
    assert key_text(value) == text
