"""A payload as a multipart form, for the few endpoints that take one."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from aiohttp import MultipartWriter

from worker.core.errors import Undecodable
from worker.core.jsontext import encode

FILE = "data_base64"


async def encode_form(fields: Mapping[str, Any]) -> tuple[bytes, str]:
    """The body and its content type. A member is a field: text as it is, an object with `data_base64` (and `filename`, `content_type`) a file, anything else JSON.

    Raises `Undecodable` for a file that is not Base64.
    """
    with MultipartWriter("form-data") as writer:
        for name, value in fields.items():
            if isinstance(value, dict) and FILE in value:
                kind = str(value.get("content_type") or "application/octet-stream")
                part = writer.append(file_bytes(name, value[FILE]), {"Content-Type": kind})
                part.set_content_disposition("form-data", quote_fields=False, name=name, filename=str(value.get("filename") or name))
            else:
                part = writer.append(value if isinstance(value, str) else encode(value).decode())
                part.set_content_disposition("form-data", quote_fields=False, name=name)
    return await writer.as_bytes(), writer.content_type


def file_bytes(name: str, text: Any) -> bytes:
    """Plain Base64, or a data URL as browsers make them."""
    encoded = str(text).partition(";base64,")[2] or str(text)
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise Undecodable(f"the file {name!r} is not Base64 in its member {FILE}") from None
