"""Asks for known vulnerabilities of the locked packages, and says so when no service answered: pip-audit itself succeeds when it could look nothing up.

    .venv-audit/bin/python .ci/audit.py [--must] LOCK_FILE...

Exit code 0: all packages were looked up, and every vulnerability is accepted in audit-accepted.toml. Also 0, with a warning, when no service answers, unless
`--must` is given. 1: vulnerabilities, packages that could not be looked up, or an acceptance that has expired or fits nothing. 2: the audit cannot be made.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

SERVICES = ("pypi", "osv")
ACCEPTED = Path("audit-accepted.toml")
UNREACHABLE = re.compile(r"Connection|Timeout|HTTPError|SSLError|ProxyError|ServiceError")  # how the failures of a service and of the way to it are called
MEMBERS = {"id", "package", "reason", "until"}


@dataclass(frozen=True)
class Found:
    """One vulnerability of one locked package, under all of its names."""

    package: str
    version: str
    ids: tuple[str, ...]
    fixed_in: tuple[str, ...]

    def __str__(self) -> str:
        remedy = f"fixed in {', '.join(self.fixed_in)}: run `make lock`" if self.fixed_in else "no version fixes it yet"
        return f"{self.package} {self.version}: {', '.join(self.ids)} ({remedy})"


@dataclass(frozen=True)
class Acceptance:
    """A reviewed vulnerability: why it does no harm here, and when to review it again."""

    id: str
    package: str
    reason: str
    until: date

    def fits(self, found: Found) -> bool:
        return self.id in found.ids and self.package == found.package


@dataclass(frozen=True)
class Answer:
    """What a service told. `unknown`: packages that it did not know; `failure`: why it told nothing at all."""

    found: tuple[Found, ...] = ()
    looked_up: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()
    failure: str = ""

    def __add__(self, other: Answer) -> Answer:
        found = tuple(dict.fromkeys(self.found + other.found))
        return Answer(found, self.looked_up | other.looked_up, self.unknown | other.unknown, self.failure or other.failure)


class Failed(Exception):
    """The audit cannot be made, whatever a service would answer; the text is for the person who started it."""


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Known vulnerabilities of locked packages.")
    parser.add_argument("locks", nargs="+", type=Path, metavar="LOCK_FILE")
    parser.add_argument("--must", action="store_true", help="fail when no service answers")
    parser.add_argument("--pip-audit", default=str(Path(sys.executable).with_name("pip-audit")), metavar="COMMAND")
    given = parser.parse_args(arguments)
    try:
        accepted = acceptances(ACCEPTED)
        answers = {}
        for service in SERVICES:
            answers[service] = ask(given.pip_audit, service, given.locks)
            if answers[service].looked_up:
                return judge(answers[service], accepted, datetime.now(UTC).date())
    except Failed as failed:
        print(f"audit: {failed}", file=sys.stderr)
        return 2
    told = "; ".join(f"{service}: {answer.failure}" for service, answer in answers.items())
    print(f"audit: NOT DONE. No service told of any package whether it has known vulnerabilities ({told})", file=sys.stderr)
    return 1 if given.must else 0


def ask(command: str, service: str, locks: Sequence[Path]) -> Answer:
    """One lock file after the other: pip-audit takes no two that have a package in common. A service that fails once is not asked again. Raises `Failed`."""
    whole = Answer()
    for lock in locks:
        whole += ask_of(command, service, lock)
        if whole.failure:
            return Answer(failure=whole.failure)
    return whole if whole.looked_up else Answer(failure=f"it knows none of {len(whole.unknown)} packages")


def ask_of(command: str, service: str, lock: Path) -> Answer:
    """Raises `Failed`."""
    if not lock.is_file():
        raise Failed(f"there is no lock file {lock}")
    words = [command, "--vulnerability-service", service, "--require-hashes", "--disable-pip", "--format", "json", "--progress-spinner", "off"]
    try:
        done = subprocess.run([*words, "--requirement", str(lock)], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise Failed(f"{command} cannot be started: {error.strerror}") from None
    try:
        return read(json.loads(done.stdout)["dependencies"])
    except (ValueError, KeyError, TypeError):
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1][:300]
    if UNREACHABLE.search(last):
        return Answer(failure=last)
    raise Failed(f"pip-audit ended with {done.returncode} over {lock}: {last}")


def read(dependencies: Sequence[Any]) -> Answer:
    known = [each for each in dependencies if "skip_reason" not in each]
    found = tuple(
        Found(each["name"], each["version"], tuple(dict.fromkeys([flaw["id"], *flaw["aliases"]])), tuple(flaw["fix_versions"]))
        for each in known
        for flaw in each["vulns"]
    )
    unknown = frozenset(each["name"] for each in dependencies if "skip_reason" in each)
    return Answer(found, frozenset(each["name"] for each in known), unknown)


def judge(answer: Answer, accepted: Sequence[Acceptance], today: date) -> int:
    bad = [f"not accepted: {found}" for found in answer.found if not any(each.fits(found) for each in accepted)]
    bad += [f"could not be looked up: {name}" for name in sorted(answer.unknown)]
    for each in accepted:
        if not any(each.fits(found) for found in answer.found):
            bad.append(f"{ACCEPTED} accepts {each.id} of {each.package}, which is not there any more: take it out")
        elif each.until < today:
            bad.append(f"{ACCEPTED} accepts {each.id} of {each.package} until {each.until}: look again")
    for line in bad:
        print(f"audit: {line}", file=sys.stderr)
    if bad:
        print(f"audit: to accept a vulnerability, write it into {ACCEPTED} with a reason and a date", file=sys.stderr)
        return 1
    flaws = f"{len(answer.found)} known vulnerabilities, all of them accepted" if answer.found else "no known vulnerability"
    print(f"audit: {len(answer.looked_up)} packages, {flaws}")
    return 0


def acceptances(path: Path) -> list[Acceptance]:
    """Raises `Failed`."""
    try:
        entries = tomllib.loads(path.read_text("utf-8")).get("accepted", []) if path.is_file() else []
    except tomllib.TOMLDecodeError as error:
        raise Failed(f"{path} is no TOML: {error}") from None
    for number, entry in enumerate(entries, start=1):
        if set(entry) != MEMBERS or not isinstance(entry["until"], date) or not str(entry["reason"]).strip():
            raise Failed(f"{path}, entry {number}: it needs id, package, reason (a sentence) and until (a date such as 2026-12-31), and nothing else")
    return [Acceptance(**entry) for entry in entries]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
