"""`${NAME}` and `${file:NAME}` in the literal text of route files; what they yield never appears in a message."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from worker.core.suggest import did_you_mean

REFERENCE = re.compile(r"\$\$\{|\$\{([^}\n]*)\}?")
NAME = re.compile(r"[A-Z][A-Z0-9_]*")
FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
MAX_SECRET = 64 * 1024  # bytes
SCRUBBED_FROM = 4  # characters; shorter values would take parts of ordinary words with them


class Unfilled(ValueError):
    """A reference that cannot be filled; `start` is where it stands."""

    def __init__(self, message: str, start: int) -> None:
        super().__init__(message)
        self.start = start


class Variables:
    """The environment and the directory of secrets; it remembers what it gave out, so that messages can be cleaned of it."""

    def __init__(self, environment: Mapping[str, str], secrets: Path) -> None:
        self._environment = environment
        self._secrets = secrets
        self._given: dict[str, str] = {}

    def fill(self, text: str) -> str:
        """The text with every reference replaced; `$${` stands for `${` itself. Raises `Unfilled`."""
        return REFERENCE.sub(self._value, text)

    def scrub(self, message: str) -> str:
        """The message with every value that was filled in replaced by its reference, the longest first."""
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
            raise Unfilled(f"`${{{name}}}`: an environment variable is written in capitals, digits and underscores; `$${{` stands for the characters", start)
        if name not in self._environment:
            raise Unfilled(f"the environment variable `{name}` is not set{did_you_mean(name, self._environment)}", start)
        return self._environment[name]

    def _file(self, name: str, start: int) -> str:
        if not FILE.fullmatch(name):
            raise Unfilled(f"`${{file:{name}}}`: a secret's file is named by letters, digits, `.`, `-` and `_`, without a directory", start)
        path = self._secrets / name
        try:
            with path.open("rb") as file:
                content = file.read(MAX_SECRET + 1)
            if len(content) > MAX_SECRET:
                raise Unfilled(f"the secret `{name}` has more than {MAX_SECRET:,} bytes", start)
            text = content.decode("utf-8")
        except FileNotFoundError:
            raise Unfilled(f"there is no secret `{name}` in {self._secrets}", start) from None
        except UnicodeDecodeError:
            raise Unfilled(f"the secret `{name}` in {self._secrets} is not UTF-8 text", start) from None
        except OSError as error:
            raise Unfilled(f"the secret `{name}` in {self._secrets} cannot be read: {error.strerror}", start) from None
        return text.removesuffix("\n").removesuffix("\r")
