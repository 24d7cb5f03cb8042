"""YAML 1.2 as route files may hold it, with the place of everything."""

from pathlib import Path

import pytest

from tests.tools.every import every
from worker.config.config_node import RouteFile
from worker.config.interpolation import Variables
from worker.config.yaml_text import read_yaml
from worker.core.errors import ConfigError

STYLES = """\
plain: one two three
single: 'it''s two three'
double: "tab \\t \\u0041\\x41 two three"
folded: >-
  one
  two three
literal: |
  one
    deeper
  two three
indented: |2
    two three
spread: one
  two three
quoted_spread: "one \\
  more two three"
list:
  - a
  - two three
"""


def read(text):
    return read_yaml(RouteFile("f", text, Variables({}, Path("no-secrets"))))


def test_plain_scalars_are_those_of_yaml_1_2():
    text = "a: no\nb: 1:30\nc: 017\nd: 0o17\ne: true\nf: ~\ng:\nh: 1e3\ni: 2026-01-31\nj: '5'\nk: 0x1F\nl: =\nm: <<\n"
    assert read(text).value == {
        "a": "no", "b": "1:30", "c": 17, "d": 15, "e": True, "f": None, "g": None, "h": 1000.0, "i": "2026-01-31", "j": "5", "k": 31, "l": "=", "m": "<<",
    }  # fmt: skip


def test_keys_are_text_whatever_they_look_like():
    assert read("404: a\ntrue: b\n~: c\n").value == {"404": "a", "true": "b", "~": "c"}


def nodes(root):
    """Every text of a file."""
    return [root] if isinstance(root.value, str) else [node for child in root.children.values() for node in nodes(child)]


@every("node", [node for node in nodes(read(STYLES)) if "two" in node.value], ids=lambda node: node.name)
def test_a_place_inside_a_text_is_found_in_every_style(node):
    problem = node.problem("here", node.value.index("two"))
    assert STYLES.splitlines()[problem.line - 1][problem.column - 1 :].startswith("two three")


def test_a_value_that_is_not_written_is_reported_at_its_key():
    problem = read("a:\n  b:\n\n\nc: 1\n").child("a").child("b").problem("here")
    assert (problem.line, problem.column) == (2, 3)


def test_keys_and_values_have_their_places():
    node = read("a:\n  - {b: 1,  c: [x]}\n").child("a").child(0).child("c")
    assert [(at.line, at.column) for at in (node.key_place, node.child(0).place)] == [(2, 13), (2, 17)]


def test_a_member_that_does_not_exist_has_the_place_of_what_would_hold_it():
    node = read("a:\n  b: {c: 1}\n").child("a").child("b").child("d").child(0)
    assert (node.exists, node.value, node.path, node.place.line, node.place.column) == (False, None, ("a", "b", "d", 0), 2, 6)


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 10_000, "? " * 10_000, "a: [" * 50])
def test_depth_is_refused_before_it_costs_anything(text):
    with pytest.raises(ConfigError):
        read(text)


def test_a_huge_file_is_refused():
    with pytest.raises(ConfigError, match="at most 1,000,000 are read"):
        read("# " + "x" * 1_000_000)


def test_a_broken_key_does_not_hide_the_next_mistake():
    with pytest.raises(ConfigError) as raised:
        read("a: 1\na: 2\nb: 1\nb: 2\n")
    assert [(problem.line, problem.message) for problem in raised.value.problems] == [
        (2, "`a` is given twice; the first is in line 1"),
        (4, "`b` is given twice; the first is in line 3"),
    ]


@pytest.mark.parametrize("number", ["9223372036854775808", "89445012345678901234", "0.12345678901234567890", "9007199254740993.0", "1e-400"])
def test_a_number_that_would_become_another_one_is_refused(number):
    with pytest.raises(ConfigError, match=r"f:1:4: a number with more digits than a route file holds"):
        read(f"a: {number}\n")


def test_a_number_that_a_double_holds_is_read():
    assert read("a: [1.10, .5, +2.5, 1e3, 1.5e-7, 0.30000000000000004, 9223372036854775807, 1.]\n").value["a"] == [
        1.1, 0.5, 2.5, 1000, 1.5e-7, 0.30000000000000004, 9223372036854775807, 1
    ]  # fmt: skip
