"""The echo guard decides: whatever we and somebody else write and in whatever order, their changes are told; where only we wrote, nothing is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.unit.flows.echo_world import HIDDEN, LISTED, World
from worker.changes.fingerprints import Trace
from worker.flows.echoes.footprints import ObservedRow, footprint_of, is_echo, is_own_deletion
from worker.state.write_index import WriteFootprint

SENT = st.dictionaries(st.sampled_from([*LISTED, *HIDDEN]), st.sampled_from(["1", "2", "", None]), min_size=1, max_size=2)
SIZE = st.integers(0, 2)
POLL = st.tuples(st.just("poll"), st.none(), st.none())
THEIRS = st.tuples(st.just("theirs"), SENT, st.none())
OURS = st.tuples(st.just("ours"), SENT, st.none() | SENT)
ALONE = st.tuples(st.just("ours"), SENT, st.none())


def lived(world: World, step: tuple, size: int) -> str | None:
    """What a poll came to; it is dealt with."""
    kind, sent, meanwhile = step
    world.tick(size)
    match kind:
        case "theirs":
            world.theirs(sent)
        case "ours":
            world.ours(sent, meanwhile, size)
        case _:
            return world.poll()
    return None


@settings(max_examples=2 * settings().max_examples)
@given(st.booleans(), st.lists(st.tuples(POLL | THEIRS | OURS, SIZE), max_size=14))
def test_no_change_of_somebody_else_is_ever_swallowed(stamped: bool, life: list[tuple]):
    world = World(stamped)
    for step, size in [*life, (("poll", None, None), 1)]:
        verdict = lived(world, step, size)
        if verdict is not None:
            assert verdict == "told" or not world.owes, "somebody's change was swallowed"
            event(f"{verdict}, {'owed' if world.owes else 'nothing owed'}")
            world.deal()


@settings(max_examples=2 * settings().max_examples)
@given(st.booleans(), st.lists(st.tuples(POLL | ALONE, SIZE), max_size=14))
def test_where_only_we_write_nothing_is_told(stamped: bool, life: list[tuple]):
    world = World(stamped)
    for step, size in [*life, (("poll", None, None), 1)]:
        verdict = lived(world, step, size)
        if verdict is not None:
            assert verdict in {"known", "echo"}
            world.deal()


NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
BEFORE = {"id": 1, "last_update": "2026-05-01T11:00:00", "a": 1, "client_id": 3, "client_name": "Old"}
AFTER = {"id": 1, "last_update": "2026-05-01T12:00:00.1234567Z", "a": 2, "client_id": 3, "client_name": "Old"}
ROW = {"id": 1, "lastupdate": "2026-05-01T12:00:00.123", "a": 2, "client_id": 3.0, "client_name": "Old"}
KNOWN = Trace.of({"lastupdate": "2026-05-01T11:00:00"})


def test_a_row_that_is_what_we_left_of_what_was_dealt_with_is_an_echo():
    assert is_echo(ObservedRow(ROW, KNOWN), [footprint_of("1", {"id": 1, "a": 2}, BEFORE, AFTER)])


@pytest.mark.parametrize("stamp", ["2026-05-01T12:00:00.13", "2026-05-01T12:00:00.113", "2026-05-01T12:00:01", "not a date"])
def test_another_stamp_is_another_state(stamp: str):
    assert not is_echo(ObservedRow(ROW | {"lastupdate": stamp}, KNOWN), [footprint_of("1", {"id": 1, "a": 2}, BEFORE, AFTER)])


def test_the_same_tick_does_not_hide_another_value():
    assert not is_echo(ObservedRow(ROW | {"client_name": "New"}, KNOWN), [footprint_of("1", {"id": 1, "a": 2}, BEFORE, AFTER)])


def test_what_was_never_dealt_with_is_told():
    footprints = [footprint_of("1", {"id": 1, "a": 2}, BEFORE, AFTER)]
    assert not is_echo(ObservedRow(ROW, None), footprints), "never met"
    assert not is_echo(ObservedRow(ROW, Trace()), footprints), "met before there was a guard"
    assert not is_echo(ObservedRow(ROW, Trace.of({"lastupdate": "2026-05-01T10:00:00"})), footprints), "somebody changed it before we looked"


@pytest.mark.parametrize(("settled", "echo"), [(timedelta(minutes=61), False), (timedelta(minutes=59), True), (timedelta(minutes=60), False)])
def test_a_record_never_met_counts_as_dealt_with_where_the_cursor_has_passed_it(settled: timedelta, echo: bool):
    passed = int((NOW - settled).timestamp() * 1000)
    assert is_echo(ObservedRow(ROW, None, passed), [footprint_of("1", {"id": 1, "a": 2}, BEFORE, AFTER)]) == echo


def test_a_change_that_our_write_does_not_explain_is_told_unless_the_route_ignores_the_member():
    footprints = [footprint_of("1", {"id": 1, "a": 2}, BEFORE, AFTER | {"colour": "red"})]
    assert not is_echo(ObservedRow(ROW, KNOWN), footprints)
    assert is_echo(ObservedRow(ROW, KNOWN, ignore=frozenset({"colour"})), footprints)


@pytest.mark.parametrize(
    ("sent", "changes"),
    [
        ({"client_id": 4}, {"client_id": 4, "client_name": "New"}),
        ({"status_id": 9}, {"status_id": 9, "hasbeenclosed": True, "dateclosed": "2026-05-01T12:00:00.1234567Z", "slastate": "O"}),
        ({"details_html": "<p>x</p>"}, {"details_html": "<p>x</p>", "details": "x"}),
        ({"a": 2}, {"lastactiondate": "2026-05-01T12:00:00.1234567Z"}),
        ({"site_id": 9}, {"site_id": 9, "site_name": "S", "client_id": 4, "client_name": "New"}),
        ({"customfields": [{"id": 1, "value": "n"}]}, {"customfields": [{"id": 1, "value": "n", "display": "n"}]}),
        ({"lines": [{"text": "new"}]}, {"lines": [{"id": 7, "text": "new"}]}),
        ({"a": 2}, {"empty": "", "nothing": [], "unset": "1900-01-01T00:00:00"}),
    ],
)
def test_what_halo_sets_with_what_we_sent_is_ours(sent: dict, changes: dict):
    assert footprint_of("1", {"id": 1, **sent}, BEFORE, AFTER | {"a": sent.get("a", 1)} | changes).unclear == frozenset()


@pytest.mark.parametrize(
    ("sent", "changes"),
    [
        ({"a": 2}, {"client_name": "New"}),
        ({"client_id": 4}, {"client_id": 4, "agent_id": 3}),
        ({"customfields": [{"id": 1, "value": "n"}]}, {"customfields": [{"id": 1, "value": "n"}, {"id": 2, "value": "theirs"}]}),
        ({"a": 2}, {"dateclosed": "2026-05-01T11:59:59.5"}),
    ],
)
def test_anything_else_is_unclear(sent: dict, changes: dict):
    assert footprint_of("1", {"id": 1, **sent}, BEFORE, AFTER | {"a": sent.get("a", 1)} | changes).unclear


def test_what_follows_the_clock_or_controls_tells_nothing():
    assert not footprint_of("1", {"id": 1, "a": 2}, BEFORE, AFTER | {"ticketage": 7, "unread": True, "_warning": "x"}).unclear


def test_what_we_created_is_an_echo_once_and_not_where_it_was_known_before():
    created = [footprint_of("1", {"a": 2}, None, AFTER)]
    assert is_echo(ObservedRow(ROW, None), created)
    assert not is_echo(ObservedRow(ROW, KNOWN), created)
    bare = {name: value for name, value in ROW.items() if name != "lastupdate"}
    assert is_echo(ObservedRow(bare, None), created)
    assert not is_echo(ObservedRow(bare | {"shown_in_lists_only": 1}, None), created), "nobody knows whose that is"


@pytest.mark.parametrize(
    ("trace", "before", "own"),
    [
        (Trace(stamp=1000), 1000, True),
        (Trace(stamp=900), 1000, True),
        (Trace(stamp=1002), 1000, True),
        (Trace(stamp=2000), 1000, False),
        (Trace(stamp=900), None, False),
        (Trace(members=7), None, True),
        (Trace(), 1000, False),
        (None, 1000, False),
    ],
)
def test_a_deletion_is_ours_unless_the_record_was_seen_later(trace: Trace | None, before: int | None, own: bool):
    assert is_own_deletion(trace, [WriteFootprint("1", "deleted", before=before)]) == own
    assert not is_own_deletion(trace, [WriteFootprint("1", "updated", before=before)])


def test_traces_are_read_back_as_they_were_written():
    for trace in (Trace(stamp=0), Trace(stamp=1_790_000_000_123), Trace(members=2**64 - 1), Trace(members=0)):
        assert Trace.decode(trace.encode()) == trace
    assert Trace.decode("") == Trace.decode(None) == Trace.decode("?1") == Trace()


def test_what_we_emptied_and_somebody_set_again_is_theirs():
    known = Trace.of({"id": 1, "a": "kept", "notes": "old"})
    footprints = [footprint_of("1", {"id": 1, "notes": ""}, {"id": 1, "a": "kept", "notes": "old"}, {"id": 1, "a": "kept"})]
    assert is_echo(ObservedRow({"id": 1, "a": "kept"}, known), footprints)
    assert not is_echo(ObservedRow({"id": 1, "a": "kept", "notes": "theirs"}, known), footprints)
