"""Removes literal secrets from documents of Halo before other code reads them: all written texts have a mark in their place."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from worker.core.redaction import is_secret_name
from worker.translation.naming import setting, unique

BEGIN, END = "\ue000", "\ue001"
"""Characters that no document uses, around the name of a variable in the place of a secret. Written files have `${NAME}` instead."""
MARK = re.compile(f"{BEGIN}([A-Z0-9_]+){END}")
STORED = re.compile(r"\$\$\{|\$\{([A-Z][A-Z0-9_]*)\}")
PARAMETER = r"password|passwd|pwd|client_secret|secret|access_token|refresh_token|id_token|token|api_?key|signature|sig"
SECRETS = (
    re.compile(r"(?<=://)(?P<secret>[^\s/?#@<\ue000]+)(?=@)"),
    re.compile(r"\b(?i:bearer|basic)\s+(?P<secret>(?=\S*(?:[a-z][A-Z]|[\d=+/]))[\w.~+/=-]{8,})"),
    re.compile(r"\b(?P<secret>eyJ[\w-]{8,}\.[\w-]*\.[\w-]*)"),
    re.compile(rf"\b(?:{PARAMETER})=(?P<secret>[^\s&;,'\"<\ue000]+)", re.IGNORECASE),
)
MEMBER = re.compile(r'"(?P<name>[^"\\]+)"\s*:\s*"(?P<secret>(?:\\.|[^"\\<\ue000])+)"')
MIN_SECRET = 8  # characters: a shorter value is replaced only in its own place, since it may be part of an ordinary word
RESERVED = "the document uses the characters U+E000 and U+E001, which the translation needs"


class SecretExtractor:
    """Replaces the secrets of documents. `settings`: their new variables, each with its place in the document. Only this object holds the values."""

    def __init__(self) -> None:
        self.settings: dict[str, str] = {}
        self._names: dict[str, str] = {}

    def clean(self, document: Any, owner: str) -> Any:
        """Return a copy without secrets. `owner`: the name of the document, for the names of the variables."""
        return self._everywhere(self._taken(document, owner, ""))

    def _taken(self, value: Any, owner: str, name: str) -> Any:
        match value:
            case str():
                return self._text(value, owner, name)
            case list():
                return [self._taken(item, owner, name) for item in value]
            case Mapping():
                key = value.get("key")
                named: dict[str, str] = {"value": key} if isinstance(key, str) else {}
                return {member: self._taken(inner, owner, named.get(str(member)) or str(member)) for member, inner in value.items()}
            case _:
                return value

    def _text(self, text: str, owner: str, name: str) -> str:
        if name and is_secret_name(name) and text.strip() and "<<" not in text and not MARK.search(text):
            scheme = re.match(r"(?i:bearer|basic)\s+", text)
            begin = scheme.end() if scheme else 0
            return text[:begin] + self._mark(text[begin:], owner, name)
        for pattern in SECRETS:
            text = pattern.sub(lambda found: self._within(found, owner, name), text)
        return MEMBER.sub(lambda found: self._within(found, owner, found["name"]) if is_secret_name(found["name"]) else found[0], text)

    def _within(self, found: re.Match[str], owner: str, name: str) -> str:
        start, end = found.start("secret") - found.start(), found.end("secret") - found.start()
        return found[0][:start] + self._mark(found["secret"], owner, name) + found[0][end:]

    def _mark(self, secret: str, owner: str, name: str) -> str:
        if secret not in self._names:
            made = unique(setting(owner, name or "secret"), self.settings).replace("-", "_")
            self._names[secret] = made
            self.settings[made] = f"`{name or 'a text'}` of {owner}"
        return f"{BEGIN}{self._names[secret]}{END}"

    def _everywhere(self, value: Any) -> Any:
        """Replace a secret that was found in one place in all other places."""
        match value:
            case str():
                for secret in sorted((each for each in self._names if len(each) >= MIN_SECRET), key=len, reverse=True):
                    value = value.replace(secret, f"{BEGIN}{self._names[secret]}{END}")
                return value
            case list():
                return [self._everywhere(item) for item in value]
            case Mapping():
                return {name: self._everywhere(inner) for name, inner in value.items()}
            case _:
                return value


def with_references(value: Any) -> Any:
    """Return a copy that may be written to a file: `${NAME}` for each mark."""
    return texts_of(value, lambda text: MARK.sub(r"${\1}", text))


def stored(value: Any) -> Any:
    """Return the copy of `with_references`, with `$${` for the characters `${` of the document itself, so that `marked` can distinguish them from secrets."""
    return with_references(texts_of(value, lambda text: text.replace("${", "$${")))


def marked(value: Any) -> Any:
    """Reverse `stored`."""
    return texts_of(value, lambda text: STORED.sub(lambda found: "${" if found[1] is None else f"{BEGIN}{found[1]}{END}", text))


def texts_of(value: Any, change: Callable[[str], str]) -> Any:
    """Return a copy with each text changed."""
    match value:
        case str():
            return change(value)
        case list():
            return [texts_of(item, change) for item in value]
        case Mapping():
            return {name: texts_of(inner, change) for name, inner in value.items()}
        case _:
            return value


def holds_reserved(value: Any) -> bool:
    """Whether a document has the characters of the marks."""
    match value:
        case str():
            return BEGIN in value or END in value
        case list():
            return any(map(holds_reserved, value))
        case Mapping():
            return any(holds_reserved(each) for item in value.items() for each in item)
        case _:
            return False
