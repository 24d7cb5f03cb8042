"""Turns the body of an error of Halo into a sentence without customer data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from worker.core.bodies import read_json
from worker.core.errors import Undecodable

LIMIT = 300
MEMBERS = ("Message", "message", "error_description", "errorMessage", "detail", "error", "title")
MEMBER_LIMIT = 5  # refused members that the sentence names
PATH_TAIL = re.compile(r"[.\s]*\b(?:Path[: ]|LineNumber).*", re.DOTALL)
MEMBER_NAME = re.compile(r"[\w.$\[\]]{1,80}")
QUOTED = re.compile(r'"[^"]*"?|“[^”]*”?|(?<!\w)\'[^\']*\'?(?!\w)')
ADDRESS = re.compile(r"\S+@\S+|\b(?:https?|ftp)://\S+", re.IGNORECASE)
LONG_CODE = re.compile(r"(?=\S*\d)[\w+/=.:-]{20,}|\+?\d[\d\s().-]{5,}\d")
MASK = "…"


def explain(body: bytes | None, content_type: str = "") -> str:
    """Halo's own text for its refusal, masked and cut; empty when the body has none."""
    if not body or not body.strip():
        return ""
    try:
        value = read_json(body, content_type)
    except Undecodable:
        text = body[: LIMIT * 4].decode("utf-8", errors="replace")
        return "" if text.lstrip().startswith("<") else mask_customer_data(text)
    return _sentence(value)


def mask_customer_data(text: str) -> str:
    """One line of at most 300 characters without possible customer data: it replaces quoted parts, addresses, long numbers and codes."""
    for pattern in (QUOTED, ADDRESS, LONG_CODE):
        text = pattern.sub(MASK, text)
    text = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return text if len(text) <= LIMIT else f"{text[: LIMIT - 1]}{MASK}"


def _sentence(value: Any) -> str:
    if isinstance(value, str):
        return mask_customer_data(value)
    if not isinstance(value, Mapping):
        return ""
    errors = value.get("errors")
    if isinstance(errors, Mapping) and (told := _binding(errors)):
        return told
    for name in MEMBERS:
        if isinstance(text := value.get(name), str) and text.strip():
            return mask_customer_data(text)
    return _binding(value)


def _binding(errors: Mapping[str, Any]) -> str:
    """The members that Halo could not read, each with its first message. Messages quote the value, so each is cut before it."""
    errors_by_member = []
    for name, messages in errors.items():
        message = messages[0] if isinstance(messages, list) and messages else messages
        if isinstance(message, str):
            said = mask_customer_data(PATH_TAIL.sub("", QUOTED.sub(MASK, message)).partition(": ")[0])
            errors_by_member.append(f"{name if MEMBER_NAME.fullmatch(name) else MASK}: {said}")
    more = f" (and {len(errors_by_member) - MEMBER_LIMIT} more)" if len(errors_by_member) > MEMBER_LIMIT else ""
    return "; ".join(errors_by_member[:MEMBER_LIMIT]) + more
