"""Makes text safe to show: no character moves a terminal's cursor, changes its colours, or reverses the reading order."""

from __future__ import annotations

import re

REPLACEMENT = 0xFFFD
CONTROLS = {code: 0x2400 + code for code in range(0x20)} | {0x7F: 0x2421}  # to their pictures: ESC becomes ␛
UNSEEN = (
    *range(0x80, 0xA0),  # the other control characters, among them an ESC [ of one character
    0x061C,
    *range(0x200E, 0x2010),  # marks of direction
    *range(0x2028, 0x202F),  # line and paragraph separators, embeddings and overrides of direction
    *range(0x2066, 0x206A),  # isolates of direction
    0xFEFF,
)
SURROGATES = range(0xD800, 0xE000)  # no terminal can be sent half a character
ONE_LINE = CONTROLS | dict.fromkeys((*UNSEEN, *SURROGATES), REPLACEMENT)
LINES = {code: shown for code, shown in ONE_LINE.items() if code not in {0x09, 0x0A}}
IN_JSON = re.compile(f"[\x7f{''.join(map(chr, UNSEEN))}]")


def printable(text: str, *, lines: bool = True) -> str:
    """The text with a visible character in place of each such character. `lines`: tabs and line breaks stay."""
    return text if text.isprintable() else text.translate(LINES if lines else ONE_LINE)


def printable_json(text: str) -> str:
    """The JSON text with such characters escaped, where JSON allows them unescaped. Its value stays the same."""
    return text if text.isascii() and "\x7f" not in text else IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
