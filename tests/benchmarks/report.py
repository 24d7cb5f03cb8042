"""Ratios of one run: the median of each case, and whether it is good enough."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field


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
