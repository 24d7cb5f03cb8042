"""A replay of records, webhook deliveries and unrouted events computes their effects with the current route."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.tools.evaluating import InProcess, now
from tests.tools.headers import CODEC
from tests.unit.flows.routes import Given, Holding, subscriber
from worker.changes.detect import Change
from worker.config.automation import CallerAuth, Webhook
from worker.core.errors import ExpressionError, Undecodable
from worker.core.message import Message
from worker.core.outcome import DeadClass
from worker.flows.dead.letter import DeadQueue, letter_of
from worker.flows.dead.replay import ReplayEffects, subscriber_effects, unrouted_effects, webhook_effects
from worker.flows.hooks.effects import Effect
from worker.flows.polling.details import Unfetched
from worker.flows.running.run_message import Run, run_id_of

DEAD_QUEUE = DeadQueue("tickets", "subscriber", "halo.dead.tickets")
SOURCE = "https://acme.haloitsm.com/api/Tickets"
PARKED = {"dead-class": "transform", "dead-reason": "no number", "dead-route": "tickets", "record": "7", "change": "updated"}
DELIVERY = {"id": "d-1", "object_id": 7}


def worked_out(effects: ReplayEffects, body: Any, headers: dict[str, Any] = PARKED, message_id: str = "m1") -> list[Effect]:
    message = Message(body if isinstance(body, bytes) else json.dumps(body).encode(), headers, message_id=message_id, correlation_id="c1")
    return list(now(effects(letter_of(DEAD_QUEUE, message, CODEC), message, 0.0)))


def test_a_record_becomes_the_event_that_todays_route_makes_of_it():
    [effect] = worked_out(subscriber_effects(subscriber(transform=Given(lambda record: {"n": record["id"]})), SOURCE, InProcess()), {"id": 7})
    assert (effect.exchange, effect.routing_key, json.loads(effect.message.body)) == ("halo", "tickets.updated", {"n": 7})
    assert effect.message.headers["cloudEvents_source"] == SOURCE
    assert not [name for name in effect.message.headers if name.startswith("dead-")]


def test_copies_of_a_replayed_record_are_known_by_their_ids_and_are_no_copies_of_another_event():
    again = subscriber_effects(subscriber(), SOURCE, InProcess())
    first, second, other = (worked_out(again, {"id": 7}, message_id=name)[0].message for name in ("m1", "m1", "m2"))
    assert first.message_id == second.message_id == "m1"
    assert first.headers["dedupe-key"] == second.headers["dedupe-key"] != other.headers["dedupe-key"]
    assert not first.headers["dedupe-key"].startswith("main/Tickets/7:new:")


def test_a_record_that_todays_filter_leaves_out_brings_about_nothing():
    assert worked_out(subscriber_effects(subscriber(when=Holding(lambda record: False)), SOURCE, InProcess()), {"id": 7}) == []


def test_a_deletion_stays_one():
    [effect] = worked_out(subscriber_effects(subscriber(when=Holding(lambda record: False)), SOURCE, InProcess()), {"id": 7}, PARKED | {"change": "deleted"})
    assert effect.routing_key == "tickets.deleted"
    assert effect.message.headers["dedupe-key"].endswith(":gone")


REFUSED = PARKED | {"dead-class": "auth"}


async def whole(change: Change) -> Change | Unfetched:
    return replace(change, record=change.record | {"whole": True})


async def refused(change: Change) -> Change | Unfetched:
    return Unfetched(change, DeadClass.AUTH, "its details: Halo answered 403", 403)


def test_a_record_whose_details_were_refused_is_asked_for_again_and_published_whole():
    [effect] = worked_out(subscriber_effects(subscriber(), SOURCE, InProcess(), whole), {"id": 7}, REFUSED)
    assert json.loads(effect.message.body) == {"id": 7, "whole": True}


def test_a_record_that_halo_still_refuses_stays_a_letter_and_says_why():
    with pytest.raises(Undecodable, match="Halo answered 403"):
        worked_out(subscriber_effects(subscriber(), SOURCE, InProcess(), refused), {"id": 7}, REFUSED)


def test_a_record_whose_expression_failed_is_whole_already():
    [effect] = worked_out(subscriber_effects(subscriber(), SOURCE, InProcess(), refused), {"id": 7}, PARKED)
    assert json.loads(effect.message.body) == {"id": 7}


def fails(_: Any) -> Any:
    raise ExpressionError("no number")


def test_a_record_that_fails_again_says_so():
    with pytest.raises(ExpressionError):
        worked_out(subscriber_effects(subscriber(transform=Given(fails)), SOURCE, InProcess()), {"id": 7})


@pytest.mark.parametrize(
    ("body", "headers"), [(b"not json", {}), ([1], {}), ({"id": 7}, {"change": "made up"}), ({"id": 7}, {"record": None}), ({"id": 7}, {"change": []})]
)
def test_what_is_no_record_of_ours_is_refused(body: Any, headers: dict[str, Any]):
    with pytest.raises(Undecodable):
        worked_out(subscriber_effects(subscriber(), SOURCE, InProcess()), body, PARKED | headers)


def hook(**fields: Any) -> Webhook:
    return Webhook("tickets", "main", CallerAuth("basic"), **({"id": Given(lambda document: document["id"])} | fields))


def test_a_delivery_brings_about_everything_again_under_its_own_identity():
    start, event = worked_out(webhook_effects(hook(runbook="rb", exchange="halo"), InProcess()), DELIVERY)
    identity = run_id_of("/webhooks/tickets", "d-1")
    assert (Run.read(start.message.body).id, start.routing_key, start.exchange) == (identity, "halo.run.rb", "")
    assert (event.message.headers["dedupe-key"], event.routing_key, event.exchange) == (identity, "webhooks.tickets", "halo")


def test_a_delivery_that_todays_filter_leaves_out_brings_about_nothing():
    assert worked_out(webhook_effects(hook(runbook="rb", when=Holding(lambda _: False)), InProcess()), DELIVERY) == []


def test_a_delivery_that_fails_again_says_so():
    with pytest.raises(ExpressionError):
        worked_out(webhook_effects(hook(runbook="rb", id=Given(fails)), InProcess()), DELIVERY)


def test_an_event_that_nobody_took_goes_where_it_was_going_as_it_was():
    headers = {"original-exchange": "halo", "original-routing-key": "tickets.created", "dead-route": "tickets", "dedupe-key": "k", "cloudEvents_id": "k"}
    [effect] = worked_out(unrouted_effects, {"id": 7}, headers)
    assert (effect.exchange, effect.routing_key, effect.message.message_id, effect.message.correlation_id) == ("halo", "tickets.created", "m1", "c1")
    assert effect.message.headers == {"dedupe-key": "k", "cloudEvents_id": "k"}


@pytest.mark.parametrize("headers", [{}, {"original-exchange": "halo"}, {"original-exchange": "", "original-routing-key": "assets"}])
def test_an_event_that_does_not_say_where_it_was_going_is_left(headers: dict[str, Any]):
    with pytest.raises(Undecodable):
        worked_out(unrouted_effects, {"id": 7}, headers)


def test_a_child_is_replayed_with_the_parent_that_its_letter_holds():
    effects = subscriber_effects(subscriber(transform=Given(lambda record: record)), SOURCE, InProcess())
    [effect] = worked_out(effects, {"id": 7, "$parent": {"id": 3, "summary": "Printer"}})
    assert json.loads(effect.message.body) == {"id": 7}


def test_a_parent_whose_children_could_not_be_read_is_no_record_to_publish():
    with pytest.raises(Undecodable, match="cursor rewind"):
        worked_out(subscriber_effects(subscriber(), SOURCE, InProcess()), {"id": 3}, PARKED | {"unread-children": True})
