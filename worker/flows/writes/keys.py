"""Keys that expressions yield."""

from __future__ import annotations

from typing import Any

from worker.core.jsontext import encode


def key_text(value: Any) -> str:
    """The text of a key: 7, 7.0 and "7" are one, as Halo takes them. Empty for nothing. Raises `Undecodable` for what is not JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return encode(value).decode()
