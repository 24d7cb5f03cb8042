"""Admission pools: bounded, fair to each peer, and the oldest is evicted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from worker.web.admission import AdmissionPool


def entered(pool, peer, gone, *, pinned=False):
    admission = pool.admit(peer, lambda: gone.append(admission))
    if admission is not None:
        admission.pinned = pinned
    return admission


def test_a_peer_whose_share_is_full_displaces_its_own_oldest_admission():
    pool, gone = AdmissionPool(10, 2), []
    entered(pool, "other", gone)
    first, second, third = [entered(pool, "peer", gone) for _ in range(3)]
    assert (gone, len(pool)) == ([first], 3)
    assert second is not third


def test_in_a_full_pool_the_oldest_admission_is_evicted_whosever_it_is():
    pool, gone = AdmissionPool(2, 2), []
    first = entered(pool, "a", gone)
    entered(pool, "b", gone)
    entered(pool, "c", gone)
    assert (gone, len(pool)) == ([first], 2)


def test_pinned_admissions_stay_and_when_all_are_pinned_no_other_enters():
    pool, gone = AdmissionPool(2, 2), []
    entered(pool, "a", gone, pinned=True)
    soft = entered(pool, "b", gone)
    assert entered(pool, "c", gone, pinned=True) is not None
    assert gone == [soft]
    assert entered(pool, "d", gone) is None
    assert len(pool) == 2


def test_a_admission_that_was_evicted_may_still_be_released():
    pool, gone = AdmissionPool(1, 1), []
    first = entered(pool, "a", gone)
    second = entered(pool, "b", gone)
    pool.release(first)
    assert len(pool) == 1
    pool.release(second)
    assert len(pool) == 0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.booleans())))
def test_whatever_happens_neither_limit_is_passed_and_every_admission_ends_once(steps):
    pool, gone, held = AdmissionPool(4, 2), [], []
    for peer, pinned, leaves in steps:
        if leaves and held:
            pool.release(held.pop(0))
            continue
        admission = entered(pool, peer, gone, pinned=pinned)
        held = [each for each in held if each not in gone] + ([admission] if admission is not None else [])
        assert len(pool) == len(held) <= 4
        assert max((sum(each.peer == name for each in held) for name in "abc"), default=0) <= 2
    assert len(gone) == len(set(map(id, gone)))
    assert not any(admission.pinned for admission in gone)
