"""Fills `${NAME}` and `${file:NAME}` in the literal text of route files; error messages never show the values."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from copy import copy
from pathlib import Path

from worker.core.redaction import is_secret_name
from worker.core.suggest import did_you_mean
from worker.core.text_files import UnreadableFile, read_text, trim

SECRET_FILE = re.compile(r"\$\{file:[^{}\n]*\}")
REFERENCE = re.compile(r"\$\$\{|\$\{([^}\n]*)\}?")
NAME = re.compile(r"[A-Z][A-Z0-9_]*")
FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")
WORKER_PREFIX = "WORKER_"
OWN_FILE = re.compile(r"WORKER_\w+_FILE")
SCRUBBED_FROM = 4  # characters; a shorter value may be part of an ordinary word

ADDED = "\r\n\ufeff"


class Unfilled(ValueError):
    """A reference that cannot be filled; `start` is its offset."""

    def __init__(self, message: str, start: int) -> None:
        super().__init__(message)
        self.start = start


class Variables:
    """The environment and the directory of secrets. It remembers the values that it returned, so that it can remove them from messages.

    It refuses the worker's settings and the files that hold them: a route could send them to other systems.
    """

    def __init__(self, environment: Mapping[str, str], secrets: Path, *, placeholders: bool = False) -> None:
        """`placeholders`: a placeholder text replaces each variable that is not set."""
        self._placeholders = placeholders
        self._environment = {name: value for name, value in environment.items() if not name.startswith(WORKER_PREFIX)}
        self._own_files = {name: Path(os.path.realpath(path.strip())) for name, path in environment.items() if OWN_FILE.fullmatch(name) and path.strip()}
        self._secrets = secrets
        self._given: dict[str, str] = {}

    @property
    def given(self) -> Mapping[str, str]:
        """Every value that was filled in, with its reference."""
        return self._given

    def fill(self, text: str) -> str:
        """The text with every reference replaced; `$${` becomes `${`. Raises `Unfilled`."""
        return REFERENCE.sub(self._value, text)

    def known(self, text: str) -> str | None:
        """Return the text like `fill`; None if a reference cannot be filled, or only by a placeholder."""
        strict = copy(self)
        strict._placeholders = False  # noqa: SLF001  of its own class
        try:
            return strict.fill(text)
        except Unfilled:
            return None

    def scrub(self, message: str) -> str:
        """The message with every filled value replaced by its reference, the longest first."""
        for value in sorted(self._given, key=len, reverse=True):
            for shape in {value, repr(value)[1:-1]}:
                message = message.replace(shape, self._given[value])
        return message

    def _value(self, found: re.Match[str]) -> str:
        name = found[1]
        if name is None:
            return "${"
        if not found[0].endswith("}"):
            raise Unfilled("`${` without its `}`; write `$${` for the characters themselves", found.start())
        value = self._file(name[5:], found.start()) if name.startswith("file:") else self._variable(name, found.start())
        if len(value) >= SCRUBBED_FROM:
            self._given[value] = found[0]
        return value

    def _variable(self, name: str, start: int) -> str:
        if not NAME.fullmatch(name):
            raise Unfilled(
                f"`${{{name}}}` is not the name of an environment variable: use capitals, digits and underscores; write `$${{` for the characters themselves",
                start,
            )
        if name.startswith(WORKER_PREFIX):
            raise Unfilled(
                f"`${{{name}}}` is a setting of the worker, which route files cannot read; use a name that does not begin with {WORKER_PREFIX}", start
            )
        if name not in self._environment and self._placeholders:
            return placeholder(name)
        if name not in self._environment:
            raise Unfilled(f"the environment variable `{name}` is not set{did_you_mean(name, self._environment)}", start)
        return trimmed(name, self._environment[name])

    def _file(self, name: str, start: int) -> str:
        if not FILE.fullmatch(name):
            raise Unfilled(f"`${{file:{name}}}` is not the name of a secret: use letters, digits, `.`, `-` and `_`, with `/` after a folder", start)
        path = self._secrets / name
        where = Path(os.path.realpath(path))
        if not where.is_relative_to(os.path.realpath(self._secrets)):
            raise Unfilled(f"the secret `{name}` is a link that leads out of {self._secrets}: put the file itself there", start)
        for setting, own in self._own_files.items():
            if where == own or same_file(where, own):
                raise Unfilled(f"the secret `{name}` is the file of {setting}, which route files cannot read", start)
        if not os.path.lexists(path) and self._placeholders:
            return placeholder(name)
        if not os.path.lexists(path):
            raise Unfilled(f"there is no secret `{name}` in {self._secrets} (WORKER_SECRETS)", start)
        try:
            return read_text(path)
        except UnreadableFile as error:
            raise Unfilled(f"the secret `{name}` in {self._secrets} {error}", start) from None


def trimmed(name: str, value: str) -> str:
    """Return the value of a variable without the characters that a file adds; a secret also without white space around it."""
    return trim(value) if is_secret_name(name) else value.strip(ADDED)


def placeholder(name: str) -> str:
    """Return a placeholder for a variable or secret that is not set: an address, a host, or a text as long as a secret must be. The address leads nowhere."""
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    host = f"{words}.invalid"
    if "url" in words or "address" in words:
        return f"https://{host}"
    return host if "host" in words else f"placeholder-of-{words}"


def same_file(one: Path, other: Path) -> bool:
    """Whether two names lead to one file, by a link or a second mount."""
    try:
        return one.samefile(other)
    except OSError:
        return False
