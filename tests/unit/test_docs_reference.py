"""The reference is what the code says: no page is old, and everything in it has a meaning."""

import ast

import pytest

from docs.generator import __main__ as generator
from docs.generator import markdown, pages
from docs.generator.__main__ import REFERENCE, main
from docs.generator.dead_classes import MEANINGS
from docs.generator.log_calls import Logged, calls_of
from docs.generator.log_events import without_meaning
from docs.generator.pages import PAGES, stale, write
from docs.generator.site import faults
from worker.core.outcome import DeadClass


def test_every_committed_page_is_what_the_code_says():
    assert [path.name for path in stale(REFERENCE)] == [], "run `make reference`"


def test_no_page_is_there_that_is_not_generated():
    assert sorted(path.name for path in REFERENCE.iterdir()) == sorted(PAGES)


def test_an_old_page_is_found_and_written(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "PAGES", {"one.md": lambda: "1", "two.md": lambda: "2"})
    (tmp_path / "one.md").write_text("1", "utf-8")
    (tmp_path / "two.md").write_text("old", "utf-8")
    assert stale(tmp_path) == [tmp_path / "two.md"]
    assert write(tmp_path) == [tmp_path / "two.md"]
    assert stale(tmp_path) == []


def test_the_check_fails_and_names_the_page_and_the_remedy(monkeypatch, capsys):
    monkeypatch.setattr(pages, "PAGES", {"metrics.md": lambda: "other"})
    assert main(["--check"]) == 1
    assert capsys.readouterr().err == f"{REFERENCE / 'metrics.md'}: differs from the code; run `make reference`\n"


def test_every_log_event_has_a_meaning_and_every_meaning_an_event():
    missing, left_over = without_meaning()
    assert (sorted(missing), sorted(left_over)) == ([], []), "change docs/generator/log_events.toml, then run `make reference`"


def test_the_check_names_events_without_a_sentence_and_sentences_without_an_event(monkeypatch, capsys):
    monkeypatch.setattr(generator, "without_meaning", lambda: ({"page.new"}, {"page.old"}))
    assert main(["--check"]) == 1
    assert [line.rpartition(": ")[2] for line in capsys.readouterr().err.splitlines()] == ["no sentence for page.new", "no code logs page.old"]


def test_every_dead_class_has_a_meaning():
    assert set(MEANINGS) == set(DeadClass), "change docs/generator/dead_classes.py"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def f():\n    logger.info('page.read', rows=1, ms=2)", [Logged("page.read", "info", ("rows", "ms"))]),
        ("def f():\n    self._log.error('a.b', exc_info=error)", [Logged("a.b", "error", ())]),
        (
            "def f(x):\n    e = 'a.one' if x else 'a.two'\n    log.warning(e, why=x)",
            [Logged("a.one", "warning", ("why",)), Logged("a.two", "warning", ("why",))],
        ),
        ("class C:\n    def _lost(self, event):\n        log.info(event)\n    def g(self):\n        self._lost('b.lost')", [Logged("b.lost", "info", ())]),
        ("def f():\n    what = {'id': 1, 'ms': 2}\n    log.info('a.b', **what, x=1)", [Logged("a.b", "info", ("id", "ms", "x"))]),
        ("def f():\n    math.log('a.b')\n    print('a.b')\n    catalog.info()", []),
    ],
)
def test_calls_of_loggers_are_found_with_their_level_and_fields(source, found):
    assert list(calls_of(ast.parse(source))) == found


def test_a_cell_cannot_break_its_table_or_hold_html():
    assert markdown.table(("a", "b", "empty"), [("x|y\nz", "<name> `<name>`", "")]) == "| a | b |\n| --- | --- |\n| x\\|y z | &lt;name> `<name>` |"


@pytest.mark.parametrize(
    ("name", "text", "loads"),
    [
        ("page.html", '<a href="https://elsewhere.example/">x</a><link rel="canonical" href="https://elsewhere.example/">', []),
        ("page.html", '<script src="//cdn.example/x.js"></script>', ["//cdn.example/x.js"]),
        ("page.html", '<img src="https://cdn.example/x.png"><img src="own.png">', ["https://cdn.example/x.png"]),
        ("page.css", "@import 'https://fonts.example/x.css'; .a { background: url(own.png) }", ["https://fonts.example/x.css"]),
        ("page.css", "@font-face { src: url(//fonts.example/x.woff) }", ["//fonts.example/x.woff"]),
    ],
)
def test_what_a_built_page_loads_from_another_host_is_named(name, text, loads, tmp_path):
    (tmp_path / name).write_text(text, "utf-8")
    assert list(faults(tmp_path)) == [f"{tmp_path / name}: loads {address}" for address in loads]


def test_a_site_without_pages_is_a_fault(tmp_path):
    assert list(faults(tmp_path)) == [f"{tmp_path}: holds no pages"]
