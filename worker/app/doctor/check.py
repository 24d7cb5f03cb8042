"""The result of one check of the doctor: what it tried, what happened, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class CheckVerdict(StrEnum):
    """The result of a check. `UNKNOWN`: the check could not run, or would need a write."""

    GOOD = "good"
    WARNING = "warning"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Check:
    """One check. `subject`: such as `client main`; `tried`: the attempt, as a phrase; `result`: what happened; `fix`: the remedy, if one is needed."""

    subject: str
    name: str
    tried: str
    verdict: CheckVerdict
    result: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class CheckSubject:
    """Makes the checks of one subject."""

    name: str

    def good(self, name: str, tried: str, result: str) -> Check:
        return Check(self.name, name, tried, CheckVerdict.GOOD, result)

    def warning(self, name: str, tried: str, result: str, fix: str) -> Check:
        return Check(self.name, name, tried, CheckVerdict.WARNING, result, fix)

    def failed(self, name: str, tried: str, result: str, fix: str) -> Check:
        return Check(self.name, name, tried, CheckVerdict.FAILED, result, fix)

    def unknown(self, name: str, tried: str, result: str, fix: str = "") -> Check:
        return Check(self.name, name, tried, CheckVerdict.UNKNOWN, result, fix)


def healthy(checks: Iterable[Check]) -> bool:
    """Whether no check failed."""
    return all(check.verdict is not CheckVerdict.FAILED for check in checks)
