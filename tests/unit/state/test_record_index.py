"""What is written of the known records gives the same records when it is read."""

from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st

from worker.state.known_stream import parts
from worker.state.record_index import RecordIndex

KEYS = st.sampled_from("abcdef")
OPERATIONS = st.lists(
    st.tuples(st.just("put"), KEYS, st.sampled_from("123"), st.sampled_from(["", "s1", "s2"]))
    | st.tuples(st.sampled_from(("forget", "mark_seen", "miss")), st.lists(KEYS, max_size=4))
    | st.tuples(st.just("write")),
    max_size=40,
)


def done(known: RecordIndex, operation: tuple, log: list[bytes]) -> None:
    match operation:
        case ("put", key, digest, trace):
            known.put(key, digest, trace)
        case ("write",):
            log.extend(orjson.dumps(part) for part in parts(known.pending()))
            known.clear_delta()
        case (name, keys):
            getattr(known, name)(keys)


@given(OPERATIONS)
def test_the_deltas_applied_in_order_give_what_is_in_memory(operations: list[tuple]):
    known, log = RecordIndex(), []
    for operation in [*operations, ("write",)]:
        done(known, operation, log)
    read = RecordIndex()
    for document in log:
        read.apply(orjson.loads(document))
    assert read.hashes == known.hashes
    assert read.missing == known.missing
    assert read.traces == known.traces
    assert known.traces.keys() <= known.hashes.keys()


@given(OPERATIONS)
def test_only_known_records_can_be_missing(operations: list[tuple]):
    known = RecordIndex()
    for operation in operations:
        done(known, operation, [])
        assert known.missing <= known.hashes.keys()


@given(OPERATIONS)
def test_what_is_written_is_not_written_again(operations: list[tuple]):
    known = RecordIndex()
    for operation in operations:
        done(known, operation, [])
    known.clear_delta()
    assert known.pending() == {}


def test_nothing_changed_is_nothing_to_write():
    known = RecordIndex({"a": "1"}, {"a"})
    known.mark_seen(["b"])
    known.miss(["a", "b"])
    known.forget(["c"])
    assert known.pending() == {}


def test_what_a_scan_has_seen_is_kept_until_it_ends():
    known = RecordIndex()
    known.apply({"seen": ["a"]})
    known.apply({"seen": ["b"]})
    assert known.seen == {"a", "b"}
    known.apply({"scan_ended": True})
    assert known.seen == set()


def test_large_deltas_are_cut_in_pieces_that_together_are_the_same():
    known = RecordIndex()
    for number in range(12_000):
        known.put(str(number), "x")
    pieces = list(parts(known.pending()))
    assert len(pieces) == 3
    read = RecordIndex()
    for piece in pieces:
        read.apply(piece)
    assert read.hashes == known.hashes
