"""Whether a public call proves who it is: basic credentials, or a signature over its raw body."""

from __future__ import annotations

import binascii
import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping
from secrets import token_hex
from typing import Protocol

from worker.config.automation import CallerAuth

ALGORITHMS = {"sha256": hashlib.sha256, "sha512": hashlib.sha512}
UNKNOWN = CallerAuth("signature", header="X-Signature", secrets=(token_hex(),))  # nobody has this secret


class Headers(Protocol):
    """Names compare without case, and one may stand there several times."""

    def getall(self, key: str, default: list[str], /) -> list[str]: ...


class Gate:
    """Admits calls by the address that they are for. A stranger cannot tell an address that is not there from one whose secret they lack."""

    def __init__(self, doors: Mapping[str, CallerAuth]) -> None:
        self._doors = doors

    def admits(self, path: str, headers: Headers, body: bytes) -> bool:
        """Takes about as long whatever is wrong."""
        auth = self._doors.get(path, UNKNOWN)
        if auth.type == "basic":
            is_signed(UNKNOWN, headers, body)
            return is_known(auth, headers)
        return is_signed(auth, headers, body)


def is_known(auth: CallerAuth, headers: Headers) -> bool:
    """Basic credentials."""
    scheme, _, given = only(headers, "Authorization").partition(b" ")
    try:
        pair = b64decode(given.strip(), validate=True)
    except binascii.Error:
        pair = b""
    same = hmac.compare_digest(fingerprint(pair), fingerprint(f"{auth.username}:{auth.password}".encode()))
    return same and scheme.lower() == b"basic"


def is_signed(auth: CallerAuth, headers: Headers, body: bytes) -> bool:
    """A signature by any of the secrets; all of them are tried, so that the time does not tell which one it was."""
    given = only(headers, auth.header).strip()
    prefix = auth.prefix.encode()
    bare = given.removeprefix(prefix)
    if auth.digest == "hex":
        bare = bare.lower()
    made = [signature(auth, secret, body) for secret in auth.secrets]
    return any([hmac.compare_digest(bare, one) for one in made]) and given.startswith(prefix)  # noqa: C419 - a generator would stop at the first


def signature(auth: CallerAuth, secret: str, body: bytes) -> bytes:
    """What the header holds behind the prefix."""
    made = hmac.new(secret.encode(), body, ALGORITHMS[auth.algorithm])
    return made.hexdigest().encode() if auth.digest == "hex" else b64encode(made.digest())


def only(headers: Headers, name: str) -> bytes:
    """The one value of a header; nothing where it is absent or stands there more than once."""
    values = headers.getall(name, [])
    return values[0].encode(errors="surrogateescape") if len(values) == 1 else b""


def fingerprint(text: bytes) -> bytes:
    """Of one length, so that comparing does not tell how long a secret is."""
    return hashlib.sha256(text).digest()
