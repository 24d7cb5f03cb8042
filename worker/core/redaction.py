"""Removes secrets from values before they are written: by the name of a member, and by the form of a text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import Any
from uuid import UUID

MASK = "***"
MAX_DEPTH = 8
PLAIN = (bool, int, float, date, UUID)
BINARY = (bytes, bytearray, memoryview)
CONTAINERS = (dict, list, tuple, set, frozenset, Mapping)  # the most frequent first: log lines are many
SECRET_NAMES = (
    "password",
    "passwd",
    "secret",
    "token",
    "authorization",
    "cookie",
    "apikey",
    "accesskey",
    "privatekey",
    "credential",
    "credentials",
    "signature",
)
LONGEST_KEPT = 100  # characters of a name
NAME_NOISE = re.compile(r"[^a-z0-9]")
PARAMETER = r"password|passwd|client_secret|secret|access_token|refresh_token|id_token|token|api_?key|signature|sig"

SECRET_TEXTS = (
    (re.compile(r"(?i)(\bamqps?://)\S*@"), rf"\1{MASK}@"),  # also where special characters of the password are not encoded
    (re.compile(r"(?<=://)[^\s/?#@]+(?=@)"), MASK),  # user and password of an address
    (
        re.compile(r"\b((?i:bearer|basic))\s+(?=\S*(?:[a-z][A-Z]|[\d=+/]))[\w.~+/=-]{8,}"),
        rf"\1 {MASK}",
    ),  # an authorization, not the words "basic authentication"
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]*\.[\w-]*"), MASK),  # a JSON web token, at any place
    (re.compile(rf"\b({PARAMETER})=[^\s&;,'\"]+", re.IGNORECASE), rf"\1={MASK}"),  # a query or form parameter
    (re.compile(rf"""(["'](?:{PARAMETER})["']\s*:\s*)(?:"[^"]*"?|'[^']*'?)""", re.IGNORECASE), rf"\1'{MASK}'"),  # a member in quoted JSON
)
SUSPICIOUS = re.compile(r"""://|=|eyJ|["']\s*:|(?i:bearer|basic)\s""")  # most texts hold none of these, and log lines are many


def is_secret_name(name: str) -> bool:
    """Whether a member of this name holds a secret: `client_secret`, `X-Api-Key`, `accessToken`; not `token_url`."""
    return ends_secret(name) if len(name) > LONGEST_KEPT else short_ends_secret(name)


def ends_secret(name: str) -> bool:
    return NAME_NOISE.sub("", name.lower()).endswith(SECRET_NAMES)


short_ends_secret = lru_cache(maxsize=1024)(ends_secret)  # of short names only: senders choose names of data


def redact_text(text: str) -> str:
    """The text without credentials in addresses, authorization values, tokens and secret parameters."""
    if (text.isalnum() and "eyJ" not in text) or SUSPICIOUS.search(text) is None:
        return text
    for pattern, replacement in SECRET_TEXTS:
        text = pattern.sub(replacement, text)
    return text


def redact(value: Any, depth: int = MAX_DEPTH) -> Any:
    """A copy without secrets: members with a secret's name are masked, texts are cleaned, and values deeper than `depth` are left out."""
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, BINARY):
        return f"{len(value)} bytes"
    if value is None or isinstance(value, PLAIN):
        return value
    if not isinstance(value, CONTAINERS):
        return redact_text(str(value))  # an exception, say, with an address in its text
    if depth == 0:
        return "…"
    if isinstance(value, Mapping):
        return {name: MASK if _is_secret(name, member) else _redacted(member, depth - 1) for name, member in value.items()}
    return [redact(item, depth - 1) for item in value]


def _redacted(member: Any, depth: int) -> Any:
    """As `redact`, first for the types that most members of a log line have."""
    kind = type(member)
    return redact_text(member) if kind is str else member if kind is int else redact(member, depth)


def _is_secret(name: Any, value: Any) -> bool:
    return isinstance(name, str) and is_secret_name(name) and value is not None and not isinstance(value, bool)
