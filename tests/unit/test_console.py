"""What commands print: colours for people, plain lines for programs."""

import io

import pytest
from rich.text import Text

from worker.cli.console import errors, output, table

LONG = " ".join(["word"] * 300)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.mark.parametrize(("console", "stream"), [(output, "out"), (errors, "err")])
def test_in_a_pipe_lines_are_plain_and_never_wrapped(console, stream, capsys):
    console().print(Text(LONG, style="bold red"))
    assert getattr(capsys.readouterr(), stream) == LONG + "\n"


def test_brackets_and_emoji_names_of_data_are_printed_as_they_are(capsys):
    output().print("[bold]x[/bold] :smile:")
    assert capsys.readouterr().out == "[bold]x[/bold] :smile:\n"


def test_in_a_pipe_a_table_has_one_line_per_row_and_no_rules(capsys):
    console = output()
    made = table(console, "entity", "methods")
    made.add_row("Tickets", LONG)
    console.print(made)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [["entity", "methods"], ["Tickets", *LONG.split()]]


def test_on_a_terminal_there_are_colours(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    output().print(Text("x", style="red"))
    assert "\x1b[31m" in terminal.getvalue()


def test_no_color_is_respected(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    monkeypatch.setenv("NO_COLOR", "1")
    output().print(Text("x", style="red"))
    assert terminal.getvalue() == "x\n"
