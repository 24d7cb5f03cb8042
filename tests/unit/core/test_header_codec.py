"""The worker's own headers: a sender can neither make them nor use them, and loses none of its own."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.every import every
from tests.tools.headers import CODEC, proven
from tests.unit.flows.routes import Arrived
from worker.core.delivery_state import Death, DeliveryState, OrderStamp
from worker.core.header_codec import HeaderCodec, NoKey
from worker.core.header_fields import DEATH, MAX_COUNT, MAX_REASON, ORDER, STATE, is_reserved
from worker.core.message import Message, digest

OURS = [field.header for field in STATE + ORDER + DEATH]
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
values = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.lists(st.integers()), st.dictionaries(st.text(), st.text()))
names = st.sampled_from(
    [*OURS, "CC", "BCC", "cc", "x-death", "x-first-death-queue", "halo-mac", "halo-sender-headers", "halo-order-marker", "order-id", "x-mine"]
)
counts = st.integers(0, MAX_COUNT)
states = st.builds(
    DeliveryState,
    st.just("m1"),
    st.just("c1"),
    exchange=st.text(max_size=50),
    routing_key=st.text(max_size=50),
    attempts=counts,
    doubtful=st.booleans(),
    redelivered=st.booleans(),
    replays=counts,
    tries=counts,
    waited=st.booleans(),
    holder=st.none() | counts,
    reason=st.text(max_size=50),
    order=st.none() | st.builds(OrderStamp, st.integers(0, MAX_COUNT), counts, st.integers(0, 2**40).map(lambda each: each / 1000), counts),
    death=st.none() | st.builds(Death, st.text(max_size=9), st.text(max_size=50), st.none() | counts, st.none() | counts, st.text(max_size=9), st.none() | st.just(AT)),
)  # fmt: skip


def proves(codec: HeaderCodec, copy: Message, home: str) -> bool:
    return codec.is_proven(copy, home, digest(copy.body))


def message(headers: dict[str, Any] | None = None, body: bytes = b"{}", message_id: str = "m1") -> Message:
    return Message(body, headers or {}, message_id=message_id, correlation_id="c1")


@given(st.dictionaries(names, values))
def test_a_fresh_message_has_no_history_whatever_its_sender_writes(headers: dict[str, Any]):
    state = CODEC.read(Arrived(message(headers)))
    assert state == DeliveryState("m1", "c1", "erp", "asset.new", headers=headers, unproven=state.unproven)
    assert set(state.unproven) == headers.keys() & set(OURS)


@given(st.dictionaries(names, values), states)
def test_a_copy_keeps_its_state_and_its_sender_s_headers_and_routes_nowhere(headers: dict[str, Any], state: DeliveryState):
    copy = CODEC.copy(message(headers), "erp.assets", replace(state, headers=headers))
    assert {name.casefold() for name in copy.headers}.isdisjoint({"cc", "bcc", "x-death", "x-first-death-queue"})
    again = CODEC.read(Arrived(copy, exchange="", routing_key="erp.assets"))
    assert dict(again.headers) == headers or headers != headers  # noqa: PLR0124 - a float that is not a number equals nothing
    clean = {name: getattr(state, name).encode(errors="replace").decode() for name in ("exchange", "routing_key", "reason")}
    death = (
        None
        if state.death is None
        else replace(state.death, **{name: getattr(state.death, name).encode(errors="replace").decode() for name in ("dead_class", "reason", "route")})
    )
    assert replace(again, headers={}) == replace(state, headers={}, proven=True, copied=again.copied, death=death, **clean)


@given(st.sampled_from(OURS), values)
def test_a_header_of_ours_that_is_changed_added_or_taken_away_proves_nothing(name: str, value: Any):
    copy = proven(Arrived(message()), attempts=2, reason="x")
    assert proves(CODEC, copy, "erp.assets")
    if name in copy.headers and copy.headers[name] == value:
        return
    assert not proves(CODEC, replace(copy, headers=dict(copy.headers) | {name: value}), "erp.assets")
    assert not proves(CODEC, replace(copy, headers={each: copy.headers[each] for each in copy.headers if each != "halo-attempts"}), "erp.assets")


@pytest.mark.parametrize("other", [{"body": b"{ }"}, {"message_id": "m2"}], ids=["body", "id"])
def test_what_was_proven_for_one_message_proves_no_other(other: dict[str, Any]):
    copy = proven(Arrived(message()), attempts=2)
    assert not proves(CODEC, replace(copy, **other), "erp.assets")


def test_what_was_proven_for_one_queue_proves_nothing_in_another():
    copy = proven(Arrived(message()), attempts=2)
    assert not proves(CODEC, copy, "erp.users")
    assert CODEC.read(Arrived(copy, queue="erp.users")).attempts == 0


@pytest.mark.parametrize("mac", ["", "0" * 32, None, 5, b"x", ["x"], "é"])
def test_any_other_proof_is_none(mac: Any):
    copy = proven(Arrived(message()), attempts=2)
    assert not proves(CODEC, replace(copy, headers=dict(copy.headers) | {"halo-mac": mac}), "erp.assets")


def test_another_key_or_none_proves_nothing():
    copy = proven(Arrived(message()), attempts=2)
    assert not proves(HeaderCodec(b"another key"), copy, "erp.assets")
    assert not proves(HeaderCodec(), copy, "erp.assets")
    with pytest.raises(NoKey):
        HeaderCodec().copy(message(), "erp.assets", DeliveryState("m1", "c1"))


def test_a_message_is_proven_by_the_key_alone_and_not_by_an_empty_one():
    forged = HeaderCodec(b"")
    forged.key = b"\x00"
    copy = forged.copy(message(), "erp.assets", DeliveryState("m1", "c1", attempts=3))
    assert not proves(HeaderCodec(), copy, "erp.assets")


def test_what_the_broker_adds_on_the_way_changes_no_proof_and_is_not_taken_for_the_sender_s():
    copy = proven(Arrived(message({"order-id": 7, "x-death": ["mine"]})), attempts=2)
    back = replace(copy, headers=dict(copy.headers) | {"x-death": [{"queue": "erp.assets.retry.10s"}], "x-first-death-queue": "q", "x-delivery-count": 4})
    state = CODEC.read(Arrived(back))
    assert state.attempts == 2
    assert dict(state.headers) == {"order-id": 7, "x-death": ["mine"]}


def test_a_reason_takes_only_so_much_room():
    copy = proven(Arrived(message()), reason="é" * 100_000, death=Death("rejected", "x" * 100_000, left_out="y" * 100_000))
    assert max(len(value) for value in copy.headers.values() if isinstance(value, str)) == MAX_REASON


def test_a_reply_address_that_only_its_own_channel_may_publish_is_left_out():
    given_ = replace(message(), reply_to="amq.rabbitmq.reply-to")
    assert CODEC.copy(given_, "q", DeliveryState("m1", "c1")).reply_to is None
    assert CODEC.copy(replace(given_, reply_to="amq.rabbitmq.reply-to.g1"), "q", DeliveryState("m1", "c1")).reply_to == "amq.rabbitmq.reply-to.g1"


@every("name", ["CC", "BCC", "Cc", "x-death", "x-last-death-queue", "halo-anything", "dead-anything", "original-exchange", "replays"])
def test_what_routes_or_is_ours_stands_under_its_own_name_on_no_copy(name: str):
    assert is_reserved(name)
    copy = CODEC.copy(message(), "q", DeliveryState("m1", "c1", "e", "k", headers={name: ["x"]}))
    assert copy.headers.get(name) != ["x"]
    assert copy.headers["halo-sender-headers"] == {name: ["x"]}
