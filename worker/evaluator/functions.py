"""The functions of expressions in addition to JSONata's: `$fail`, `$date`, `$table` and `$id`.

The engine passes an absent value and null to a Python function as the same value, and such a function cannot return an absent value. So each function is a
JSONata function around a part in Python that returns a list of one value or of none. `$table` and `$id` only note their lookup: the worker finds the
answer, and the expression is evaluated again with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from secrets import randbelow
from typing import Any, Final, NoReturn

from worker.config.function_calls import DATE, FAIL, ID, TABLE, FunctionCall, calls_of, literal_value, picture_problem
from worker.config.template_lexer import Token
from worker.core.lookups import Lookup, LookupAnswer, Needed, key_text

PLACEHOLDER: Final = f"\ue000{randbelow(10**18):018}\ue000"
"""Replaces an answer that is not known yet: lookups that depend on it wait for the next round. No message can hold it, since no sender can guess it."""
MAX_REASON: Final = 500  # characters of a text that the author wrote
FIRST_YEAR: Final = 1000  # a picture with two digits makes the year 25 of 25
TIME_PARTS: Final = frozenset("HhmsfZz")
WRAPPERS: Final = {
    TABLE: "function($n,$k,$d){$__table($n,$k,$exists($d),$d)[0]}",
    DATE: "function($t,$p){$__date($t,$p,$type($t) in ['string','number'] and $type($p)='string' ? $toMillis($string($t),$p))[0]}",
    FAIL: "function($r){$__fail($r)}",
}


class HostFailure(Exception):
    """Ends an evaluation; `Functions.failure` has the reason."""


class Functions:
    """The functions of one expression. `begin` starts an evaluation; `needed` and `failure` hold its outcome."""

    def __init__(self, pieces: Sequence[Token]) -> None:
        self._calls = calls_of(pieces)
        self._literals = frozenset(literal_value(token.text) for token in pieces if token.kind == "string")
        self._answers: Mapping[str, LookupAnswer] = {}
        self._lookups: dict[str, Lookup] = {}
        self.failure = ""

    def __bool__(self) -> bool:
        return bool(self._calls)

    @property
    def needed(self) -> Needed | None:
        """The lookups without an answer."""
        return Needed(tuple(self._lookups.values())) if self._lookups else None

    def begin(self, answers: Mapping[str, LookupAnswer]) -> None:
        self._answers = answers
        self._lookups = {}
        self.failure = ""

    def wrapped(self, text: str) -> str:
        """Return the text inside definitions of the functions. Each call of `$id` gets its own function, which knows the members in that call."""
        ids = [call for call in self._calls if call.name == ID]
        for call in reversed(ids):
            text = f"{text[: call.start]}{id_name(call)}{text[call.start + len(ID) :]}"
        definitions = [f"{name}:={WRAPPERS[name]};" for name in dict.fromkeys(call.name for call in self._calls) if name in WRAPPERS]
        definitions += [f"{id_name(call)}:=function($e,$m,$d){{$__id({call.start},$e,$m,$exists($d),$d)[0]}};" for call in ids]
        return f"({''.join(definitions)}({text}))" if definitions else text

    def hosts(self) -> dict[str, Any]:
        """Return the parts in Python, by name."""
        return {"__table": self.table, "__date": self.date, "__fail": self.fail, "__id": self.id} if self._calls else {}

    def fail(self, reason: Any = None, *_: Any) -> NoReturn:
        if isinstance(reason, str) and reason in self._literals:
            raise self._failed(reason[:MAX_REASON])
        raise self._failed("$fail was called (its text is computed, so it is not shown: only a text written out is)")

    def date(self, text: Any, picture: Any, milliseconds: Any) -> list[Any]:
        """Return no value for an absent text; otherwise an ISO date, or a time in UTC if the picture has a time."""
        if text is None:
            return []
        if not isinstance(picture, str):
            raise self._failed("$date needs a picture such as '[D]/[M]/[Y]'")
        if (wrong := picture_problem(picture)) is not None:
            raise self._failed(f"$date: {wrong}")
        if milliseconds is None:
            shown = f" '{picture[:MAX_REASON]}'" if picture in self._literals else ""
            raise self._failed(f"$date was given a text that does not fit its picture{shown}")
        try:
            moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
        except (ValueError, OverflowError, OSError):
            raise self._failed("$date was given a year that is not possible") from None
        if moment.year < FIRST_YEAR:
            raise self._failed("$date was given a year of fewer than four digits: the century is ambiguous")
        return [iso_text(moment, has_time(picture))]

    def table(self, name: Any, key: Any, has_default: Any, default: Any) -> list[Any]:
        if key is None:
            return [default] if has_default else []
        text = key_text(key)
        if not isinstance(name, str) or text is None:
            raise self._failed("$table needs the name of a table, and a text or number as key")
        return self._answer("$table", Lookup("table", name, text), has_default, default)

    def id(self, start: Any, entity: Any, members: Any, has_default: Any, default: Any) -> list[Any]:
        """Return the id. If a member in the call has no value, return no value or the default: the other members alone would find another record."""
        written = next(call.members for call in self._calls if call.start == start)
        if not isinstance(entity, str) or not isinstance(members, dict) or not members.keys() <= written:
            raise self._failed("$id needs the name of an entity, and an object with the members of a record")
        if any(value is None or (isinstance(value, str) and not value.strip()) for value in members.values()) or len(members) < len(written):
            return [default] if has_default else []
        if not all(isinstance(value, (str, int, float)) for value in members.values()):
            raise self._failed("$id compares texts, numbers, true and false only; a member has another value")
        return self._answer("$id", Lookup("id", entity, members), has_default, default)

    def _answer(self, function: str, lookup: Lookup, has_default: Any, default: Any) -> list[Any]:
        text = lookup.text
        if PLACEHOLDER in lookup.name or any(PLACEHOLDER in value for value in texts_in(lookup.key)):
            return [PLACEHOLDER]
        answer = self._answers.get(text)
        if answer is None:
            self._lookups[text] = lookup
            return [PLACEHOLDER]
        if answer.found:
            return [answer.value]
        if has_default and not answer.refused:
            return [default]
        raise self._failed(f"{function}: {answer.reason}")

    def _failed(self, reason: str) -> HostFailure:
        self.failure = reason
        return HostFailure()


def id_name(call: FunctionCall) -> str:
    return f"$id__{call.start}"


def texts_in(key: Any) -> list[str]:
    values = key.values() if isinstance(key, dict) else (key,)
    return [value for value in values if isinstance(value, str)]


def has_time(picture: str) -> bool:
    return any(part[:1] in TIME_PARTS for part in picture.replace("[[", "").split("[")[1:])


def iso_text(moment: datetime, with_time: bool) -> str:
    if not with_time:
        return moment.date().isoformat()
    return moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds").replace("+00:00", "Z")
