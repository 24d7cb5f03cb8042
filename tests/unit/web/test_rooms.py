"""Rooms: bounded, fair to each peer, and the oldest gives way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from worker.web.rooms import Room


def entered(room, peer, gone, *, firm=False):
    place = room.enter(peer, lambda: gone.append(place))
    if place is not None:
        place.firm = firm
    return place


def test_a_peer_whose_share_is_full_displaces_its_own_oldest_place():
    room, gone = Room(10, 2), []
    entered(room, "other", gone)
    first, second, third = [entered(room, "peer", gone) for _ in range(3)]
    assert (gone, len(room)) == ([first], 3)
    assert second is not third


def test_in_a_full_room_the_oldest_place_gives_way_whosever_it_is():
    room, gone = Room(2, 2), []
    first = entered(room, "a", gone)
    entered(room, "b", gone)
    entered(room, "c", gone)
    assert (gone, len(room)) == ([first], 2)


def test_firm_places_stay_and_when_all_are_firm_nobody_enters():
    room, gone = Room(2, 2), []
    entered(room, "a", gone, firm=True)
    soft = entered(room, "b", gone)
    assert entered(room, "c", gone, firm=True) is not None
    assert gone == [soft]
    assert entered(room, "d", gone) is None
    assert len(room) == 2


def test_a_place_that_gave_way_may_still_be_left():
    room, gone = Room(1, 1), []
    first = entered(room, "a", gone)
    second = entered(room, "b", gone)
    room.leave(first)
    assert len(room) == 1
    room.leave(second)
    assert len(room) == 0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.booleans())))
def test_whatever_happens_neither_limit_is_passed_and_every_place_ends_once(steps):
    room, gone, held = Room(4, 2), [], []
    for peer, firm, leaves in steps:
        if leaves and held:
            room.leave(held.pop(0))
            continue
        place = entered(room, peer, gone, firm=firm)
        held = [each for each in held if each not in gone] + ([place] if place is not None else [])
        assert len(room) == len(held) <= 4
        assert max((sum(each.peer == name for each in held) for name in "abc"), default=0) <= 2
    assert len(gone) == len(set(map(id, gone)))
    assert not any(place.firm for place in gone)
