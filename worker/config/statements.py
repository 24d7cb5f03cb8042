"""Reads the SQL of a report as far as `check` needs it, without its literals: its TOP, its order, and where it compares with the cursor."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

MAX_ROWS = 50_000  # Halo returns no more rows of a report, and does not say that it cut them
PLACE = "\x00"
"""Replaces `{{ $cursor }}` in a statement."""
HIDDEN = re.compile(r"'(?:[^']|'')*'|\[[^\]]*\]|\"[^\"]*\"|/\*.*?\*/", re.DOTALL)
SELECT = re.compile(r"\s*SELECT\b(?:\s+(?:DISTINCT|ALL)\b)?(?:\s+TOP\s*\(?\s*(\d+)\s*\)?(\s+PERCENT\b)?)?", re.IGNORECASE)
FROM = re.compile(r"\bFROM\b", re.IGNORECASE)
NAMED = re.compile(r"(.*?)(?:\s+AS)?\s+[\[\"']?(\w+)[\]\"']?\s*", re.IGNORECASE | re.DOTALL)
FETCH = re.compile(r"\bFETCH\s+(?:NEXT|FIRST)\s+(\d+)\s+ROWS?\s+ONLY\b", re.IGNORECASE)
OFFSET = re.compile(r"\bOFFSET\s+(\d+)\s+ROWS?\b", re.IGNORECASE)
ORDER = re.compile(r"\bORDER\s+BY\s+([^,]+?)(\s+ASC|\s+DESC)?\s*(?:,|\bOFFSET\b|$)", re.IGNORECASE | re.DOTALL)
COMPARED = re.compile(rf"(<=|>=|<>|!=|<|>|=|\bBETWEEN\b)\s*(?:CAST\s*\(\s*|CONVERT\s*\([^,]*,\s*)?'{PLACE}'", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement whose cursor is `PLACE`.

    `outer`: the same without the content of parentheses and quotes, with every other character at its offset. `bare`: without the content of quotes;
    quoted names are words.
    """

    text: str

    @property
    def bare(self) -> str:
        return HIDDEN.sub(lambda found: ("x" if found[0][0] in '["' else " ") * len(found[0]), self.text)

    @property
    def outer(self) -> str:
        depth, kept = 0, []
        for character in self.bare:
            depth -= character == ")"
            kept.append(character if depth <= 0 else " ")
            depth += character == "("
        return "".join(kept)

    @property
    def top(self) -> int | None:
        """Return the maximum number of rows that the statement asks for."""
        begun, fetched = SELECT.match(self.bare), FETCH.search(self.outer)
        number = begun[1] if begun is not None and begun[1] else fetched[1] if fetched is not None else None
        return None if number is None else int(number)

    @property
    def columns(self) -> Mapping[str, str] | None:
        """Return the selected terms by the name of the column; None if `*` selects columns without naming them."""
        begun, end = SELECT.match(self.bare), FROM.search(self.outer)
        if begun is None:
            return {}
        start, stop = begun.end(), len(self.text) if end is None else end.start()
        commas = [index for index in range(start, stop) if self.outer[index] == ","]
        found: dict[str, str] = {}
        for first, last in pairwise([start - 1, *commas, stop]):
            term = self.text[first + 1 : last].strip()
            if term.rpartition(".")[2] == "*":
                return None
            named = NAMED.fullmatch(term)
            name = named[2] if named is not None else term.rpartition(".")[2].strip('[]"')
            found[name] = named[1] if named is not None else term
        return found

    def order(self) -> tuple[str, bool] | None:
        """The first term of its outermost ORDER BY, and whether it descends."""
        found = ORDER.search(self.outer, self.outer.upper().rfind("ORDER"))
        if found is None:
            return None
        return self.text[found.start(1) : found.end(1)].strip().strip('[]"'), (found[2] or "").strip().upper() == "DESC"

    def source_of(self, column: str) -> str:
        """Return the term that the statement selects as this column."""
        return (self.columns or {}).get(column, column)


def mistakes(text: str, cursor: str | None) -> Iterator[str]:
    """A sentence for each mistake; `cursor`: the column that the route names."""
    statement = Statement(text)
    bare, outer = statement.bare, statement.outer
    begun = SELECT.match(bare)
    if begun is None:
        yield "the statement must begin with SELECT: Halo runs it inside another one, where WITH and other statements are not possible"
        return
    if "--" in bare:
        yield "the statement has a `--` comment, which Halo refuses: leave it out, or write `/* … */`"
    if ";" in bare:
        yield "the statement has a `;`: Halo runs one statement without it"
    top, order = statement.top, statement.order()
    if begun[2]:
        yield "TOP … PERCENT does not tell whether the rows were cut: write `TOP 5000`"
    if order is not None and top is None and OFFSET.search(outer) is None:
        yield "ORDER BY needs TOP or OFFSET, since Halo runs the statement inside another one: write `SELECT TOP 5000 …`"
    if top is not None and top > MAX_ROWS:
        yield f"Halo answers at most {MAX_ROWS:,} rows of a report, so TOP {top} would be cut without an error: write TOP {MAX_ROWS} or fewer"
    if top == 0:
        yield "the statement asks for 0 rows"
    yield from cursor_mistakes(statement, cursor, order)


def cursor_mistakes(statement: Statement, cursor: str | None, order: tuple[str, bool] | None) -> Iterator[str]:
    outer = statement.outer
    if cursor is None:
        if PLACE in statement.text:
            yield "`{{ $cursor }}` needs `cursor`: name the column that orders the rows"
        return
    if PLACE not in statement.text:
        yield f"the statement does not use the cursor: write `WHERE {statement.source_of(cursor)} >= '{{{{ $cursor }}}}'`"
    elif f"'{PLACE}'" not in statement.text:
        yield "`{{ $cursor }}` must be in quotes: `'{{ $cursor }}'`"
    else:
        wrong = sorted({found[1].upper() for found in COMPARED.finditer(statement.text)} - {">="})
        if wrong:
            yield f"the cursor is compared with `{wrong[0]}`: write `>=`, so that rows of the very same time are not lost"
    skipped = OFFSET.search(outer)
    if skipped is not None and int(skipped[1]):
        yield f"OFFSET {skipped[1]} leaves out the oldest rows after the cursor: write OFFSET 0 ROWS, or TOP"
    if order is None:
        yield f"the statement has no order, so that a cut answer cannot go on: write `ORDER BY {statement.source_of(cursor)}` with TOP"
    elif order[1]:
        yield "the statement begins with the newest rows, so that a cut answer loses the older ones: order it without DESC"
    elif not same(order[0], cursor, statement):
        yield f"the statement is ordered by {order[0]}, not by `cursor`: write `ORDER BY {statement.source_of(cursor)}`"


def same(term: str, cursor: str, statement: Statement) -> bool:
    """Whether the term of ORDER BY is the cursor's column, by its name or by the term that is selected as this column."""
    wanted = term.rpartition(".")[2].strip('[]"').lower()
    return wanted == cursor.lower() or wanted in {word.lower() for word in re.findall(r"\w+", statement.source_of(cursor))}
