"""What a check of the doctor says: what was tried, what came of it, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How a check ended. `UNKNOWN`: it could not be tried, or cannot be told without writing."""

    GOOD = "good"
    WARNING = "warning"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Check:
    """`subject`: such as `client main`; `tried`: what was done, as a phrase; `result`: what came of it; `fix`: what to do, where it is not good."""

    subject: str
    name: str
    tried: str
    verdict: Verdict
    result: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """Makes the checks of one subject."""

    name: str

    def good(self, name: str, tried: str, result: str) -> Check:
        return Check(self.name, name, tried, Verdict.GOOD, result)

    def warning(self, name: str, tried: str, result: str, fix: str) -> Check:
        return Check(self.name, name, tried, Verdict.WARNING, result, fix)

    def failed(self, name: str, tried: str, result: str, fix: str) -> Check:
        return Check(self.name, name, tried, Verdict.FAILED, result, fix)

    def unknown(self, name: str, tried: str, result: str, fix: str = "") -> Check:
        return Check(self.name, name, tried, Verdict.UNKNOWN, result, fix)


def healthy(checks: Iterable[Check]) -> bool:
    """Whether none failed."""
    return all(check.verdict is not Verdict.FAILED for check in checks)
