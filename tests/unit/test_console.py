"""What commands print: colours for people, plain lines for programs."""

import io
import json
import re
from collections import Counter
from pathlib import Path

import pytest
from rich.text import Text
from rich.tree import Tree

import worker
from tests.tools.headers import CODEC
from worker.cli.console import errors, output, table, write_json
from worker.cli.dead.inspect import print_letter, print_letters
from worker.core.message import Message
from worker.flows.dead.letter import DeadQueue, letter_of
from worker.flows.dead.letter_selector import LetterSelector, SelectedLetter, Selection

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


HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e[red]m1[/red]"
BOX = DeadQueue("erp", "publisher", "erp.dead", "erp")


def on_terminal(monkeypatch):
    made = Terminal()
    monkeypatch.setattr("sys.stdout", made)
    monkeypatch.setattr("sys.stderr", made)
    monkeypatch.setenv("NO_COLOR", "1")
    return made


def steered(written):
    """What a terminal would heed: rich's own sequences are gone with NO_COLOR, but for bold."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", written)
    return re.findall(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", plain)


@pytest.mark.parametrize("console", [output, errors])
@pytest.mark.parametrize("form", [str, Text, Tree, lambda text: Text.assemble((text, "bold"), text)])
def test_data_does_not_steer_the_terminal_in_whatever_form_it_is_printed(monkeypatch, console, form):
    terminal = on_terminal(monkeypatch)
    console().print(form(HOSTILE), soft_wrap=True)
    made = table(console(), "name")
    made.add_row(HOSTILE)
    console().print(made)
    assert steered(terminal.getvalue()) == []
    assert terminal.getvalue().count("[red]m1[/red]") >= 2


def test_json_for_programs_is_the_same_data_and_steers_nothing(monkeypatch):
    terminal = on_terminal(monkeypatch)
    write_json({HOSTILE: [HOSTILE]})
    assert steered(terminal.getvalue()) == []
    assert json.loads(terminal.getvalue()) == {HOSTILE: [HOSTILE]}


def test_a_dead_letter_steers_nothing_and_has_no_line_that_it_was_not_given(monkeypatch):
    terminal = on_terminal(monkeypatch)
    headers = {"dead-class": "rejected", "dead-reason": f"no\nclass        done{HOSTILE}", HOSTILE: HOSTILE}
    message = Message(HOSTILE.encode(), headers, message_id=f"m1\n{HOSTILE}", correlation_id=f"c\nreason       fine{HOSTILE}", reply_to=HOSTILE, type=HOSTILE)
    found = SelectedLetter(BOX, letter_of(BOX, message, CODEC), message)
    selector = LetterSelector(Selection(), 0.0, CODEC)
    selector.ids.append(found.letter.id)
    print_letters([found], selector)
    print_letter(found, message, 0.0, reveal=False)
    assert steered(terminal.getvalue()) == []
    starts = Counter(line.split("  ")[0] for line in terminal.getvalue().splitlines())
    assert (starts["class"], starts["reason"]) == (1, 1)


def test_there_is_no_other_way_to_the_terminal():
    """What writes there by itself prints nothing that comes from elsewhere."""
    code = {path.relative_to(Path(worker.__file__).parent).as_posix(): path.read_text("utf-8") for path in Path(worker.__file__).parent.rglob("*.py")}
    ways = re.compile(r"(?<!Safe)\bConsole\((?!quiet=True)|sys\.std(?:out|err)\.(?:write|buffer\.write)|(?<![\w.])print\(|typer\.(?:echo|secho)")
    assert {name: ways.findall(text) for name, text in code.items() if ways.search(text)} == {
        "cli/asyncapi.py": ["sys.stdout.write"],  # made printable
        "cli/console.py": ["sys.stdout.write"],
        "cli/main.py": ["typer.echo"],
        "cli/sandbox.py": ["sys.stderr.write", "sys.stdout.buffer.write"],
        "catalogue/generate.py": ["sys.stdout.write"],
        "core/url_credentials.py": ["print("],  # in a sentence
    }
