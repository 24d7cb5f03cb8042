"""The index of claims: who was first, decided by the entries alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.every import every
from worker.core.ledger import Claim
from worker.state.claim_index import CLAIM_LIFETIME, ClaimEntry, ClaimIndex, NotAClaim, decoded, encoded

DAY = CLAIM_LIFETIME


def entry(key, owner="a", at=0):
    return ClaimEntry.of(key, owner, at)


def test_the_first_has_it_the_same_again_is_told_and_others_come_too_late():
    index = ClaimIndex()
    assert [index.add(entry("k", owner)) for owner in "abab"] == [Claim.WON, Claim.TAKEN, Claim.AGAIN, Claim.TAKEN]


def test_keys_have_nothing_to_do_with_each_other():
    index = ClaimIndex()
    assert {index.add(entry(f"k{number}", "a")) for number in range(100)} == {Claim.WON}


def test_a_claim_holds_for_a_day_and_no_longer():
    index = ClaimIndex()
    index.add(entry("k", "a", 1000))
    assert index.add(entry("k", "b", 1000 + DAY)) is Claim.TAKEN
    assert index.add(entry("k", "b", 1001 + DAY)) is Claim.WON
    assert index.add(entry("k", "a", 1002 + DAY)) is Claim.TAKEN


def test_whether_a_key_is_known_depends_on_its_age():
    index = ClaimIndex()
    index.add(entry("k", "a", 1000))
    assert index.knows("k", 1000 + DAY)
    assert not index.knows("k", 1001 + DAY)
    assert not index.knows("other", 1000)


def test_no_more_than_the_most_keys_are_kept_and_the_newest_half_surely():
    index = ClaimIndex(most=100)
    for number in range(1000):
        index.add(entry(f"k{number}", "a", number))
        assert len(index) <= 100
    assert all(index.knows(f"k{number}", 1000) for number in range(950, 1000))
    assert not index.knows("k0", 1000)


def test_keys_of_the_day_before_yesterday_take_no_room():
    index = ClaimIndex()
    for day in range(10):
        for number in range(10):
            index.add(entry(f"k{day}.{number}", "a", day * (DAY + 1) + number))
    assert len(index) <= 20


def test_an_entry_comes_back_as_it_was_written_and_tells_neither_key_nor_message():
    written = entry("customer@example.com", "message", 1_700_000_000)
    assert decoded(encoded([written])) == [written]
    assert b"customer" not in encoded([written])


@every("body", [b"", b"{}", b"[]", b"null", b'"x"', b'{"v":2,"key":"aa","owner":"bb","at":1}', b'{"v":1,"key":1,"owner":2,"at":3}', b"\xff"])
def test_what_is_no_claim_is_refused(body):
    with pytest.raises(NotAClaim):
        decoded(body)


@every("change", [{"v": 2}, {"key": "zz" * 16}, {"key": "aa"}, {"owner": "a"}, {"at": -1}, {"at": 1 << 40}, {"at": "1"}, {"at": 1.5}, {"key": None}])
def test_an_entry_with_a_wrong_member_is_refused(change):
    import orjson

    with pytest.raises(NotAClaim):
        decoded(orjson.dumps(orjson.loads(encoded([entry("k")])) | change))


@given(st.text())
def test_every_text_can_be_claimed(key):
    index = ClaimIndex()
    assert (index.add(entry(key)), index.add(entry(key)), index.add(entry(key, "b"))) == (Claim.WON, Claim.AGAIN, Claim.TAKEN)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3 * DAY))), st.integers(0, 10))
def test_a_reader_that_began_later_agrees_on_every_key_that_it_has_read_from_its_first_claim(entries, skipped):
    """What a replica decides depends on how long it has been there only for a key that is claimed again about a day later, every day."""
    ordered = sorted(entries, key=lambda item: item[2])
    first, second = ClaimIndex(), ClaimIndex()
    decided = [first.add(entry(str(key), str(owner), at)) for key, owner, at in ordered]
    late = [second.add(entry(str(key), str(owner), at)) for key, owner, at in ordered[skipped:]]
    if not ordered[skipped:]:
        return
    begun = ordered[skipped][2]
    unread = {key for key, _, at in ordered[:skipped] if begun - at <= DAY}
    for (key, _, _), one, other in zip(ordered[skipped:], decided[skipped:], late, strict=True):
        if key not in unread:
            assert one is other


def test_several_claims_in_one_message_are_made_in_their_order():
    several = [entry("k", "first"), entry("k", "second"), entry("other", "first")]
    assert decoded(encoded(several)) == several
    index = ClaimIndex()
    assert [index.add(each) for each in decoded(encoded(several))] == [Claim.WON, Claim.TAKEN, Claim.WON]
