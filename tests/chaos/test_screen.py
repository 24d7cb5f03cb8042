"""A pipe gets plain lines, a terminal a line of progress below them."""

from __future__ import annotations

from io import StringIO

from tests.chaos.screen import CLEAR, Screen


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def shown_on(out: StringIO) -> str:
    screen = Screen(out)
    screen("first")
    screen.progress("half")
    screen("second")
    return out.getvalue()


def test_a_pipe_gets_lines_and_nothing_else():
    assert shown_on(StringIO()) == "first\nsecond\n"


def test_on_a_terminal_the_progress_stays_below():
    assert shown_on(Terminal()) == f"{CLEAR}first\n{CLEAR}half{CLEAR}second\nhalf"
