"""Reads the inputs of a plan: one JSON value, an array of values, or one value per line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from worker.core.bodies import to_utf8
from worker.core.errors import Undecodable, WorkerError
from worker.core.exact_numbers import dumps
from worker.core.json_codec import decode

STDIN = "-"


class UnreadableInput(WorkerError):
    """A file of inputs cannot be read."""


def read_documents(file: str) -> list[bytes]:
    """Return the JSON text of each input. An array is several inputs; a line of NDJSON is one input, also if it is an array. Invalid JSON stays as it is.

    Raises `UnreadableInput`.
    """
    try:
        content = sys.stdin.buffer.read() if file == STDIN else Path(file).read_bytes()
    except OSError as error:
        raise UnreadableInput(f"{file} cannot be read: {(error.strerror or 'unknown reason').lower()}") from None
    found = list(documents_of(text_of(content)))
    if not found:
        raise UnreadableInput(f"{'standard input' if file == STDIN else file} holds no input: give a JSON value, an array of them, or one a line")
    return found


def text_of(content: bytes) -> bytes:
    """Return the content in UTF-8, the encoding of all bodies. Bytes that are invalid in their encoding stay: reading them as an input reports the error."""
    try:
        return to_utf8(content, "").strip()
    except Undecodable:
        return content.strip()


def documents_of(text: bytes) -> Iterator[bytes]:
    try:
        whole = decode(text)
    except Undecodable:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        yield from lines if lines and is_json(lines[0]) else filter(None, [text])
        return
    if isinstance(whole, list):
        yield from map(dumps, whole)
    else:
        yield text


def is_json(line: bytes) -> bool:
    try:
        decode(line)
    except Undecodable:
        return False
    return True
