"""The content hash is fixed: known records in brokers hold it, and another one would publish every record again."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.every import every
from worker.changes.records import VOLATILE, content_hash

IGNORED = frozenset({"viewed", "cost"})
VECTORS = [  # a page's text, its hash, its hash where the route ignores `viewed` and `cost`
    ('{"id": 1}', "1ea450d66dcfc383", "1ea450d66dcfc383"),
    ('{"id": 1.0}', "404a6b6baa23d25c", "404a6b6baa23d25c"),
    ("{}", "01e7b720ff566d53", "01e7b720ff566d53"),
    ('{"id": 18446744073709551615, "low": -9223372036854775808}', "774a434d093d6881", "774a434d093d6881"),
    (
        '{"id": 9007199254740993, "cost": 0.1, "small": 1e-7, "large": 1e22, "minus": -0.0, "beyond": 18446744073709551616}',
        "fc2b4bf5ee717389",
        "257c22f5e74435b6",
    ),
    ('{"b": 1, "a": {"d": [3, 1, 2], "c": null}, "_c": 7, "B": true}', "b4f56964ece5ef64", "b4f56964ece5ef64"),
    ('{"id": 5, "fields": [{"id": 2, "_dirty": true, "value": "x"}, {"_only": 1}], "_canupdate": true}', "8f8f6e288d859635", "8f8f6e288d859635"),
    ('{"id": 6, "read": true, "slatimeleft": -3.5, "nested": {"read": true}}', "6698c00ad3115571", "6698c00ad3115571"),
    (r'{"note": "a \"_quoted\" word", "_x": 1}', "6d415fc66f08e438", "6d415fc66f08e438"),
    (r'{"note": "_leading", "list": ["_leading", "\"_"]}', "514ebfb6849e74d6", "514ebfb6849e74d6"),
    (
        r'{"summary": "Gr\u00fc\u00dfe \u2028 \ud83d\ude00 \u0000 / \\ \t", "\u00e9": 1, "\ue000": 2, "\ud83d\ude00": 3}',
        "18d7287407f8e233",
        "18d7287407f8e233",
    ),
    ('{"id": 7, "lastupdate": "2026-10-03T06:24:10.967", "dateoccurred": "2026-10-03T06:24:10"}', "e6c356396924ef1b", "e6c356396924ef1b"),
    ('{"_id": 1, "_all": {"a": 1}}', "01e7b720ff566d53", "01e7b720ff566d53"),
    ('{"": "empty", "viewed": 3}', "f1c2596b4fb17d51", "54b0429240825e04"),
]
NAMES = st.sampled_from(["id", "_id", "note", "_", "read", "viewed", "é", ""]) | st.sampled_from(sorted(VOLATILE)) | st.text('_a"\\', max_size=4)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text('_a"\\€', max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


def by_definition(row: dict[str, Any], ignore: frozenset[str]) -> str:
    """The hash as it is defined, member by member."""

    def quiet(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: quiet(member) for name, member in value.items() if not name.startswith("_")}
        return [quiet(item) for item in value] if isinstance(value, list) else value

    content = {name: value for name, value in quiet(row).items() if name not in VOLATILE and name not in ignore}
    return blake2b(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), digest_size=8).hexdigest()


@every(("text", "plain", "ignoring"), VECTORS)
def test_a_record_has_the_hash_that_brokers_already_hold(text: str, plain: str, ignoring: str):
    row = orjson.loads(text)
    assert (content_hash(row), content_hash(row, IGNORED)) == (plain, ignoring)


@given(st.dictionaries(NAMES, VALUES, max_size=8), st.frozensets(NAMES, max_size=3))
def test_the_hash_is_that_of_the_definition_and_leaves_the_record_as_it_was(row: dict[str, Any], ignore: frozenset[str]):
    before = orjson.dumps(row)
    assert content_hash(row, ignore) == by_definition(row, ignore)
    assert orjson.dumps(row) == before
