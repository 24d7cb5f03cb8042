"""Where an embedded expression begins and ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.every import every
from worker.config.template_lexer import Embedded, LiteralText, Unclosed, parts, tokens, whole

TRICKY = [
    '{"a": {"b": 1}}',
    '$contains(a, "}}")',
    "$contains(a, '}}')",
    r'"\"}}"',
    "a.`}}`",
    "a /* }} */ & b",
    "$match(a, /}}/)",
    "$match(a, /[/}}]+/i)",
    "(a / b) / c",
    "a[0] / 2",
    "`x` / 2",
    "and / 2",
    "** / 2",
    "items.{'n': name}[0]",
    "function($x){ {'y': $x} }(1)",
    "a\n/* over\nlines */\n+ b",
]


@every("expression", TRICKY)
def test_the_closing_braces_are_those_that_nothing_inside_owns(expression):
    assert parts(f"x{{{{{expression}}}}}y") == [LiteralText("x", 0), Embedded(expression, 3), LiteralText("y", len(expression) + 5)]


@every("expression", TRICKY)
def test_an_expression_alone_is_the_whole_value_whatever_space_is_around_it(expression):
    assert whole(f" \n{{{{ {expression} }}}}\n") == Embedded(f" {expression} ", 4)


@pytest.mark.parametrize("text", ["{{ a }}{{ b }}", "{{ a }} b", "a {{ b }}", "", "plain", "{ { a } }"])
def test_anything_more_or_less_than_one_expression_is_not_whole(text):
    assert whole(text) is None


@pytest.mark.parametrize(
    ("text", "start", "said"),
    [
        ("ab {{ c", 3, "`}}` is missing"),
        ("{{ c }", 0, "`}}` is missing"),
        ('{{ "c }}', 3, "a string inside it has no end"),
        ("{{ `c }}", 3, "a quoted name inside it has no end"),
        ("{{ a /* c }}", 5, "a comment inside it has no end"),
        ("{{ a }} {{ b", 8, "`}}` is missing"),
    ],
)
def test_an_expression_without_an_end_is_reported_with_its_place(text, start, said):
    with pytest.raises(Unclosed, match=said) as raised:
        parts(text)
    assert raised.value.start == start


def test_a_missing_bracket_does_not_swallow_the_rest_of_the_text():
    assert parts("{{ f(a }} and {{ b }}")[1:] == [LiteralText(" and ", 9), Embedded(" b ", 16)]


@given(st.text())
def test_text_without_braces_is_one_literal(text):
    text = text.replace("{{", "")
    assert "".join(part.text for part in parts(text)) == text
    assert all(isinstance(part, LiteralText) for part in parts(text))


@given(st.text(alphabet="{}()[]\"'`/\\*$ab \n+"))
def test_the_scanner_puts_every_character_somewhere_or_says_what_is_not_closed(text):
    try:
        found = parts(text)
    except Unclosed as error:
        found = [LiteralText(text[: error.start], 0), LiteralText(text[error.start :], error.start)]
    rebuilt = "".join(f"{{{{{part.text}}}}}" if isinstance(part, Embedded) else part.text for part in found)
    assert rebuilt == text
    for part in found:
        assert text[part.start : part.start + len(part.text)] == part.text


@given(st.text())
def test_tokens_are_the_text_in_order(text):
    assert "".join(token.text for token in tokens(text)) == text
