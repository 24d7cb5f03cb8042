"""Masks the worker's known secrets in the texts of others. An API may quote a secret that it received, in any of its forms in HTTP and JSON."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any
from urllib.parse import quote, quote_plus

from worker.core.redaction import MASK, MAX_DEPTH, is_secret_name, redact

MIN_SECRET = 8  # characters; a shorter value would also mask parts of ordinary words
SHORTEST_IN_BASE64 = 8
FEW = 200  # forms; with more of them it is faster to check each place of a text than to search for each form
NONE: Mapping[str, set[str]] = {}


class KnownSecrets:
    """The secret values, each in every form. The repr never shows them."""

    def __init__(self, values: Iterable[str | None] = (), made: Mapping[str, set[str]] = NONE) -> None:
        """`made`: values with the forms that were made for them before."""
        self._made = dict(made) | {value: forms_of(value) for value in values if value and len(value) >= MIN_SECRET and value not in made}
        self._forms = sorted(set().union(*self._made.values()), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, self._forms)) if len(self._forms) <= FEW else "")
        self._by_start = forms_by_prefix(self._forms)

    @property
    def values(self) -> frozenset[str]:
        return frozenset(self._made)

    def with_more(self, values: Iterable[str | None]) -> KnownSecrets:
        """These secrets and others."""
        return KnownSecrets(values, self._made)

    def hide(self, text: str) -> str:
        """The text with each secret masked; where several begin at one place, the longest."""
        if len(self._forms) > FEW:
            return "".join(self._pieces(text))
        return self._pattern.sub(MASK, text) if any(form in text for form in self._forms) else text

    def _pieces(self, text: str) -> Iterator[str]:
        starts, begin = self._by_start, 0
        for at in [at for at in range(len(text) - MIN_SECRET + 1) if text[at : at + MIN_SECRET] in starts]:
            found = next((form for form in starts[text[at : at + MIN_SECRET]] if text.startswith(form, at)), None)
            if found is not None and at >= begin:
                yield text[begin:at]
                yield MASK
                begin = at + len(found)
        yield text[begin:]

    def hide_bytes(self, data: bytes) -> bytes:
        return self.hide(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")

    def hide_in(self, value: Any) -> Any:
        """A copy of a JSON value with each secret masked in its texts and names."""
        match value:
            case str():
                return self.hide(value)
            case Mapping():
                return {self.hide(name) if isinstance(name, str) else name: self.hide_in(member) for name, member in value.items()}
            case list() | tuple():
                return [self.hide_in(item) for item in value]
            case _:
                return value


def forms_by_prefix(forms: Iterable[str]) -> dict[str, list[str]]:
    """The forms by their first `MIN_SECRET` characters, longest first, as they are given. No form is shorter."""
    found: dict[str, list[str]] = {}
    for form in forms:
        found.setdefault(form[:MIN_SECRET], []).append(form)
    return found


def redacted(document: Any, depth: int = MAX_DEPTH) -> Any:
    """Mask as `redact`, and mask a text under a secret's name also elsewhere in the document: the answer to a login may repeat the token."""
    return KnownSecrets(secret_texts(document)).hide_in(redact(document, depth))


def secret_texts(value: Any, *, secret: bool = False) -> Iterator[str]:
    """The texts under the names of secrets, at any depth."""
    match value:
        case str() if secret:
            yield value
        case Mapping():
            for name, member in value.items():
                yield from secret_texts(member, secret=secret or (isinstance(name, str) and is_secret_name(name)))
        case list() | tuple():
            for item in value:
                yield from secret_texts(item, secret=secret)
        case _:
            pass


def forms_of(value: str) -> set[str]:
    """The value as it is, percent-encoded, and escaped in JSON, HTML or a repr. Also in Base64 at any place of an encoded text, as in basic credentials."""
    data = value.encode("utf-8", "surrogateescape")
    encoded = {quote(data, safe=""), quote_plus(data), quote(data, safe="/"), quote(data)}
    forms = {value, escape(value), escape(value, quote=False), repr(value)[1:-1], json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    forms |= encoded | {re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), text) for text in encoded}
    forms |= {text.replace("/", "\\/") for text in (value, json.dumps(value)[1:-1])}
    return forms | in_base64(data)


def in_base64(data: bytes) -> set[str]:
    """The value's Base64 characters that do not depend on the text around it: for each of the three places where it may begin in four characters."""
    forms = set()
    for before in range(3):
        text = b64encode(b"\0" * before + data).decode()
        begin = (0, 2, 3)[before]
        end = (before + len(data)) * 8 // 6
        if end - begin >= SHORTEST_IN_BASE64:
            core = text[begin:end]
            forms |= {core, core.replace("+", "-").replace("/", "_"), quote(core, safe="")}
    return forms
