"""How deep a JSON text may be nested: what counts is its structure, whatever brackets its texts hold."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from worker.core.errors import Undecodable
from worker.core.json_codec import decode, too_deep

TEXTS = st.text('[]{}"\\a', max_size=8)
VALUES = st.recursive(
    st.none() | st.integers(-5, 5) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=3) | inner.map(lambda value: [[value]]),
    max_leaves=30,
)


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


@given(VALUES, st.integers(0, 12))
@example(["]]]]", [["}"]]], 2)
@example([[], [], [[[]]]], 3)
def test_a_text_is_refused_exactly_when_its_structure_is_deeper_than_the_limit(value: Any, limit: int):
    body = orjson.dumps(value)
    if depth_of(value) <= limit:
        assert decode(body, max_depth=limit) == value
    else:
        with pytest.raises(Undecodable, match=f"deeper than {limit} levels"):
            decode(body, max_depth=limit)


@given(VALUES, st.integers(0, 12), st.integers(0, 5))
def test_knowing_how_many_containers_there_are_at_most_changes_no_answer(value: Any, limit: int, surplus: int):
    text = json.dumps(value)
    most = text.count("[") + text.count("{") + surplus
    assert too_deep(value, limit, most) == too_deep(value, limit) == (depth_of(value) > limit)


@pytest.mark.parametrize("filler", ["", "]" * 90, "}" * 90, "[" * 90])
def test_a_deep_place_in_a_wide_text_is_found_between_others_that_are_flat(filler: str):
    rows: list[Any] = [{"id": number, "note": filler} for number in range(100)]
    assert decode(orjson.dumps(rows)) == rows
    rows[70]["note"] = orjson.loads(b"[" * 63 + b"]" * 63)
    with pytest.raises(Undecodable, match="deeper than 64 levels"):
        decode(orjson.dumps(rows))
    rows[70]["note"] = orjson.loads(b"[" * 62 + b"]" * 62)
    assert decode(orjson.dumps(rows)) == rows
