"""The known records of `for_each` hold which parent each child belongs to, over deltas and snapshots."""

from worker.state.known_stream import parts
from worker.state.record_index import RecordIndex


def again(known: RecordIndex) -> RecordIndex:
    """What the next turn reads back from the deltas."""
    read = RecordIndex()
    for delta in parts(known.pending()):
        read.apply(delta)
    return read


def test_a_child_belongs_to_its_parent_until_it_is_forgotten_or_moves():
    known = RecordIndex()
    known.put("1/1", "a", owner="1")
    known.put("1/2", "b", owner="1")
    known.put("9", "c", owner="1")
    known.put("9", "d", owner="2")
    known.forget(["1/2"])
    assert known.children == {"1": {"1/1"}, "2": {"9"}}
    assert again(known).children == known.children
    assert again(known).hashes == known.hashes


def test_an_update_without_a_parent_leaves_the_child_where_it_is():
    known = RecordIndex()
    known.put("1/1", "a", owner="1")
    known.clear_delta()
    known.put("1/1", "b")
    assert known.children == {"1": {"1/1"}}


def test_a_mark_in_place_of_a_record_has_no_parent():
    known = RecordIndex()
    known.put("1/1", "a", owner="1")
    known.clear_delta()
    known.replace("1/1", "-0.1")
    assert (known.hashes, known.children) == ({"1/1": "-0.1"}, {})
    assert again(known).hashes == {"1/1": "-0.1"}
