"""Reads the values of `--input`, `--header` and `--answer`: `name=text`, `name:=JSON`, and `@file` instead of text or JSON for the content of a file."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from worker.core.bodies import read_json, to_utf8
from worker.core.errors import ConfigError, Problem, Undecodable
from worker.core.suggest import choices

INPUT = re.compile(r"\s*(?P<name>[^:=]*[^:=\s])\s*(?P<typed>:?)=(?P<value>.*)", re.DOTALL)


class WrongInput(ConfigError):
    """The value of an option cannot be used. The text names the input and does not repeat its value."""

    def __init__(self, message: str, option: str = "--input") -> None:
        super().__init__([Problem(option, 0, 0, message)])


def read_inputs(inputs: Sequence[str], known: Collection[str] | None = None, option: str = "--input") -> dict[str, Any]:
    """Return the variables by name; the last one of a name counts. With `known`, other names are refused. Raises `WrongInput`."""
    found: dict[str, Any] = {}
    for text in inputs:
        parts = INPUT.fullmatch(text)
        if parts is None:
            raise WrongInput(f"write name=text or name:=JSON, not {text.partition('=')[0][:40]!r}", option)
        name = parts["name"]
        if known is not None and name not in known:
            raise WrongInput(f"there is no variable {name!r}{choices(name, known)}", option)
        found[name] = read_value(name, parts["value"], option, typed=bool(parts["typed"]))
    return found


def read_value(name: str, value: str, option: str, *, typed: bool) -> Any:
    try:
        data = Path(value[1:]).read_bytes() if value.startswith("@") else value.encode("utf-8", "surrogateescape")
        return read_json(data) if typed else to_utf8(data, "").decode()
    except OSError as error:
        raise WrongInput(f"{name}: the file {value[1:]!r} cannot be read: {(error.strerror or 'unknown reason').lower()}", option) from None
    except UnicodeDecodeError:
        raise WrongInput(f"{name}: it is not UTF-8 text", option) from None
    except Undecodable as error:
        raise WrongInput(f"{name}: {error}", option) from None
