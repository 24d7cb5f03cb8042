"""What data holds cannot steer a terminal."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.every import every
from worker.core.printable import printable, printable_json

DANGEROUS = [*(chr(code) for code in range(0x20) if code not in {9, 10}), "\x7f", *map(chr, range(0x80, 0xA0)), *map(chr, range(0x202A, 0x202F))]
DANGEROUS += [*map(chr, range(0x2066, 0x206A)), "\u200e", "\u200f", "\u061c", "\u2028", "\u2029"]


@every("character", DANGEROUS, ids=lambda character: f"U+{ord(character):04X}")
def test_each_character_that_steers_is_replaced_by_one_that_can_be_seen(character):
    shown = printable(f"a{character}b")
    assert (len(shown), shown[0], shown[2]) == (3, "a", "b")
    assert shown[1].isprintable()
    assert character not in printable_json(f'"{character}"') or character < " "


def test_lines_and_tabs_stay_where_there_are_lines_and_nowhere_else():
    assert printable("a\n\tb") == "a\n\tb"
    assert printable("a\n\tb", lines=False) == "a␊␉b"


@pytest.mark.parametrize("text", ["Grüße, 東京 👩‍👩‍👧", "a\u00a0b", "[red]x[/red]", ""])
def test_what_people_write_stays(text):
    assert printable(text) == text


@given(st.text())
def test_json_means_the_same_and_is_safe(text):
    try:
        written = orjson.dumps([text]).decode()
    except orjson.JSONEncodeError:
        return
    safe = printable_json(written)
    assert orjson.loads(safe) == [text]
    assert printable(safe, lines=False) == safe


@given(st.text(st.characters(exclude_categories=[])))
def test_whatever_a_text_holds_it_can_be_written_and_holds_no_control(text):
    shown = printable(text, lines=False)
    shown.encode()
    assert not {character for character in shown if character in DANGEROUS or character in "\t\n\x1b"}
