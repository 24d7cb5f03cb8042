"""Encodes a payload as a multipart form, for the few endpoints that take one."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import partial
from typing import Any

from aiohttp import MultipartWriter

from worker.core.errors import Undecodable
from worker.core.json_codec import encode, encode_draft, finish_draft
from worker.core.message import digest
from worker.threads import in_thread_if_large

FILE = "data_base64"


async def encode_form(fields: Any, file_member: str = FILE) -> tuple[bytes, str]:
    """The body and its content type. Each member is a field: text as it is; an object with `file_member` (and `filename`, `content_type`) as a file;
    any other value as JSON.

    Raises `Undecodable` for a value that is no object, a file that is not Base64, and names that a form cannot hold.
    """
    if not isinstance(fields, Mapping):
        raise Undecodable("a form is made of an object, one field per member")
    try:
        draft = encode_draft(fields)
        writer = await in_thread_if_large(len(draft), partial(_form, fields, draft, file_member))
        return await writer.as_bytes(), writer.content_type
    except ValueError:
        raise Undecodable("a field's name, text or content type holds characters that cannot stand in a form") from None


def _form(fields: Mapping[str, Any], draft: bytes, file_member: str) -> MultipartWriter:
    with MultipartWriter("form-data", boundary=boundary_of(draft)) as writer:
        for name, value in fields.items():
            _append(writer, name, value, file_member)
    return writer


def boundary_of(draft: bytes) -> str:
    """A boundary from the hash of the fields, as `encode_draft` writes them: a plan shows the bytes that are sent.

    No content can hold its own hash. Raises `Undecodable`.
    """
    return f"halo-worker-{digest(finish_draft(draft)).hex()}"


def _append(writer: MultipartWriter, name: str, value: Any, file_member: str) -> None:
    if isinstance(value, dict) and file_member in value:
        kind = str(value.get("content_type") or "application/octet-stream")
        part = writer.append(file_bytes(name, value[file_member], file_member), {"Content-Type": kind})
        part.set_content_disposition("form-data", quote_fields=False, name=_quoted(name), filename=_quoted(str(value.get("filename") or name)))
    else:
        part = writer.append(value if isinstance(value, str) else encode(value).decode())
        part.set_content_disposition("form-data", quote_fields=False, name=_quoted(name))


def _quoted(text: str) -> str:
    """The name as browsers write it: a quotation mark or a line end must not end it."""
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def file_bytes(name: str, text: Any, member: str = FILE) -> bytes:
    """The bytes of a file in plain Base64, or in a data URL as browsers make them. Raises `Undecodable`."""
    encoded = str(text).partition(";base64,")[2] or str(text)
    try:
        return base64.b64decode(encoded, validate=True)
    except ValueError:
        raise Undecodable(f"the file {name!r} is not Base64 in its member {member}") from None
