"""What an exchange means for a message, and when Halo is asked before something is created."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from tests.tools.evaluating import InProcess
from tests.tools.every import every
from tests.tools.headers import opened
from tests.unit.flows.routes import DELETE, Arrived, Given, Holding, Impatient, Ledger, ScriptedHalo, answered, find, publisher
from worker.config.compiled import RequestParameters
from worker.core.errors import ExpressionError
from worker.core.exchange import Exchange, RequestResult
from worker.core.ledger import Claim, Key, Kind
from worker.core.message import Message
from worker.core.outcome import Ambiguous, DeadClass, Done, NotSent, Outcome, Refused, Skipped
from worker.core.settlement import Ack, Bury, Retry, settle
from worker.flows.writes.guarded_write import outcome_of
from worker.flows.writes.publisher import PublisherFlow
from worker.flows.writes.write_request import Write

WRITES = {"create": Write({}, {}, {"a": 1}), "several": Write({}, {}, [{}, {}]), "update": Write({}, {}, {"id": 7}), "delete": Write({"id": 7}, {}, None)}
NONE = answered({"record_count": 0, "assets": []})
ONE = answered({"record_count": 1, "assets": [{"id": 70, "inventory_number": "SN-7"}]})
SENT = answered({"id": 71}, 201)
AWAY = Exchange(RequestResult.NOT_SENT, reason="away", down=True)


def outcome(fate: RequestResult, kind: str, *, status: int | None = None, down: bool = False) -> Outcome:
    write = WRITES[kind]
    return outcome_of(Exchange(fate, status, "why", down=down), write, repeatable=not write.creates)


@every(("fate", "kind", "down"), list(product(RequestResult, WRITES, (True, False))))
def test_every_fate_of_every_write_has_an_outcome_and_a_create_is_never_repeated_blindly(fate: RequestResult, kind: str, down: bool):
    settlement = settle(outcome(fate, kind, down=down), attempts=0, doubtful=False, delays=(10.0,))
    may_have_happened = fate in {RequestResult.AMBIGUOUS, RequestResult.DONE, RequestResult.DONE_UNREAD}
    if WRITES[kind].creates and may_have_happened:
        assert isinstance(settlement, Ack | Bury)
    if fate in {RequestResult.DONE, RequestResult.DONE_UNREAD}:
        assert settlement == Ack()


@every("kind", WRITES)
@every("fate", [RequestResult.NOT_SENT, RequestResult.THROTTLED])
@every("down", [True, False])
def test_what_did_not_reach_halo_is_no_fault_of_the_message(fate: RequestResult, kind: str, down: bool):
    assert outcome(fate, kind, status=429, down=down) == NotSent("why", 429, counted=False)


@pytest.mark.parametrize(("kind", "repeatable"), [("create", False), ("several", False), ("update", True), ("delete", True)])
def test_what_nobody_knows_may_be_repeated_only_where_it_shows_no_second_time(kind: str, repeatable: bool):
    assert outcome(RequestResult.AMBIGUOUS, kind, status=500) == Ambiguous("why", repeatable, 500, counted=True)
    assert outcome(RequestResult.AMBIGUOUS, kind, status=503, down=True) == Ambiguous("why", repeatable, 503, counted=False)


def test_a_record_that_is_gone_already_is_deleted_and_one_that_is_not_there_cannot_be_updated():
    assert isinstance(outcome(RequestResult.REJECTED, "delete", status=404), Done)
    assert outcome(RequestResult.REJECTED, "update", status=404) == Refused(DeadClass.REJECTED, "why", 404)
    assert outcome(RequestResult.REJECTED, "delete", status=400) == Refused(DeadClass.REJECTED, "why", 400)


def test_several_creates_that_halo_refuses_are_in_doubt_since_some_may_be_stored():
    refused = outcome(RequestResult.REJECTED, "several", status=400)
    assert isinstance(refused, Refused)
    assert refused.dead_class is DeadClass.IN_DOUBT
    assert "some of the 2 records" in refused.reason


@pytest.mark.parametrize("kind", WRITES)
def test_a_missing_permission_is_told_as_such(kind: str):
    assert outcome(RequestResult.AUTH, kind, status=403) == Refused(DeadClass.AUTH, "why", 403)


async def handled(
    halo: ScriptedHalo,
    document: Any = None,
    *,
    ledger: Ledger | None = None,
    doubtful: bool = False,
    redelivered: bool = False,
    waited: bool = False,
    attempts: int = 0,
    message_id: str = "m1",
    **fields: Any,
) -> Outcome:
    given = {"serial": "SN-7", "name": "x"} if document is None else document
    fields = {"transform": Given(lambda message: {"payload": message})} | fields
    delivery = Arrived(Message(given if isinstance(given, bytes) else json.dumps(given).encode(), message_id=message_id))
    copied = doubtful or attempts > 0
    state = replace(opened(delivery), doubtful=doubtful, redelivered=redelivered, attempts=attempts, waited=waited, copied=copied)
    return await PublisherFlow(publisher(**fields), halo, ledger or Ledger(), InProcess(), Impatient()).handle(delivery, state)  # type: ignore[arg-type]


async def test_a_fresh_create_is_sent_without_a_look():
    halo = ScriptedHalo([SENT])
    assert isinstance(await handled(halo, find=find()), Done)
    assert [request.method for request in halo.requests] == ["POST"]
    assert halo.requests[0].body == [{"serial": "SN-7", "name": "x"}]


@pytest.mark.parametrize(
    ("query", "told"), [({"returnall": 1}, "'returnall' must be true or false"), ({"returnall": "yes"}, "'returnall' must be true or false")]
)
@pytest.mark.parametrize("transformed", [True, False])
async def test_a_parameter_of_another_type_is_refused_as_an_error_of_the_transform_and_nothing_is_sent(query: Any, told: str, transformed: bool):
    halo = ScriptedHalo([SENT])
    transform = {"transform": Given(lambda message: message)} if transformed else {"transform": None}
    refused = await handled(halo, {"query": query, "payload": {"id": 7}}, **transform)
    assert isinstance(refused, Refused)
    assert refused.dead_class is DeadClass.TRANSFORM
    assert told in refused.reason
    assert halo.requests == []


async def test_a_doubtful_create_without_find_is_parked_and_nothing_is_sent():
    halo = ScriptedHalo([SENT])
    refused = await handled(halo, doubtful=True)
    assert isinstance(refused, Refused)
    assert refused.dead_class is DeadClass.IN_DOUBT
    assert halo.requests == []


async def test_a_doubtful_create_is_repeated_where_the_route_says_so():
    halo = ScriptedHalo([SENT])
    assert isinstance(await handled(halo, doubtful=True, in_doubt="repeat"), Done)


async def test_a_doubtful_create_that_is_found_becomes_an_update_of_it():
    halo = ScriptedHalo([ONE, SENT])
    assert isinstance(await handled(halo, doubtful=True, find=find()), Done)
    assert [request.method for request in halo.requests] == ["GET", "POST"]
    assert halo.requests[1].body == [{"serial": "SN-7", "name": "x", "id": 70}]


async def test_a_doubtful_create_that_is_found_is_left_alone_where_the_route_says_so():
    halo = ScriptedHalo([ONE, SENT])
    assert isinstance(await handled(halo, doubtful=True, find=find(then="skip")), Done)
    assert [request.method for request in halo.requests] == ["GET"]


async def delivered_before(ledger: Ledger, **fields: Any) -> None:
    """Somebody had this message, sent it, and never told how it ended."""
    await handled(ScriptedHalo([Exchange(RequestResult.AMBIGUOUS, reason="cut")]), ledger=ledger, **fields)


async def test_a_redelivered_create_that_nobody_began_is_sent_without_a_doubt():
    ledger, halo = Ledger(), ScriptedHalo([SENT])
    await handled(ScriptedHalo([AWAY], waits=True), ledger=ledger)
    assert isinstance(await handled(halo, ledger=ledger, redelivered=True), Done)
    assert [request.method for request in halo.requests] == ["POST"]


class SlowLedger(Ledger):
    """Others run while it is asked."""

    async def claim(self, key: Key, owner: str) -> Claim:
        for _ in range(5):
            await asyncio.sleep(0)
        return await super().claim(key, owner)


@pytest.mark.parametrize(("answer", "claims"), [(SENT, [Kind.ATTEMPT]), (AWAY, [])])
async def test_a_create_that_waits_for_nothing_leaves_no_receipt(answer: Exchange, claims: list[Kind]):
    ledger = SlowLedger()
    await handled(ScriptedHalo([answer]), ledger=ledger)
    for _ in range(10):
        await asyncio.sleep(0)
    assert [key.kind for key in ledger.owners] == claims


async def test_a_redelivered_create_that_was_begun_is_parked_where_it_cannot_be_looked_up():
    ledger, halo = Ledger(), ScriptedHalo([SENT])
    await delivered_before(ledger)
    refused = await handled(halo, ledger=ledger, redelivered=True)
    assert isinstance(refused, Refused)
    assert (refused.dead_class, halo.requests) == (DeadClass.IN_DOUBT, [])
    assert refused.state_updates == {"doubtful": True, "tries": 1}, "what is replayed is the next attempt"


async def test_a_redelivered_create_of_which_nothing_is_remembered_is_parked_where_it_cannot_be_looked_up():
    halo = ScriptedHalo([SENT])
    refused = await handled(halo, redelivered=True)
    assert isinstance(refused, Refused)
    assert (refused.dead_class, halo.requests) == (DeadClass.IN_DOUBT, [])
    assert "the worker cannot know whether it was sent" in refused.reason


async def test_a_redelivered_create_is_looked_for_and_sent_when_it_is_not_there_and_nobody_began_it():
    halo = ScriptedHalo([NONE, SENT])
    assert isinstance(await handled(halo, redelivered=True, find=find()), Done)
    assert [request.method for request in halo.requests] == ["GET", "POST"]


@pytest.mark.parametrize(("retry", "delay", "hold"), [((10.0, 60.0), 60.0, 0.0), ((10.0, 600.0, 60.0), 60.0, 0.0), ((10.0,), None, 40.0), ((), None, 40.0)])
async def test_a_redelivered_create_that_was_begun_and_is_not_found_waits_until_nobody_can_be_at_it(retry: tuple[float, ...], delay: float | None, hold: float):
    ledger, halo = Ledger(), ScriptedHalo([NONE])
    await delivered_before(ledger, find=find())
    waiting = await handled(halo, ledger=ledger, redelivered=True, find=find(), retry=retry)
    assert isinstance(waiting, NotSent)
    marks = {"doubtful": True, "waited": True, "tries": 1}
    assert settle(waiting, attempts=0, doubtful=False, delays=retry) == Retry(delay, 0, doubtful=False, reason=waiting.reason, state_updates=marks, hold=hold)
    assert [request.method for request in halo.requests] == ["GET"]


async def test_a_doubtful_create_that_is_not_found_is_looked_for_again_before_it_is_sent():
    halo = ScriptedHalo([NONE, SENT])
    waiting = await handled(halo, doubtful=True, attempts=1, find=find(), retry=(10.0, 60.0))
    assert isinstance(waiting, NotSent)
    assert settle(waiting, attempts=1, doubtful=True, delays=(10.0, 60.0)).delay == 60.0  # type: ignore[union-attr]
    assert waiting.state_updates == {"doubtful": True, "waited": True}, "it is for the same attempt"
    assert [request.method for request in halo.requests] == ["GET"]


async def test_a_doubtful_create_that_is_not_found_after_it_has_waited_is_sent():
    halo = ScriptedHalo([NONE, SENT])
    assert isinstance(await handled(halo, doubtful=True, waited=True, find=find()), Done)
    assert halo.requests[1].body == [{"serial": "SN-7", "name": "x"}]


async def test_of_two_copies_that_have_waited_one_is_sent_and_the_other_waits_again():
    ledger = Ledger()
    first, second = ScriptedHalo([NONE, SENT]), ScriptedHalo([NONE])
    assert isinstance(await handled(first, ledger=ledger, doubtful=True, waited=True, find=find()), Done)
    waiting = await handled(second, ledger=ledger, doubtful=True, waited=True, find=find())
    assert isinstance(waiting, NotSent)
    assert waiting.after == 40.0
    assert [request.method for request in second.requests] == ["GET"]


async def test_a_message_without_an_id_that_goes_into_a_copy_with_one_is_in_doubt_should_it_come_again_itself():
    ledger, halo = Ledger(), ScriptedHalo([SENT])
    unsent = await handled(ScriptedHalo([AWAY], waits=True), ledger=ledger, message_id="")
    assert isinstance(unsent, NotSent)
    assert unsent.state_updates == {"tries": 1}
    assert isinstance(await handled(halo, ledger=ledger, redelivered=True, message_id=""), Refused)
    assert halo.requests == []


async def test_whoever_had_a_message_first_sends_nothing_once_another_has_begun_with_it():
    ledger, late = Ledger(), ScriptedHalo([SENT])
    await handled(ScriptedHalo([AWAY], waits=True), ledger=ledger)
    await handled(ScriptedHalo([SENT]), ledger=ledger, redelivered=True)
    assert isinstance(await handled(late, ledger=ledger), Refused)
    assert late.requests == []


async def test_the_same_message_sent_twice_by_its_sender_is_sent_twice():
    ledger, halo = Ledger(), ScriptedHalo([SENT])
    assert [type(await handled(halo, ledger=ledger)) for _ in range(2)] == [Done, Done]


@pytest.mark.parametrize("found", [None, find()])
async def test_a_create_that_cannot_be_claimed_is_not_sent_and_counts_as_no_attempt(found: Any):
    halo = ScriptedHalo([SENT])
    outcome = await handled(halo, ledger=Ledger(lost=True), find=found)
    assert outcome == NotSent("the attempt could not be claimed", counted=False)
    assert halo.requests == []


async def test_updates_and_deletions_are_claimed_by_nobody():
    halo = ScriptedHalo([SENT])
    assert isinstance(await handled(halo, {"id": 7}, ledger=Ledger(lost=True)), Done)


async def test_with_use_always_every_create_is_looked_up():
    halo = ScriptedHalo([ONE, SENT])
    await handled(halo, find=find(use="always"))
    assert [request.method for request in halo.requests] == ["GET", "POST"]


async def test_several_creates_at_once_cannot_be_looked_up_and_are_parked_in_doubt():
    halo = ScriptedHalo([ONE, SENT])
    refused = await handled(halo, [{}, {}], doubtful=True, find=find())
    assert isinstance(refused, Refused)
    assert refused.dead_class is DeadClass.IN_DOUBT
    assert halo.requests == []


async def test_a_doubtful_update_or_deletion_is_simply_made_again():
    halo = ScriptedHalo([SENT])
    assert isinstance(await handled(halo, {"id": 7}, doubtful=True), Done)
    assert isinstance(await handled(halo, {}, doubtful=True, operation=DELETE, transform=Given({"path": {"id": 7}})), Done)


@pytest.mark.parametrize(
    ("exchange", "expected"),
    [
        (Exchange(RequestResult.AMBIGUOUS, 500, "no"), NotSent("the lookup failed: no", 500)),
        (Exchange(RequestResult.NOT_SENT, None, "no", down=True), NotSent("the lookup failed: no", None, counted=False)),
        (Exchange(RequestResult.THROTTLED, 429, "no"), NotSent("the lookup failed: no", 429, counted=False)),
        (Exchange(RequestResult.REJECTED, 400, "no"), Refused(DeadClass.IN_DOUBT, "the lookup was refused: no", 400)),
        (Exchange(RequestResult.AUTH, 403, "no"), Refused(DeadClass.AUTH, "the lookup was refused: no", 403)),
    ],
)
async def test_a_lookup_that_fails_writes_nothing(exchange: Exchange, expected: Outcome):
    halo = ScriptedHalo([exchange])
    assert await handled(halo, doubtful=True, find=find()) == expected
    assert [request.method for request in halo.requests] == ["GET"]


async def test_what_the_filter_leaves_out_is_skipped():
    assert isinstance(await handled(ScriptedHalo([SENT]), when=Holding(lambda message: False)), Skipped)


async def test_an_expression_that_fails_and_a_body_that_is_no_json_are_told_apart():
    def fails(_: Any) -> Any:
        raise ExpressionError("customer.name is missing")

    assert await handled(ScriptedHalo([SENT]), transform=Given(fails)) == Refused(DeadClass.TRANSFORM, "customer.name is missing")
    refused = await handled(ScriptedHalo([SENT]), b"{")
    assert isinstance(refused, Refused)
    assert refused.dead_class is DeadClass.DECODE


async def test_a_mistake_in_the_request_costs_no_lookup():
    halo = ScriptedHalo([NONE, SENT])
    refused = await handled(halo, doubtful=True, find=find(), transform=Given({"payload": {}, "path": {"nothing": 1}}))
    assert isinstance(refused, Refused)
    assert refused.dead_class is DeadClass.DECODE
    assert halo.requests == []


async def test_a_path_parameter_of_the_route_that_yields_nothing_is_missing_and_not_of_a_wrong_shape():
    halo = ScriptedHalo([SENT])
    fields = {"operation": DELETE, "request": RequestParameters(path={"id": Given(lambda message: message.get("number"))})}
    refused = await handled(halo, transform=Given({}), **fields)
    assert isinstance(refused, Refused)
    assert (refused.dead_class, refused.reason) == (DeadClass.TRANSFORM, "`request.path.id` yields nothing, and the message has no `path.id`")
    assert isinstance(await handled(halo, transform=Given({"path": {"id": 7}}), **fields), Done)


async def test_a_message_that_could_not_be_looked_up_is_not_sent_and_one_that_may_be_sent_already_stays_in_doubt():
    lost = find(match={"inventory_number": Given(None)})
    for doubtful, dead_class in ((False, DeadClass.TRANSFORM), (True, DeadClass.IN_DOUBT)):
        halo = ScriptedHalo([NONE, SENT])
        refused = await handled(halo, doubtful=doubtful, find=lost, transform=Given({"payload": {"a": 1}}))
        assert isinstance(refused, Refused)
        assert refused.dead_class is dead_class
        assert "`find.match.inventory_number` has no value in this message" in refused.reason
        assert halo.requests == []
