"""Random JSON documents as text, and whether two texts hold the same document: read with a parser of its own, in which every number is exact."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

LARGEST = Decimal("1.7976931348623157e308")
HALVES = st.sampled_from(["\ud83d", "\udc00", "cut \ud83d", "\udfff\ud800"])
TEXTS = st.text(max_size=12) | st.text(st.characters(min_codepoint=0x1F300), max_size=3)
INTEGERS = st.integers(-(2**70), 2**70) | st.sampled_from([2**53, 2**53 + 1, -(2**63), 2**63, 2**64 - 1, 2**64, 10**30 + 1])
DECIMALS = st.builds(
    "{}{}.{:0{}d}{}".format,
    st.sampled_from(["", "-"]),
    st.integers(0, 10**24) | st.integers(0, 99),
    st.integers(0, 10**18),
    st.integers(1, 30),
    st.just("") | st.integers(-400, 400).map("e{}".format),
)
NUMBERS = INTEGERS.map(str) | DECIMALS | st.floats(allow_nan=False, allow_infinity=False).map(json.dumps) | st.sampled_from(["12.0", "-0.0", "1e2", "4.9e-324"])
SCALARS = NUMBERS | (TEXTS | HALVES).map(json.dumps) | st.sampled_from(["null", "true", "false", '""', "[]", "{}"])


def array(items: list[str]) -> str:
    return f"[{','.join(items)}]"


def obj(members: dict[str, str]) -> str:
    return "{" + ",".join(f"{json.dumps(name, ensure_ascii=len(name) % 2 == 0)}:{value}" for name, value in members.items()) + "}"


DOCUMENTS: st.SearchStrategy[str] = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4).map(array) | st.dictionaries(TEXTS, inner, max_size=4).map(obj), max_leaves=12
)


def value_of(text: str | bytes) -> Any:
    """The document with every number as a `Decimal`, and U+FFFD in place of half a surrogate pair."""
    return whole_text(json.loads(text, parse_int=Decimal, parse_float=Decimal))


def whole_text(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, list):
        return [whole_text(item) for item in value]
    return {name: whole_text(member) for name, member in value.items()} if isinstance(value, dict) else value


def same(left: Any, right: Any) -> bool:
    """Equal, a number and a truth value apart."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[name], right[name]) for name in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


def is_too_large(value: Any) -> bool:
    """Whether it holds a number that no double comes near."""
    if isinstance(value, (dict, list)):
        return any(map(is_too_large, value.values() if isinstance(value, dict) else value))
    return isinstance(value, Decimal) and abs(value) > LARGEST


def without_nulls(value: Any) -> Any:
    """As Halo shows what it stores: members that are null are left out."""
    if isinstance(value, dict):
        return {name: without_nulls(member) for name, member in value.items() if member is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value
