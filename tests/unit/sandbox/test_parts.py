"""Times, seeded values, the rate limiter, scopes and the seeded tenant, each in isolation."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.every import every
from worker.sandbox.activity import make_change
from worker.sandbox.dates import naive, parse_moment, precise, stored, zoned
from worker.sandbox.journal import path_matches
from worker.sandbox.profiles import STAMP
from worker.sandbox.rate_limiter import RateLimiter
from worker.sandbox.record_schema import record_members
from worker.sandbox.scopes import granted_scopes, permits
from worker.sandbox.seeded_random import seeded_guid, seeded_int
from worker.sandbox.settings import SandboxSettings
from worker.sandbox.simulated_halo import SimulatedHalo

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
moments = st.datetimes(datetime(1901, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  the strategy wants them naive


@given(moments)
def test_a_stored_moment_survives_being_written_and_read(moment):
    kept = stored(moment)
    assert stored(kept) == kept
    assert parse_moment(naive(kept)) == kept
    assert parse_moment(zoned(kept)) == kept
    assert abs(kept - moment) <= timedelta(milliseconds=2)


def test_moments_are_written_as_halo_does():
    assert naive(NOON) == "2026-06-01T12:00:00"
    assert naive(NOON + timedelta(milliseconds=970)) == "2026-06-01T12:00:00.97"
    assert zoned(NOON + timedelta(milliseconds=967)) == "2026-06-01T12:00:00.967Z"
    assert precise(NOON + timedelta(microseconds=837_829)) == "2026-06-01T12:00:00.8378294Z"
    assert stored(NOON + timedelta(microseconds=999_500)) == NOON + timedelta(seconds=1)


@pytest.mark.parametrize("text", ["", "today", "2026-02-30", "12:00", "2026-06-01T25:00:00"])
def test_what_is_no_moment_is_not_read_as_one(text):
    assert parse_moment(text) is None


@given(st.integers(0, 2**31), st.integers(0, 10**6), st.integers(0, 99), st.integers(1, 1000))
def test_seeded_values_stay_in_their_bounds_and_repeat(seed, number, purpose, bound):
    assert 0 <= seeded_int(seed, number, purpose, bound) < bound
    assert seeded_guid(seed, number, purpose) == seeded_guid(seed, number, purpose)


@given(st.lists(st.floats(0, 5), max_size=60), st.integers(1, 5))
def test_no_window_ever_holds_more_than_the_limit(gaps, limit):
    window, now, admitted = RateLimiter(), 0.0, []
    for gap in gaps:
        now += gap
        if window.admit(now, limit, 10.0, counts_refused=False):
            admitted.append(now)
    assert all(sum(start <= moment < start + 10.0 for moment in admitted) <= limit for start in admitted)
    assert len(admitted) >= min(limit, len(gaps))


@every(
    ("asked", "allowed", "given_"),
    [
        (["all"], ["all"], ("all",)),
        ([], ["all"], ()),
        (["read:actions"], ["all"], None),
        (["edit:actions"], ["all"], None),
        (["read:sites"], ["all"], None),
        (["read:tickets"], ["all"], ("read:tickets",)),
        (["all"], ["read:tickets"], ("read:tickets",)),
        (["read:tickets", "admin"], ["all:standard"], ("read:tickets",)),
        (["read:users"], ["all"], None),
    ],
)
def test_scopes_are_granted_up_to_what_the_application_may_have(asked, allowed, given_):
    assert granted_scopes(asked, allowed) == given_


@pytest.mark.parametrize(
    ("scopes", "entity", "write", "allowed"),
    [
        (["all"], "webhook", True, True),
        (["read:tickets"], "actions", False, True),
        (["read:tickets"], "tickets", True, False),
        (["edit:tickets"], "tickets", False, True),
        (["edit:tickets"], "asset", False, False),
        ([], "tickets", False, False),
        ([], "status", False, False),
        (["read:tickets"], "status", False, True),
        (["read:tickets"], "status", True, False),
        (["all:standard"], "client", True, True),
        (["all:standard"], "webhook", True, False),
        (["admin"], "webhook", True, True),
    ],
)
def test_a_scope_opens_its_area_only(scopes, entity, write, allowed):
    assert permits(scopes, entity, write=write) is allowed


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("/tickets", "/api/Tickets", True),
        ("/api/tickets/*", "/api/Tickets/3", True),
        ("/tickets", "/api/tickets/3", False),
        ("*", "/auth/token", True),
        ("/auth/token", "/auth/token", True),
    ],
)
def test_patterns_take_paths_with_and_without_api(pattern, path, fits):
    assert path_matches(pattern, path) is fits


def test_the_same_seed_makes_the_same_tenant_and_another_seed_another_one():
    first, second, other = (SimulatedHalo(SandboxSettings(seed=seed, tickets=50), lambda: NOON) for seed in (1, 1, 2))
    for entity in ("Tickets", "Client", "Users", "Asset", "Agent", "Priority"):
        assert list(first.store.rows(entity)) == list(second.store.rows(entity))
    assert list(first.store.rows("Tickets")) != list(other.store.rows("Tickets"))


def test_seeded_records_belong_together():
    store = SimulatedHalo(SandboxSettings(tickets=300), lambda: NOON).store
    for ticket in store.rows("Tickets"):
        user, site = store.get("Users", ticket["user_id"]), store.get("Site", ticket["site_id"])
        assert user["client_id"] == ticket["client_id"] == site["client_id"]
        assert ticket["client_name"] == store.get("Client", ticket["client_id"])["name"]
        assert ticket["dateoccurred"] <= ticket["last_update"] <= NOON
        assert stored(ticket["last_update"]) == ticket["last_update"]


def test_a_large_tenant_costs_nothing_until_it_is_read():
    store = SimulatedHalo(SandboxSettings(tickets=10**9), lambda: NOON).store
    assert store.get("Tickets", 10**9 - 1)["id"] == 10**9 - 1
    assert store.count("Tickets") == 10**9


def test_activity_is_the_same_for_the_same_seed_and_touches_several_kinds():
    halves = []
    for _ in range(2):
        store, chance = SimulatedHalo(SandboxSettings(tickets=50), lambda: NOON).store, Random(3)
        halves.append([make_change(store, chance) for _ in range(100)])
    assert halves[0] == halves[1]
    assert {text.split(" ")[-1] for text in halves[0]} == {"created", "updated", "deleted"}
    assert {text.split(" ")[0] for text in halves[0]} == {"ticket", "note", "asset"}


PYTHON_TYPES = {
    "integer": int,
    "int64": int,
    "number": (int, float),
    "boolean": bool,
    "string": str,
    "uuid": str,
    "date-time": datetime,
    "array": list,
    "object": dict,
}
SEEDED = [
    "tickets",
    "client",
    "site",
    "users",
    "asset",
    "agent",
    "team",
    "status",
    "tickettype",
    "sla",
    "priority",
    "supplier",
    "item",
    "kbarticle",
    "outcome",
    "assettype",
    "assetgroup",
    "category",
    "fieldinfo",
    "toplevel",
    "customtable",
    "lookup",
]


@every("entity", SEEDED)
def test_seeded_members_have_the_published_names_and_types(entity):
    store, published = SimulatedHalo(SandboxSettings(tickets=40), lambda: NOON).store, record_members(f"/{entity}")
    wrong = {
        (name, published.get(name), type(value).__name__)
        for row in store.rows(entity, 64 if entity == "lookup" else None)
        for name, value in row.items()
        if name != STAMP and value is not None and not isinstance(value, PYTHON_TYPES.get(published.get(name, ""), ()))
    }
    assert wrong == set()
