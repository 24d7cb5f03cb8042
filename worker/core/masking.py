"""Masks personal data in a JSON value: names, e-mail addresses, phone numbers, postal addresses and free text. Ids, codes, dates and numbers stay."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from worker.core.redaction import MASK, is_secret_name, redact_text

NOISE = re.compile(r"[^a-z0-9]")
EMAIL_NAME = re.compile(r"mail(address|s|addresses)?$|^(cc|bcc|to|from)(address)?$")
PHONE_NAME = re.compile(r"phone(number)?\d*$|mobile(number)?\d*$|fax(number)?$|telephone|contactno$|^tel$")
ADDRESS_NAME = re.compile(r"address(line)?\d*$|street|postcode|zipcode|^zip$|^city$")
TEXT_NAME = re.compile(
    r"note(s|html)?$|details?(html)?$|description(html)?$|summary$|comments?$|message$|subject$|remarks?$|html$|symptom|resolution(s)?$|^(body|text|title|reason|output)$"
)
PEOPLE = "user|agent|contact|customer|client|company|organi[sz]ation|site|first|last|sur|fore|given|family|full|display|caller|owner|requester|requestor|author|manager|technician|reporter|assignee"
PERSON_NAME = re.compile(rf"({PEOPLE})s?name$|^({PEOPLE}|who|by|login|employee|person|sender|createdby|updatedby)$")
SECRET_NAME = re.compile(r"(pwd|passphrase|passcode)s?$|^(pass|pin)$")
EMAIL = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")
PHONE = re.compile(r"(?<![\w.])(?:\+|00|\(0|0)[\d ()/-]{8,}\d(?!\w)")
WORDS = re.compile(r"[^\W\d_]{2,}\S*\s+\S+")
"""Free text: a word and something after it."""


class Masker:
    """Masks one example: the same value has the same mask everywhere in it. A text in `codes` stays."""

    def __init__(self, codes: Collection[str] = ()) -> None:
        self._codes = frozenset(codes)
        self._masks: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    def mask(self, value: Any, name: str = "", parent: str = "") -> Any:
        """A masked copy of a value: of the member `name` in the member `parent`. Everything under the name of a secret is secret."""
        plain, secret = NOISE.sub("", name.lower()), holds_secret(name)
        match value:
            case Mapping():
                return {self._embedded(str(key)): self.mask(member, name if secret else str(key), name) for key, member in value.items()}
            case list():
                return [self.mask(item, name, parent) for item in value]
            case str() if secret:
                return MASK if value.strip() else value
            case str():
                return self._text(value, NOISE.sub("", parent.lower()) + plain if plain == "name" else plain) if value.strip() else value
            case bool() | None:
                return value
            case _ if secret:
                return 0
            case int() if PHONE_NAME.search(plain):
                return int(re.sub(r"\D", "", self._masked("phone", str(value))))
            case _:
                return value

    def _text(self, text: str, name: str) -> str:
        if text in self._codes:
            return text
        kind = kind_of(text, name)
        return self._embedded(text) if kind is None else self._masked(kind, text)

    def _embedded(self, text: str) -> str:
        """The text with the addresses, phone numbers and credentials inside it masked."""
        text = EMAIL.sub(lambda found: self._masked("email", found[0]), text)
        return redact_text(PHONE.sub(lambda found: self._masked("phone", found[0]), text))

    def _masked(self, kind: str, value: str) -> str:
        if value not in self._masks:
            number = self._counts[kind] = self._counts.get(kind, 0) + 1
            self._masks[value] = mask_text(kind, number)
        return self._masks[value]


def holds_secret(name: str) -> bool:
    """Whether a name is that of a secret: as in logs, and also the shorter names and plurals that senders use."""
    return is_secret_name(name) or is_secret_name(name.rstrip("sS")) or SECRET_NAME.search(NOISE.sub("", name.lower())) is not None


def kind_of(text: str, name: str) -> str | None:
    """The kind of personal data in a text, by its form and its member's name (lower case, letters and digits); None for a text that may stay."""
    if EMAIL.fullmatch(text.strip()):
        return "email"
    for kind, pattern in (("text", TEXT_NAME), ("phone", PHONE_NAME), ("person", PERSON_NAME), ("email", EMAIL_NAME), ("address", ADDRESS_NAME)):
        if pattern.search(name):
            return kind
    if PHONE.fullmatch(text.strip()):
        return "phone"
    return "text" if WORDS.search(text) else None


def mask_text(kind: str, number: int) -> str:
    match kind:
        case "email":
            return f"person{number}@example.com"
        case "phone":
            return f"+1555{number:07}"
        case _:
            return f"{kind.capitalize()} {number}"
