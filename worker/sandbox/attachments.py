"""Attachments: accepted and stored as Base64, returned as a file."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from mimetypes import guess_type
from typing import Any

from aiohttp import web

from worker.sandbox.table import Row


def stored_attachment(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with size, type and content computed from `data_base64`, which is Base64 or a data URL."""
    text = str(record.get("data_base64") or record.get("data") or "")
    content = _decoded(text.partition(";base64,")[2] or text)
    name = str(record.get("filename") or "file")
    kind = guess_type(name)[0] or "application/octet-stream"
    facts = {"filename": name, "desc": record.get("desc") or name, "filesize": len(content), "content_type": kind, "isimage": kind.startswith("image/")}
    plain = {member: value for member, value in record.items() if member not in {"data", "data_base64"}}
    return {**plain, **facts, "data": base64.b64encode(content).decode()}


def attachment_file(row: Row) -> web.Response:
    """The raw bytes, with the file name in a header."""
    name = str(row.get("filename", "file")).replace('"', "")
    return web.Response(
        body=_decoded(str(row.get("data", ""))),
        content_type=str(row.get("content_type", "application/octet-stream")),
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=False)
    except (binascii.Error, ValueError):
        return b""
