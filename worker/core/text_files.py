"""Reads regular files without ever waiting. Text files, such as those with a secret, lose the characters that editors add around the text."""

from __future__ import annotations

import os
import stat
from pathlib import Path

MAX_BYTES = 64 * 1024
ADDED = "\ufeff"  # a byte order mark, which some editors put in front


class UnreadableFile(ValueError):
    """A file cannot be read. The text continues a sentence that begins with the file's name, and never quotes the content."""


def read_text(path: Path) -> str:
    """The text of a file without surrounding white space and byte order mark. Raises `UnreadableFile`."""
    content = read_regular(path, MAX_BYTES)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise UnreadableFile("is not UTF-8 text") from None
    if not (trimmed := trim(text)):
        raise UnreadableFile("is empty")
    return trimmed


def leads_out(path: Path, folder: Path) -> bool:
    """Whether a path in a folder is, or is below, a link to a place outside of it. Links inside it, as in a mount, or to it do not count."""
    return not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def read_regular(path: Path, limit: int) -> bytes:
    """The content of a file of at most `limit` bytes. Raises `UnreadableFile`.

    It refuses a pipe, a device or a socket without opening it: opening may wait for ever, or have effects.
    """
    try:
        require_regular(path.stat().st_mode)
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        with os.fdopen(descriptor, "rb") as file:
            require_regular(os.fstat(descriptor).st_mode)  # another file may have replaced it meanwhile
            content = file.read(limit + 1)
    except OSError as error:
        raise UnreadableFile(f"cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise error if isinstance(error, UnreadableFile) else UnreadableFile("cannot be read: its name is not valid") from None
    if len(content) > limit:
        raise UnreadableFile(f"has more than {limit:,} bytes")
    return content


def require_regular(mode: int) -> None:
    """Raise `UnreadableFile` for anything but a regular file."""
    if not stat.S_ISREG(mode):
        kind = "a directory" if stat.S_ISDIR(mode) else "a pipe, a device or a socket"
        raise UnreadableFile(f"is not a file but {kind}")


def trim(text: str) -> str:
    """The text without white space and byte order marks around it."""
    return text.strip().strip(ADDED).strip()
