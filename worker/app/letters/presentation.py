"""The parts of a letter's message that are shown: its properties, its headers and its body."""

from __future__ import annotations

from typing import Any

from worker.config.jsonable import to_jsonable
from worker.core.json_codec import MAX_DEPTH
from worker.core.known_secrets import redacted
from worker.core.message import Message
from worker.core.redaction import redact
from worker.flows.dead.letter import Letter, decoded_body


def properties(message: Message) -> dict[str, Any]:
    return {"correlation_id": message.correlation_id, "reply_to": message.reply_to, "content_type": message.content_type, "type": message.type} | {
        "content_encoding": message.content_encoding,
        "app_id": message.app_id,
        "priority": message.priority,
    }


def headers_and_body(letter: Letter, message: Message, *, reveal: bool) -> tuple[Any, Any]:
    """Return headers and body. Masks the values of members with a secret's name, unless `reveal`."""
    headers = to_jsonable(message.headers)
    body = f"({letter.unread:,} bytes, not read: raise WORKER_MAX_MESSAGE)" if letter.unread else decoded_body(message)
    return (headers, body) if reveal else (redact(headers, MAX_DEPTH), redacted(body, MAX_DEPTH))
