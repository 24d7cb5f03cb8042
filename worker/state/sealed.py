"""Documents that only a worker or an operator can have written: JSON with a keyed MAC, for streams to which other users may publish."""

from __future__ import annotations

from hashlib import blake2b
from hmac import compare_digest
from typing import Any

import orjson

from worker.core.errors import Undecodable

MAC_BYTES = 16
VERSION = 1


def seal(document: Any, key: bytes, purpose: str) -> bytes:
    """The bytes of a message. `document`: an object or a dataclass. `key`: the key of the worker's headers.

    `purpose`: the stream's name, so that a document fits no other stream.
    """
    text = orjson.dumps(document).decode()
    return orjson.dumps({"v": VERSION, "mac": _mac(text, key, purpose), "text": text})


def unseal(body: bytes, key: bytes, purpose: str) -> dict[str, Any]:
    """The document. Raises `Undecodable` if no holder of the key wrote it for this purpose."""
    try:
        envelope = orjson.loads(body)
        text, mac = envelope["text"], envelope["mac"]
        if not compare_digest(mac.encode(), _mac(text, key, purpose).encode()):
            raise Undecodable("its proof is wrong: no worker and no operator wrote it, or the key in halo.keys was lost and made again")
        document = orjson.loads(text)
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        raise Undecodable("it is no document of a worker") from None
    if not isinstance(document, dict):
        raise Undecodable("it is no document of a worker")
    return document


def _mac(text: str, key: bytes, purpose: str) -> str:
    return blake2b(f"{VERSION}\0{purpose}\0{text}".encode(), key=key, digest_size=MAC_BYTES).hexdigest()
