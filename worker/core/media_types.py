"""Reads `Content-Type`, and checks whether the worker's own bodies agree with it."""

from __future__ import annotations

import re
from typing import Final, Literal

BodyKind = Literal["json", "text", "form", "multipart", "base64"]
FORM: Final = "application/x-www-form-urlencoded"
CHARSET: Final = re.compile(r";\s*charset\s*=\s*[\"']?([^\s;\"']+)", re.IGNORECASE)
UTF8: Final = frozenset(("utf-8", "utf8"))


def media_type_of(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def is_json(content_type: str) -> bool:
    media_type = media_type_of(content_type)
    return media_type == "application/json" or media_type.endswith("+json")


def disagreement(content_type: str, kind: BodyKind) -> str:
    """Why the worker must not send a body of this kind with this content type; empty where it may."""
    charset = CHARSET.search(content_type)
    if charset is not None and charset[1].lower() not in UTF8:
        return "bodies are sent as UTF-8: leave `charset` out of `Content-Type`"
    media_type = media_type_of(content_type)
    if kind == "json" and "json" not in media_type:  # some APIs have names of their own for JSON
        return f"`Content-Type: {media_type}` contradicts the body, which is sent as JSON: leave the header out, or write the body as text (`body_kind: text`)"
    if kind == "form" and media_type != FORM:
        return f"`Content-Type: {media_type}` contradicts the body, which is sent as a form: leave the header out"
    if kind == "multipart" and media_type:
        return "`Content-Type` of a multipart body must be left out: the worker writes it with the boundary"
    if kind == "text" and media_type.startswith("multipart/"):
        return f"`Content-Type: {media_type}` contradicts the body: a text has no parts"
    return ""
