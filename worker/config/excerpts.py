"""The lines of route files that errors and warnings show: as the file has them, without credentials."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from worker.config.config_node import ConfigNode, RouteFile, SourceSpan
from worker.config.interpolation import REFERENCE, Variables
from worker.core.errors import Problem
from worker.core.redaction import MASK, is_secret_name, redact_text

HOLDERS = frozenset({"auth", "headers"})
"""Members whose values are credentials, or may be."""
NO_SECRETS = frozenset({"type", "client", "client_id", "scopes", "algorithm", "digest", "header", "in", "method", "path"})
TEMPLATED = ("{{", "<<")
PAIR = re.compile(r"(?P<name>[\w.-]+)(?P<between>[\"']?\s*:\s*)(?P<value>[^\s,}#][^,}#]*)")
MAX_WIDTH = 160  # characters; of a longer line only the part near the place is shown


class Excerpts:
    """The text of each file, by name."""

    def __init__(self, variables: Variables) -> None:
        self._variables = variables
        self._texts: dict[str, str] = {}
        self._masked: dict[str, list[SourceSpan]] = {}

    def add(self, file: RouteFile) -> None:
        self._texts[file.name] = file.text

    def mask(self, root: ConfigNode) -> None:
        """Hide the literal credentials of a readable file; in other files, hide everything that looks like a credential."""
        self._masked[root.file.name] = list(credential_spans(root))

    def with_excerpt(self, problem: Problem) -> Problem:
        """The problem with its line and without the value of any variable."""
        message = self._variables.scrub(problem.message)
        lines = self._texts.get(problem.file, "").splitlines()
        if not 0 < problem.line <= len(lines) or not lines[problem.line - 1].strip():
            return replace(problem, message=message)
        column = max(problem.column, 1) - 1
        before, after = self._halves(problem.file, problem.line, lines[problem.line - 1], column)
        excerpt, caret = excerpt_around(before.replace("\t", " ") + after.replace("\t", " "), len(before))
        return replace(problem, message=message, excerpt=excerpt, caret=caret)

    def _halves(self, file: str, number: int, line: str, column: int) -> tuple[str, str]:
        """Return the line before the place and the line from the place on, without credentials."""
        hide = self._masked.get(file)
        if hide is None:
            masked = PAIR.sub(mask_pair, line)
            return ("", masked) if len(masked) != len(line) else (self._clean(line[:column]), self._clean(line[column:]))
        start = line_start(self._texts[file], number)
        pieces = [piece for span in hide for piece in [(max(span.start - start, 0), min(span.end - start, len(line)))] if piece[0] < piece[1]]
        before, after, at = "", "", 0
        for begin, end in sorted(pieces):
            before, after = self._add(line, at, begin, column, before, after)
            if begin < column:
                before += MASK
            else:
                after += MASK
            at = max(at, end)
        return self._add(line, at, len(line), column, before, after)

    def _add(self, line: str, begin: int, end: int, column: int, before: str, after: str) -> tuple[str, str]:
        middle = min(max(column, begin), end)
        return before + self._clean(line[begin:middle]), after + self._clean(line[middle:end])

    def _clean(self, text: str) -> str:
        return redact_text(self._variables.scrub(text))


def credential_spans(node: ConfigNode, *, inside: bool = False) -> Iterator[SourceSpan]:
    """Yield the places of literal credentials: under `auth` and `headers`, and of members with a credential's name."""
    for key, child in node.children.items():
        named = isinstance(key, str) and (key in HOLDERS or is_secret_name(key))
        hidden = (inside or named) and key not in NO_SECRETS
        if child.children:
            yield from credential_spans(child, inside=hidden)
        elif isinstance(child.value, str | int | float) and ((hidden and is_literal(str(child.value), str(key))) or holds_login(str(child.value))):
            yield child.place


def is_literal(value: str, name: str) -> bool:
    """Whether a value may be the credential itself, not only a reference to it."""
    templated = not is_secret_name(name) and any(mark in value for mark in TEMPLATED)
    return bool(REFERENCE.sub("", value).strip()) and not templated


def holds_login(value: str) -> bool:
    """Whether a text may be an address with a user name and a password, also a badly encoded one."""
    return "://" in value and "@" in value


def mask_pair(found: re.Match[str]) -> str:
    plain = not holds_login(found["value"]) and (not is_secret_name(found["name"]) or REFERENCE.fullmatch(found["value"].strip(" \"'")))
    return found[0] if plain else f"{found['name']}{found['between']}{MASK}"


def line_start(text: str, number: int) -> int:
    """The offset at which a line begins, as `splitlines` counts them."""
    return sum(map(len, text.splitlines(keepends=True)[: number - 1]))


def excerpt_around(line: str, caret: int) -> tuple[str, int]:
    """The line, or the part of a long one around the place, and the index of the place in it."""
    line = line.rstrip()
    if len(line) <= MAX_WIDTH:
        return line, min(caret, len(line))
    begin = max(0, min(caret - MAX_WIDTH // 2, len(line) - MAX_WIDTH))
    ahead = "…" if begin else ""
    behind = "…" if begin + MAX_WIDTH < len(line) else ""
    return ahead + line[begin : begin + MAX_WIDTH] + behind, caret - begin + len(ahead)
