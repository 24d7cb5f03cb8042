"""The file of a recording: one JSON object per line; the first one identifies the file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TextIO

from worker.core.errors import Undecodable, WorkerError
from worker.core.json_codec import decode, encode

KIND, VERSION = "halo-worker recording", 1


class UnusableRecording(WorkerError):
    """The file cannot be written or read; the text says why."""


@dataclass(frozen=True, slots=True)
class RecordedExchange:
    """A request and its answer, scrubbed. `path`: below /api. `statement`: of a report, the digest of its SQL without literals."""

    method: str
    path: str
    query: Mapping[str, str]
    status: int
    body: Any = None
    statement: str = ""

    def as_object(self) -> dict[str, Any]:
        document = {"method": self.method, "path": self.path, "query": dict(self.query), "status": self.status, "body": self.body}
        return document | ({"statement": self.statement} if self.statement else {})

    @classmethod
    def of(cls, document: Any) -> Self:
        """Raises `KeyError`, `TypeError`, `AttributeError`."""
        query = {str(name): str(value) for name, value in document["query"].items()}
        return cls(str(document["method"]), str(document["path"]), query, int(document["status"]), document.get("body"), str(document.get("statement", "")))


@dataclass(slots=True)
class ExchangeWriter:
    """Appends exchanges to a new file that only its owner may read. It skips an exchange that is already in the file."""

    file: TextIO
    count: int = 0
    _written: set[bytes] = field(default_factory=set)

    def add(self, exchange: RecordedExchange) -> None:
        line = encode(exchange.as_object())
        if line in self._written:
            return
        self._written.add(line)
        self.file.write(line.decode() + "\n")
        self.file.flush()
        self.count += 1


@contextmanager
def open_writer(path: Path) -> Iterator[ExchangeWriter]:
    """Open a new file. Raises `UnusableRecording`, also if the file exists."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise UnusableRecording(f"{path} cannot be created: {(error.strerror or 'unknown reason').lower()}") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(encode({"kind": KIND, "v": VERSION}).decode() + "\n")
        file.flush()
        yield ExchangeWriter(file)


def read_exchanges(path: Path) -> list[RecordedExchange]:
    """Return the exchanges in the order of the recording. Raises `UnusableRecording`."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UnusableRecording(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is no UTF-8 text'}") from None
    if not is_head(lines[0] if lines else ""):
        raise UnusableRecording(f"{path} is no recording of `halo-worker sandbox --record`")
    try:
        return [RecordedExchange.of(decode(line.encode())) for line in lines[1:] if line.strip()]
    except (Undecodable, KeyError, TypeError, ValueError, AttributeError) as error:
        raise UnusableRecording(f"{path} has a line that is no exchange: {type(error).__name__}") from None


def is_head(line: str) -> bool:
    try:
        head = decode(line.encode())
    except Undecodable:
        return False
    return isinstance(head, dict) and head.get("kind") == KIND and head.get("v") == VERSION
