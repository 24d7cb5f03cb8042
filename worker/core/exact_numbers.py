"""Reads and writes JSON numbers that neither 64 bits nor a double hold: as `Decimal`, digit for digit."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal, DecimalException
from typing import Any, Final, NoReturn

import orjson

from worker.core.errors import Undecodable
from worker.core.json_text import cut_escape

EXACT: Final = 2**53  # floats are whole numbers without gaps up to here
MAX_DIGITS: Final = 1000  # characters of one number
MAX_EXACT: Final = 50_000  # numbers of one text: some 200 ms, in which the event loop does nothing else
SHORT: Final = 19  # characters: an integer has 64 bits
SHORTEST: Final = 16  # characters: a double holds any 15 digits
INTEGER_TEXT: Final = 10**21  # from here on a float is written with an exponent, as JavaScript writes it
INT64, UINT64 = -(2**63), 2**64 - 1
DIGITS: Final = bytes.maketrans(b"0123456789.E", b"00000000000e")
LONG: Final = b"0" * 16  # a double holds any 15 digits
TINY: Final = b"0e-000"
PIECE: Final = 256 * 1024  # bytes to examine at once, which bounds the memory of the search
OVERLAP: Final = 32
BEFORE: Final = 18  # characters before a mark where its number may begin: a number with more digits has the mark `LONG` at its first digit
LOOKS: Final = 1000  # marks of a piece to examine one by one: for more of them one search of the piece costs less
LONG_NUMBER: Final = re.compile(rb"-?(?:[0-9][0-9.]{15}|[0-9][0-9.]*[eE]-[0-9]{3})")
"""A number that may need more than a double."""
NUMBER_STARTS: Final = b"-0123456789"
INNER_LONG_NUMBER: Final = re.compile(rb"[\s:,\[]" + LONG_NUMBER.pattern)
"""The same at a place where JSON allows a number. It also matches some digits inside texts."""
AFTER_NUMBERS: Final = (b",", b"}", b"]", b"\n")
MANTISSA: Final = re.compile(rb"([0-9])(?:\.([0-9]+))?\Z")
LONGEST_MANTISSA: Final = 20
EXPONENT: Final = re.compile(rb"(?:1[6-9]|20)(?![0-9])")
"""The exponent of a float from 1e16 to 1e21, which has no fraction."""


def has_long_number(text: bytes) -> bool:
    """Whether a JSON text may hold a number whose value orjson changes. Digits inside a text may also make it true."""
    for start in range(0, len(text), PIECE) if len(text) > PIECE or has_mark(text) else ():
        for looks, place in enumerate(marked(text[start : start + PIECE + OVERLAP].translate(DIGITS)), 1):
            at = start + place
            if INNER_LONG_NUMBER.search(text, max(0, at - BEFORE), at + len(LONG)):
                return True
            if looks == LOOKS:
                if INNER_LONG_NUMBER.search(text, max(0, start - 1), start + PIECE + OVERLAP):
                    return True
                break
    return text[:1] in NUMBER_STARTS and LONG_NUMBER.match(text) is not None


def has_mark(text: bytes) -> bool:
    digits = text.translate(DIGITS)
    return LONG in digits or TINY in digits


def marked(digits: bytes) -> Iterator[int]:
    """Places where a long number may be. Most are parts of an id such as 805e-4378; the pattern alone takes 10 ms for a page of records with ids."""
    for mark in (LONG, TINY):
        place = digits.find(mark)
        while place >= 0:
            yield place
            place = digits.find(mark, place + len(mark))


def loads(text: bytes) -> Any:
    """Parse JSON with every number exact: `int` within 64 bits, `float` where its digits are those of the text, otherwise `Decimal`.

    Raises `orjson.JSONDecodeError`, `Undecodable` for a number of more than 1,000 characters, `RecursionError` for a deep text with a long number.
    """
    value = orjson.loads(text)
    return reread(text) if has_long_number(text) else value


def reread(text: bytes) -> Any:
    """The value of a text that orjson accepts, with its long numbers exact."""
    numbers = Numbers()
    return json.loads(text, parse_int=numbers.integer, parse_float=numbers.fraction, parse_constant=refuse)


class Numbers:
    """Reads the numbers of one text. Exact numbers take fifty times as long as others, and the event loop waits for them: so their count is limited."""

    def __init__(self) -> None:
        self._exact = 0

    def integer(self, text: str) -> int | Decimal:
        """An `int` within 64 bits, otherwise a `Decimal`."""
        if len(text) < SHORT:
            return int(text)
        value = self._decimal(text)
        return int(value) if INT64 <= value <= UINT64 else value

    def fraction(self, text: str) -> float | Decimal:
        """A `float` if it is written with the same value as this text, otherwise a `Decimal`."""
        nearest = float(text)
        if repr(nearest) == text or (len(text) < SHORTEST and "e" not in text and "E" not in text):
            return nearest
        value = self._decimal(text)
        return nearest if value == Decimal(repr(nearest)) else value

    def _decimal(self, text: str) -> Decimal:
        if len(text) > MAX_DIGITS:
            raise Undecodable(f"the body has a number of {len(text):,} characters; at most {MAX_DIGITS:,} are read")
        self._exact += 1
        if self._exact > MAX_EXACT:
            raise Undecodable(f"the body has more than {MAX_EXACT:,} numbers that need more digits than a double holds; send them as text")
        try:
            return Decimal(text)
        except DecimalException:
            raise Undecodable("the body has a number whose exponent is too large to be read") from None


def refuse(_text: str) -> NoReturn:
    raise Undecodable("the body has a number that is not finite")


def dumps(value: Any, option: int | None = None) -> bytes:
    """Write JSON: exact numbers digit for digit, and floats without a fraction as integers. Raises `TypeError`."""
    try:
        text = orjson.dumps(value, fragment, option)
    except TypeError:
        text = unfinished(value, option)
    return without_fractions(text) if may_have_fractions(text) else text


def unfinished(value: Any, option: int | None = None) -> bytes:
    """Write JSON as `dumps`, but with floats as orjson writes them. Raises `TypeError`."""
    try:
        return orjson.dumps(value, fragment, option)
    except TypeError:
        if (written := with_integers(value)) is value:
            raise
        return orjson.dumps(written, fragment, option)


def may_have_fractions(text: bytes) -> bool:
    """Whether `without_fractions` may change orjson's text. The check takes a tenth of a microsecond for a kilobyte."""
    return b".0" in text or b"e+" in text


def without_fractions(text: bytes) -> bytes:
    """The text of orjson with integers in place of floats without a fraction. Raises `TypeError` for more than `MAX_EXACT` numbers with an exponent."""
    written, inside, exponents = [], False, 0
    for piece in between_numbers(text):
        masked = piece.replace(b"\\\\", b"\0").replace(b'\\"', b"\1") if b"\\" in piece else piece  # orjson writes neither of these bytes
        parts = masked.split(b'"')
        outside = b'"'.join(parts[inside::2])
        exponents += outside.count(b"e+")
        if exponents > MAX_EXACT:
            raise TypeError(f"it has more than {MAX_EXACT:,} numbers with an exponent; send them as text")
        parts[inside::2] = integers(outside).split(b'"') if outside else parts[inside::2]
        inside ^= len(parts) % 2 == 0
        done = b'"'.join(parts)
        written.append(done if masked is piece else done.replace(b"\1", b'\\"').replace(b"\0", b"\\\\"))
    return b"".join(written)


def between_numbers(text: bytes) -> Iterator[bytes]:
    """Pieces of orjson's text, never cut inside a number or an escape."""
    start = 0
    while start < len(text):
        end = start + PIECE
        if end < len(text):
            after = text.rfind(b",", start, end) + 1 or text.rfind(b'"', start, end) + 1
            end = after or end - cut_escape(text[start:end])
        yield text[start:end]
        start = end


def integers(text: bytes) -> bytes:
    """The text, which is outside strings, with integers in place of floats without a fraction."""
    text += b"\n"
    for mark in AFTER_NUMBERS:
        text = text.replace(b"-0.0" + mark, b"0" + mark).replace(b".0" + mark, mark)
    before, *others = text[:-1].split(b"e+")
    parts = []
    for after in others:
        mantissa, exponent = MANTISSA.search(before, max(0, len(before) - LONGEST_MANTISSA)), EXPONENT.match(after)
        if mantissa is None or exponent is None:
            parts += [before, b"e+"]
            before = after
        else:
            first, more = mantissa.groups(b"")
            parts += [before[: mantissa.start()], first, more.ljust(int(exponent[0]), b"0")]
            before = after[exponent.end() :]
    return b"".join((*parts, before))


def digest_text(value: Any) -> bytes:
    """Write JSON with sorted names for a hash. Floats stay as orjson writes them, so that hashes of earlier versions stay valid."""
    return orjson.dumps(value, fragment, orjson.OPT_SORT_KEYS)


def fragment(value: Any) -> orjson.Fragment:
    """The digits of a number that orjson cannot write. Raises `TypeError` for anything else."""
    if isinstance(value, Decimal) and value.is_finite():
        return orjson.Fragment(str(int(value) if value == value.to_integral_value() and abs(value) < INTEGER_TEXT else value))
    raise TypeError(f"{type(value).__name__} is not JSON")


def with_integers(value: Any) -> Any:
    """The value with integers in place of floats without a fraction; the same object where nothing changes."""
    if isinstance(value, dict):
        members = {name: with_integers(member) for name, member in value.items()}
        return members if any(members[name] is not value[name] for name in members) else value
    if isinstance(value, (list, tuple)):
        items = [with_integers(item) for item in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    return whole(value)


def whole(value: Any) -> Any:
    """A float without a fraction as the integer with its digits; an integer beyond 64 bits as a `Decimal`; anything else unchanged."""
    if isinstance(value, float) and value.is_integer() and abs(value) < INTEGER_TEXT:
        value = int(value) if abs(value) <= EXACT else int(Decimal(repr(value)))
    if type(value) is int and not INT64 <= value <= UINT64:
        return Decimal(value)
    return value
