"""Whether a public call proves who it is: basic credentials before its body is read, a signature over the raw body after."""

from __future__ import annotations

import binascii
import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from secrets import token_bytes, token_hex

from worker.config.automation import CallerAuth
from worker.web.headers import Headers, only

ALGORITHMS = {"sha256": hashlib.sha256, "sha512": hashlib.sha512}
UNKNOWN = CallerAuth("signature", header="X-Signature")
PADDING = token_bytes(32)
NOBODY = CallerAuth("basic", username=token_hex(), password=token_hex())
"""What an address without a door is judged by: no caller has what it asks for."""


class Shown(Enum):
    """What the headers of a call show."""

    NOTHING = "nothing that could prove anything"
    SIGNATURE = "something that has the form of a signature"
    CREDENTIALS = "the credentials of the door"


@dataclass(frozen=True, slots=True)
class Form:
    """How signatures of some door look."""

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


class Gate:
    """Admits calls by the address that they are for. A stranger cannot tell an address that is not there from one whose secret they lack.

    What is judged, and how much is computed for it, does not depend on the address: a call is worth reading when its headers show a signature as any
    of the doors has it, and over its body as many digests are made as the most demanding door needs.
    """

    def __init__(self, doors: Mapping[str, CallerAuth]) -> None:
        self._doors = doors
        signed = [auth for auth in doors.values() if auth.type == "signature"]
        self._forms = frozenset(Form(auth.header.lower(), auth.prefix.encode(), auth.algorithm, auth.digest) for auth in signed)
        self._digests = {name: max((len(auth.secrets) for auth in signed if auth.algorithm == name), default=0) for name in ALGORITHMS}

    def shown(self, path: str, headers: Headers) -> Shown:
        """Before the body is read."""
        auth = self._doors.get(path, NOBODY)
        basic = auth.type == "basic"
        if is_known(auth if basic else NOBODY, headers) and basic:
            return Shown.CREDENTIALS
        forms = [form.fits(headers) for form in self._forms]  # all of them: the time does not tell which
        return Shown.SIGNATURE if any(forms) else Shown.NOTHING

    def signs(self, path: str, headers: Headers, body: bytes) -> bool:
        """Whether the call is signed by a secret of its door."""
        auth = self._doors.get(path, UNKNOWN)
        return is_signed(auth if auth.type == "signature" else UNKNOWN, headers, body, self._digests)


def is_known(auth: CallerAuth, headers: Headers) -> bool:
    """Basic credentials."""
    scheme, _, given = only(headers, "Authorization").partition(b" ")
    try:
        pair = b64decode(given.strip(), validate=True)
    except binascii.Error:
        pair = b""
    same = hmac.compare_digest(fingerprint(pair), fingerprint(f"{auth.username}:{auth.password}".encode()))
    return same and scheme.lower() == b"basic"


def is_signed(auth: CallerAuth, headers: Headers, body: bytes, digests: Mapping[str, int]) -> bool:
    """A signature by any of the secrets; all of them are tried, so that the time does not tell which one it was.

    `digests`: how many are made by each algorithm at least; those that the door does not need are made with a key that no caller has.
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
    """What the header holds behind the prefix."""
    made = hmac.new(secret.encode(), body, ALGORITHMS[auth.algorithm])
    return made.hexdigest().encode() if auth.digest == "hex" else b64encode(made.digest())


def fingerprint(text: bytes) -> bytes:
    """Of one length, so that comparing does not tell how long a secret is."""
    return hashlib.sha256(text).digest()
