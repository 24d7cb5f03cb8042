"""The seed decides everything that the nemesis does."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.chaos.points import PLACES
from tests.chaos.schedule import EVERYBODY, FAULTS, KINDS, POINTS, Blow, kills, schedule


def test_the_same_seed_is_the_same_sequence_of_blows_and_another_seed_is_another():
    assert schedule(7, 120, 3) == schedule(7, 120, 3)
    assert schedule(7, 120, 3) != schedule(8, 120, 3)
    assert kills(7, 50, 3) == kills(7, 50, 3)
    assert kills(7, 50, 3) != kills(8, 50, 3)


def test_a_longer_round_begins_as_a_shorter_one():
    short = schedule(7, 60, 3)
    assert schedule(7, 600, 3)[: len(short)] == short


def test_in_half_an_hour_everything_happens_that_can():
    blows = schedule(1, 1800, 3)
    assert {blow.kind for blow in blows} == KINDS.keys()
    assert {blow.detail for blow in blows if blow.kind == "point"} == set(POINTS)
    assert {blow.detail for blow in blows if blow.kind == "halo fault"} == set(FAULTS)
    assert {blow.action for blow in blows if blow.kind == "point"} == {"kill", "reset", "stop"}
    assert {blow.who for blow in blows} == {EVERYBODY, 0, 1, 2}


def test_what_is_left_out_does_not_happen():
    blows = schedule(1, 600, 2, without={"stop", "broker killed"})
    assert {blow.kind for blow in blows} == KINDS.keys() - {"stop", "broker killed"}
    assert "stop" not in {blow.action for blow in blows}


def test_blows_come_one_after_the_other_at_the_pace_that_was_asked_for():
    blows = schedule(5, 600, 3, gap=2.0)
    times = [blow.at for blow in blows]
    assert times == sorted(times)
    assert 250 <= len(blows) <= 350
    assert max(times) < 600


@pytest.mark.parametrize("count", [1, 20, 200])
def test_as_many_kills_are_planned_as_were_asked_for_half_of_them_at_exact_places(count):
    blows = kills(3, count, 3)
    assert len(blows) == count
    kinds = Counter(blow.kind for blow in blows)
    assert kinds.keys() <= {"kill", "point"}
    assert count < 20 or 0.3 < kinds["point"] / count < 0.7
    assert {blow.action for blow in blows if blow.kind == "point"} <= {"kill"}


def test_every_point_has_a_place():
    assert set(POINTS) == PLACES.keys()


def test_a_blow_is_told_in_a_line():
    assert str(Blow(1.0, "point", 2, 0.5, "post leaves", "kill", vanishes=True)) == "point post leaves kill vanishes, replica 2, 0.5 s"
    assert str(Blow(1.0, "halo hold", EVERYBODY, 1.25)) == "halo hold, everybody, 1.2 s"
