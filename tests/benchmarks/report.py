"""Speeds and ratios of one run: the median of each case, and whether it is good enough."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Speed:
    """Things per second of wall time and of processor time. Other programs disturb processor time less."""

    wall: float
    cpu: float

    def __str__(self) -> str:
        return f"{self.wall:,.0f}/s, {self.cpu:,.0f} per second of processor time"


class Stopwatch:
    """Runs from its creation; processor time is that of this process."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def speed(self, count: int) -> Speed:
        return Speed(count / (time.perf_counter() - self._wall), count / (time.process_time() - self._cpu))


@dataclass
class Report:
    """`least`: below it the benchmark fails; `aim`: what we want."""

    title: str
    least: float
    aim: float
    cases: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def add(self, case: str, ours: float, bare: float) -> None:
        self.cases.setdefault(case, []).append((ours, bare))
        print(f"{self.title} | {case}: {ours:,.0f}/s of {bare:,.0f}/s = {ours / bare:.2f}", flush=True)

    def show(self) -> bool:
        good = True
        for case, pairs in self.cases.items():
            ratio = statistics.median(ours / bare for ours, bare in pairs)
            good &= ratio >= self.least
            print(f"{self.title} | {case}: median {ratio:.2f} (aim {self.aim}, least {self.least})", flush=True)
        return good
