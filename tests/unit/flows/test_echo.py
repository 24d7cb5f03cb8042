"""The echo guard decides by stamps: in any order of writes another writer's change is published; where only we wrote, nothing is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.tools.every import every
from tests.unit.flows.echo_world import HIDDEN, LISTED, World
from worker.flows.echoes.footprints import ObservedRow, footprint_of, is_echo, is_own_deletion, microseconds, same_stamp, stamp_of
from worker.sandbox.dates import naive, precise, stored
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
@given(st.lists(st.tuples(POLL | THEIRS | OURS, SIZE), max_size=14))
def test_no_change_of_somebody_else_is_ever_swallowed(life: list[tuple]):
    world = World()
    for step, size in [*life, (("poll", None, None), 1)]:
        verdict = lived(world, step, size)
        if verdict is not None:
            assert verdict == "told" or not world.owes, "another writer's change was swallowed"
            event(f"{verdict}, {'owed' if world.owes else 'nothing owed'}")
            world.deal()


@settings(max_examples=2 * settings().max_examples)
@given(st.lists(st.tuples(POLL | ALONE, SIZE), max_size=14))
def test_where_only_we_write_nothing_is_told(life: list[tuple]):
    world = World()
    for step, size in [*life, (("poll", None, None), 1)]:
        verdict = lived(world, step, size)
        if verdict is not None:
            assert verdict in {"known", "echo"}
            world.deal()


NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
BEFORE = {"id": 1, "last_update": "2026-05-01T11:00:00", "a": 1, "client_id": 3, "client_name": "Old"}
AFTER = {"id": 1, "last_update": "2026-05-01T12:00:00.1234567Z", "a": 2, "client_id": 3, "client_name": "Old"}
ROW = {"id": 1, "lastupdate": "2026-05-01T12:00:00.123", "a": 2, "client_id": 3.0, "client_name": "Old"}
KNOWN = stamp_of({"lastupdate": "2026-05-01T11:00:00"})
OURS = [footprint_of("1", {"id": 1, "a": 2}, BEFORE, AFTER)]


def seen(row: dict | None = None, known: bool = True, dealt_with: int | None = KNOWN, **more: object) -> ObservedRow:
    return ObservedRow(stamp_of(ROW if row is None else row), known, dealt_with, **more)  # type: ignore[arg-type]


def test_a_row_that_our_write_left_from_what_was_dealt_with_is_an_echo():
    assert is_echo(seen(), OURS)


@pytest.mark.parametrize("stamp", ["2026-05-01T12:00:00.127", "2026-05-01T12:00:00.12", "2026-05-01T12:00:01", "not a date", "1900-01-01T00:00:00"])
def test_another_stamp_or_none_is_published(stamp: str):
    assert not is_echo(seen(ROW | {"lastupdate": stamp}), OURS)


@given(st.integers(0, 999_999))
def test_an_answer_and_the_list_that_follows_it_have_the_same_stamp(microsecond: int):
    moment = NOW.replace(microsecond=microsecond)
    answered = stamp_of({"last_update": precise(moment)})
    for listed in (stored(moment), moment.replace(microsecond=microsecond // 1000 * 1000)):
        assert same_stamp(answered, stamp_of({"lastupdate": naive(listed)}))


@given(st.integers(0, 990_000), st.integers(5_000, 9_999))
def test_stamps_five_milliseconds_apart_are_of_two_updates(microsecond: int, later: int):
    one = NOW.replace(microsecond=microsecond)
    other = NOW.replace(microsecond=microsecond + later)
    assert not same_stamp(stamp_of({"last_update": precise(one)}), stamp_of({"lastupdate": naive(stored(other))}))


def test_a_write_whose_answer_has_no_stamp_is_published():
    bare = {name: value for name, value in AFTER.items() if name != "last_update"}
    assert not is_echo(seen(), [footprint_of("1", {"id": 1, "a": 2}, BEFORE, bare)])
    assert not is_echo(seen(bare), [footprint_of("1", {"id": 1, "a": 2}, BEFORE, bare)])


def test_what_was_never_dealt_with_is_published():
    assert not is_echo(seen(known=False, dealt_with=None), OURS), "never met"
    assert not is_echo(seen(dealt_with=None), OURS), "met before there was a guard"
    assert not is_echo(seen(dealt_with=stamp_of({"lastupdate": "2026-05-01T10:00:00"})), OURS), "another writer changed it before we read it"


@pytest.mark.parametrize(("settled", "echo"), [(timedelta(minutes=61), False), (timedelta(minutes=59), True), (timedelta(minutes=60), False)])
def test_a_record_never_met_counts_as_dealt_with_where_the_cursor_has_passed_it(settled: timedelta, echo: bool):
    assert is_echo(seen(known=False, dealt_with=None, settled=microseconds(NOW - settled)), OURS) == echo


def test_a_change_that_our_write_does_not_explain_is_published_unless_the_route_ignores_the_member():
    footprints = [footprint_of("1", {"id": 1, "a": 2}, BEFORE, AFTER | {"colour": "red"})]
    assert not is_echo(seen(), footprints)
    assert is_echo(seen(ignore=frozenset({"colour"})), footprints)


@every(
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
        ({"a": 2}, {"client_id": 3.0, "ticketage": 7, "unread": True, "_warning": "x"}),
    ],
)
def test_a_write_explains_what_it_sent_and_what_halo_sets_with_it(sent: dict, changes: dict):
    assert footprint_of("1", {"id": 1, **sent}, BEFORE, AFTER | {"a": sent.get("a", 1)} | changes).unexplained == frozenset()


@pytest.mark.parametrize(
    ("sent", "changes", "names"),
    [
        ({"a": 2}, {"client_name": "New"}, {"client_name"}),
        ({"client_id": 4}, {"client_id": 4, "agent_id": 3}, {"agent_id"}),
        ({"customfields": [{"id": 1, "value": "n"}]}, {"customfields": [{"id": 1, "value": "n"}, {"id": 2, "value": "theirs"}]}, {"customfields"}),
        ({"a": 2}, {"dateclosed": "2026-05-01T11:59:59.5"}, {"dateclosed"}),
    ],
)
def test_anything_else_is_unexplained(sent: dict, changes: dict, names: set[str]):
    assert footprint_of("1", {"id": 1, **sent}, BEFORE, AFTER | {"a": sent.get("a", 1)} | changes).unexplained == names


def test_what_we_created_is_an_echo_once_and_not_where_it_was_known_before():
    created = [footprint_of("1", {"a": 2}, None, AFTER)]
    assert is_echo(seen(known=False, dealt_with=None), created)
    assert not is_echo(seen(), created)


@pytest.mark.parametrize(
    ("dealt_with", "before", "own"),
    [(1000, 1000, True), (900, 1000, True), (1400, 1000, True), (5000, 1000, False), (900, None, False), (None, 1000, False), (None, None, False)],
)
def test_a_deletion_is_ours_unless_the_record_was_seen_later(dealt_with: int | None, before: int | None, own: bool):
    row = ObservedRow(None, known=True, dealt_with=dealt_with)
    assert is_own_deletion(row, [WriteFootprint("1", "deleted", before=before)]) == own
    assert not is_own_deletion(row, [WriteFootprint("1", "updated", before=before)])
