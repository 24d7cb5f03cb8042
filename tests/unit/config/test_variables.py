"""Halo's grammar for output variables, case by case, and for any text and any document."""

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.every import every
from worker.config.variables import ElementPart, MatchPart, MemberPart, VariablePath, VariableSyntaxError, parse_variable

COMPLETION = {
    "id": "chatcmpl-1",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": 'Try "off and on" again.'}, "finish reason": "stop"},
        {"index": 1, "message": {"role": "assistant", "content": "No idea."}},
    ],
    "usage": {"total_tokens": 12, "cost.usd": 0.5, "x-rate": 7.0},
    "größe": {"höhe": 3},
    "": "nameless",
    "empty": {},
    "none": None,
    "no": False,
    "zero": 0,
    "text": "",
    "Upper": 1,
    "wow!": "name with a mark",
    "a=b": {"c": 1},
}
PEOPLE = [
    "not an object",
    {"id": 122, "name": "Ann Lee", "vip": False, "site": None, "tags": ["a", "b"], "mail": ""},
    {"id": 123, "name": "Bob", "vip": True, "rate": 7.0, "tags": ["c"], "assets": [{"kind": "pc", "ids": [4, 5]}, {"kind": "phone", "ids": [6]}]},
    {"id": 123, "name": "Bob the second"},
    {"id": "124", "name": "Eve=Mallory", "rate": 0.5, "key": "a[0", "nested": {"id": 1}},
    {"id": [125], "name": "List"},
]
MATRIX = [[1, 2], [3, [4, 5]]]
MISSING = object()

CASES = [
    # the whole document
    ("response", COMPLETION, COMPLETION),
    ("response!", "plain text", "plain text"),
    ("response", None, None),
    ("response", "", ""),
    ("request", [1], [1]),
    ("  response^id  ", COMPLETION, "chatcmpl-1"),
    # members
    ("response^id", COMPLETION, "chatcmpl-1"),
    ("response^id!", COMPLETION, "chatcmpl-1"),
    ("response^usage^total_tokens", COMPLETION, 12),
    ("response^usage^total_tokens!", COMPLETION, 12),
    ("response^usage", COMPLETION, COMPLETION["usage"]),
    ("response^usage^cost.usd", COMPLETION, 0.5),
    ("response^usage^x-rate", COMPLETION, 7.0),
    ("response^größe^höhe", COMPLETION, 3),
    ("response^choices[0]^finish reason!", COMPLETION, "stop"),
    ("response^none", COMPLETION, None),
    ("response^no", COMPLETION, False),
    ("response^zero", COMPLETION, 0),
    ("response^text!", COMPLETION, ""),
    ("response^empty", COMPLETION, {}),
    ("response^wow!!", COMPLETION, "name with a mark"),
    ("response^a=b^c", COMPLETION, 1),
    # what is not there
    ("response^nothing", COMPLETION, MISSING),
    ("response^upper", COMPLETION, MISSING),
    ("response^ID", COMPLETION, MISSING),
    ("response^id ^x", COMPLETION, MISSING),
    ("response^id^more", COMPLETION, MISSING),
    ("response^none^more", COMPLETION, MISSING),
    ("response^choices^message", COMPLETION, MISSING),
    ("response^a", "text", MISSING),
    ("response^a", None, MISSING),
    ("response^0", [1], MISSING),
    # elements
    ("response^choices[0]", COMPLETION, COMPLETION["choices"][0]),
    ("response^choices[0]^message^content!", COMPLETION, 'Try "off and on" again.'),
    ("response^choices[1]^message^content", COMPLETION, "No idea."),
    ("response^choices[01]^index", COMPLETION, 1),
    ("response^choices[ 1 ]^index", COMPLETION, 1),
    ("response[0]", PEOPLE, "not an object"),
    ("response[0]!", PEOPLE, "not an object"),
    ("response[1]^name!", PEOPLE, "Ann Lee"),
    ("response[1][0]", MATRIX, 3),
    ("response[1][1][0]", MATRIX, 4),
    ("response[2]", MATRIX, MISSING),
    ("response[0]", {"0": 1}, MISSING),
    ("response[0]", "text", MISSING),
    ("response^choices[2]^index", COMPLETION, MISSING),
    ("response^choices[999999999]", COMPLETION, MISSING),
    # the first element that matches
    ("response[id=123]", PEOPLE, PEOPLE[2]),
    ("response[id=123]^name!", PEOPLE, "Bob"),
    ("response[id=124]^name!", PEOPLE, "Eve=Mallory"),
    ("response[name=Ann Lee]^id", PEOPLE, 122),
    ("response[ name = Ann Lee ]^id", PEOPLE, 122),
    ("response[name=Eve=Mallory]^id", PEOPLE, "124"),
    ("response[key=a[0]^id", PEOPLE, "124"),
    ("response[vip=true]^id", PEOPLE, 123),
    ("response[vip=false]^id", PEOPLE, 122),
    ("response[site=null]^id", PEOPLE, 122),
    ("response[mail=]^id", PEOPLE, 122),
    ("response[rate=7]^id", PEOPLE, 123),
    ("response[rate=7.0]^id", PEOPLE, 123),
    ("response[rate=0.5]^id", PEOPLE, "124"),
    ("response[id=123]^assets[kind=phone]^ids[0]", PEOPLE, 6),
    ("response[id=123]^assets[kind=pc]^ids[1]!", PEOPLE, 5),
    ("response^choices[index=1]^message^content!", COMPLETION, "No idea."),
    ("response^choices[finish reason=stop]^index", COMPLETION, 0),
    ("request^people[id=123]^tags[0]!", {"people": PEOPLE}, "c"),
    # what does not match
    ("response[id=999]", PEOPLE, MISSING),
    ("response[id=0123]", PEOPLE, MISSING),
    ("response[id=123]^missing[0]^x", PEOPLE, MISSING),
    ("response[name=bob]", PEOPLE, MISSING),
    ("response[Name=Bob]", PEOPLE, MISSING),
    ("response[vip=True]", PEOPLE, MISSING),
    ("response[vip=1]", PEOPLE, MISSING),
    ("response[site=]", PEOPLE, MISSING),
    ("response[rate=0]", PEOPLE, MISSING),
    ("response[nested={}]", PEOPLE, MISSING),
    ("response[id=1]", {"id": 1}, MISSING),
    ("response[id=1]", "text", MISSING),
    # brackets in any combination
    ("response^a[0]^b[x=y][1]^c", {"a": [{"b": [{"x": "y", "c": 1}]}]}, MISSING),
    ("response^a[0][k=v]^c", {"a": [[{"k": "w"}, {"k": "v", "c": 2}]]}, 2),
    ("response[k=v][0]", [{"k": "v"}], MISSING),
    ("response[0][1]", [["a", "b"]], "b"),
    ("response^a[0]^b[0]^c[0]^d!", {"a": [{"b": [{"c": [{"d": "deep"}]}]}]}, "deep"),
]
BROKEN = [
    ("response[id=[125]]", 18, "`]` without its `[`"),
    ("", 1, "begins with `response` or `request`"),
    ("   ", 4, "begins with `response` or `request`"),
    ("!", 1, "begins with `response` or `request`"),
    ("respons^id", 1, "did you mean response?"),
    ("Response^id", 1, "did you mean response"),
    ("reply^id", 1, "begins with `response` or `request`"),
    ("id", 1, "begins with `response` or `request`"),
    ("response.id", 9, "a member is written with `^`"),
    ("response ^id", 9, "not a space"),
    ("response!^id", 9, "is expected here"),
    ("response^", 10, "the name of a member is expected after `^`"),
    ("response^!", 10, "the name of a member is expected after `^`"),
    ("response^^id", 10, "the name of a member is expected after `^`"),
    ("response^a^[0]", 12, "the name of a member is expected after `^`"),
    ("response^a\x00b", 11, "is expected here"),
    ("response^a]", 11, "`]` without its `[`"),
    ("response[", 9, "`]` is missing"),
    ("response^a[0", 11, "`]` is missing"),
    ("response^a[0!", 11, "`]` is missing"),
    ("response[]", 10, "a number or name=value is expected"),
    ("response[x]", 10, "a number or name=value is expected"),
    ("response[*]", 10, "a number or name=value is expected"),
    ("response[1.5]", 10, "a number or name=value is expected"),
    ("response[-1]", 10, "counted from 0"),
    ("response[1234567890]", 10, "at most nine digits"),
    ("response[=x]", 10, "before `=`"),
    ("response[a^b=x]", 10, "the name of one member"),
    ("response[0]id", 12, "is expected here"),
    ("  response^", 12, "the name of a member"),
]


@every(("text", "document", "expected"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_an_expression_finds(text, document, expected):
    found = parse_variable(text).find(document)
    assert found.there is (expected is not MISSING)
    assert json.dumps(found.value) == json.dumps(None if expected is MISSING else expected)  # 1, 1.0 and true are equal in Python


@every(("text", "column", "said"), BROKEN, ids=[case[0] for case in BROKEN])
def test_a_mistake_is_reported_with_its_column(text, column, said):
    with pytest.raises(VariableSyntaxError) as error:
        parse_variable(text)
    assert said in str(error.value)
    assert error.value.column == column


def test_an_expression_is_its_parts():
    assert parse_variable("request^a[0]^b[x=y z][1]^c!") == VariablePath(
        "request", (MemberPart("a"), ElementPart(0), MemberPart("b"), MatchPart("x", "y z"), ElementPart(1), MemberPart("c")), plain=True
    )


def test_only_the_last_mark_makes_it_plain():
    assert [parse_variable(text).plain for text in ("response^a", "response^a!", "response^a!b", "response[a=b!]", "response[a=b!]!")] == [
        False,
        True,
        False,
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("response^choices[0]^message", None),
        ("response^choices[7]^message^content!", "response^choices[7]"),
        ("response^x^y", "response^x"),
        ("response[a=1]^b", "response[a=1]"),
    ],
)
def test_what_is_missing_can_be_named(text, where):
    assert parse_variable(text).missing(COMPLETION) == where


NAMES = st.text(alphabet=st.characters(blacklist_characters="^[]!", blacklist_categories=("Cc", "Cs", "Z")), min_size=1, max_size=8)
VALUES = st.text(alphabet=st.characters(blacklist_characters="]", blacklist_categories=("Cc", "Cs", "Z")), max_size=8)
PARTS = (
    st.builds(MemberPart, NAMES)
    | st.builds(ElementPart, st.integers(0, 999_999_999))
    | st.builds(MatchPart, NAMES.filter(lambda name: "=" not in name), VALUES)
)
PATHS = st.builds(VariablePath, st.sampled_from(["response", "request"]), st.lists(PARTS, max_size=6).map(tuple), st.booleans())
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b", "id", ""]) | st.text(max_size=3), inner, max_size=4),
    max_leaves=20,
)
NEARLY = st.lists(st.sampled_from(["response", "request", "^", "[", "]", "=", "!", "0", "1", "a", "id", " ", "true", "null", "1.0", "é"]), max_size=10).map(
    "".join
)


@given(PATHS)
def test_a_path_written_out_is_read_back(path):
    assert parse_variable(str(path)) == path


@given(st.text() | NEARLY | st.text(string.printable).map("response".__add__), ANY_JSON)
def test_any_text_is_refused_with_a_column_or_finds_without_failing(text, document):
    try:
        path = parse_variable(text)
    except VariableSyntaxError as error:
        column = error.column
        assert 1 <= column <= len(text) + 1
        return
    found = path.find(document)
    assert found.there or found.value is None
    assert (path.missing(document) is None) is found.there
    assert parse_variable(str(path)) == path


@given(PATHS, ANY_JSON)
def test_no_document_makes_it_fail(path, document):
    assert path.find(document).there in {True, False}


def grown(parts, leaf):
    """A document that holds `leaf` where the path leads."""
    for part in reversed(parts):
        leaf = {part.name: leaf} if isinstance(part, MemberPart) else [*([None] * part.index), leaf]
    return leaf


@given(st.lists(st.builds(MemberPart, NAMES) | st.builds(ElementPart, st.integers(0, 5)), max_size=6), st.integers())
def test_what_stands_at_a_path_is_found(parts, leaf):
    assert VariablePath("response", tuple(parts), plain=False).find(grown(parts, leaf)).value == leaf
