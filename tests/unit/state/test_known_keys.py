"""Known records belong to the key that they were made of."""

from __future__ import annotations

import pytest

from worker.state.record_index import RecordIndex


@pytest.mark.parametrize(
    ("made_of", "known", "key", "fits"),
    [
        (("id",), ["7"], ("id",), True),
        (("id",), ["7"], ("techID",), False),
        (("ticket_id", "id"), ["7/1"], ("id", "ticket_id"), False),
        ((), ["7"], ("id",), True),
        ((), ["7/1"], ("ticket_id", "id"), True),
        ((), ["7"], ("typeinfo_id", "id"), False),
        ((), [], ("typeinfo_id", "id"), True),
    ],
    ids=["same", "another member", "another order", "older", "older, of two", "older, of one", "older, of none"],
)
def test_what_was_known_by_another_key_is_told_from_what_is_known_by_this_one(made_of: tuple[str, ...], known: list[str], key: tuple[str, ...], fits: bool):
    assert RecordIndex(hashes=dict.fromkeys(known, "hash")).fits(made_of, key) == fits
