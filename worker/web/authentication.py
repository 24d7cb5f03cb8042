"""Authenticate public calls: basic credentials before the body is read, a signature over the raw body afterwards."""

from __future__ import annotations

import binascii
import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from secrets import token_bytes, token_hex
from typing import Protocol

from worker.config.automation import CallerAuth

ALGORITHMS = {"sha256": hashlib.sha256, "sha512": hashlib.sha512}
NO_SIGNER = CallerAuth("signature", header="X-Signature")
PADDING = token_bytes(32)
NO_CALLER = CallerAuth("basic", username=token_hex(), password=token_hex())
"""The credentials for an address without an endpoint: no caller has them."""


class Headers(Protocol):
    """Names compare without case, and one name may have several values."""

    def getall(self, key: str, default: list[str], /) -> list[str]: ...


class Evidence(Enum):
    """The evidence of identity in the headers of a call."""

    NOTHING = "none"
    SIGNATURE = "a value in the format of a signature"
    CREDENTIALS = "the credentials of the endpoint"


@dataclass(frozen=True, slots=True)
class SignatureFormat:
    """The format of the signatures of an endpoint."""

    header: str
    prefix: bytes
    algorithm: str
    digest: str

    def fits(self, headers: Headers) -> bool:
        given = only(headers, self.header).strip()
        return given.startswith(self.prefix) and self._size(given.removeprefix(self.prefix)) == ALGORITHMS[self.algorithm]().digest_size

    def _size(self, text: bytes) -> int | None:
        try:
            return len(bytes.fromhex(text.decode()) if self.digest == "hex" else b64decode(text, validate=True))
        except ValueError:
            return None


class Authenticator:
    """Authenticates calls by their address, so that a stranger cannot tell an unknown address from one whose secret the stranger lacks.

    The checks and their cost do not depend on the address: a body is read when the headers have a signature in the format of any endpoint, and as many digests
    are computed over it as the most demanding endpoint needs.
    """

    def __init__(self, endpoints: Mapping[str, CallerAuth]) -> None:
        self.replace(endpoints)

    def replace(self, endpoints: Mapping[str, CallerAuth]) -> None:
        """Authenticate by these endpoints from now on."""
        self._endpoints = endpoints
        signed = [auth for auth in endpoints.values() if auth.type == "signature"]
        self._formats = frozenset(SignatureFormat(auth.header.lower(), auth.prefix.encode(), auth.algorithm, auth.digest) for auth in signed)
        self._digests = {name: max((len(auth.secrets) for auth in signed if auth.algorithm == name), default=0) for name in ALGORITHMS}

    def evidence(self, path: str, headers: Headers) -> Evidence:
        """Judge the headers, before the body is read."""
        auth = self._endpoints.get(path, NO_CALLER)
        basic = auth.type == "basic"
        if has_credentials(auth if basic else NO_CALLER, headers) and basic:
            return Evidence.CREDENTIALS
        fits = [signature_format.fits(headers) for signature_format in self._formats]  # all formats: the time must not show which one fits
        return Evidence.SIGNATURE if any(fits) else Evidence.NOTHING

    def is_signed(self, path: str, headers: Headers, body: bytes) -> bool:
        """Whether the call is signed with a secret of its endpoint."""
        auth = self._endpoints.get(path, NO_SIGNER)
        return is_signed(auth if auth.type == "signature" else NO_SIGNER, headers, body, self._digests)


def has_credentials(auth: CallerAuth, headers: Headers) -> bool:
    """Whether the headers have the basic credentials of `auth`."""
    scheme, _, given = only(headers, "Authorization").partition(b" ")
    try:
        pair = b64decode(given.strip(), validate=True)
    except binascii.Error:
        pair = b""
    same = hmac.compare_digest(fingerprint(pair), fingerprint(f"{auth.username}:{auth.password}".encode()))
    return same and scheme.lower() == b"basic"


def is_signed(auth: CallerAuth, headers: Headers, body: bytes, digests: Mapping[str, int]) -> bool:
    """Whether the body is signed with any of the secrets. It tries all of them, so that the time does not show which one fits.

    `digests`: the minimum number to compute with each algorithm; digests that the endpoint does not need use a key that no caller has.
    """
    given = only(headers, auth.header).strip()
    prefix = auth.prefix.encode()
    bare = given.removeprefix(prefix)
    if auth.digest == "hex":
        bare = bare.lower()
    made = [signature(auth, secret, body) for secret in auth.secrets]
    for algorithm, count in digests.items():
        for _ in range(count - (len(auth.secrets) if algorithm == auth.algorithm else 0)):
            hmac.new(PADDING, body, ALGORITHMS[algorithm]).digest()
    return any([hmac.compare_digest(bare, one) for one in made]) and given.startswith(prefix)  # noqa: C419 - a generator would stop at the first


def signature(auth: CallerAuth, secret: str, body: bytes) -> bytes:
    """Return the signature in the header's form, without the prefix."""
    made = hmac.new(secret.encode(), body, ALGORITHMS[auth.algorithm])
    return made.hexdigest().encode() if auth.digest == "hex" else b64encode(made.digest())


def fingerprint(text: bytes) -> bytes:
    """Return a digest of fixed length, so that a comparison does not show the length of a secret."""
    return hashlib.sha256(text).digest()


def only(headers: Headers, name: str) -> bytes:
    """Return the one value of a header; empty if the header is absent or has several values."""
    values = headers.getall(name, [])
    return values[0].encode(errors="surrogateescape") if len(values) == 1 else b""
