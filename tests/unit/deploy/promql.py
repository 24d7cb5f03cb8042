"""What Prometheus can know of the worker, and what an expression asks for."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import promql_parser
from promql_parser import AggregateExpr, BinaryExpr, Call, MatchOp, MatrixSelector, VectorSelector

from worker.core.exchange import RequestResult
from worker.core.outcome import DeadClass
from worker.flows.consuming.report import SUCCESSES
from worker.halo.grants import TokenErrorKind
from worker.metrics import Metrics

OURS = "halo_worker_"
ADDED_BY_SCRAPING = {"instance", "job"}
OVER_TIME = {"rate", "irate", "increase"}
RESULTS = {fate.value for fate in RequestResult}
VALUES = {
    ("halo_worker_messages_total", "result"): set(SUCCESSES.values()) | {"retried"} | {f"dead_{dead.value}" for dead in DeadClass},
    ("halo_worker_polls_total", "result"): {"complete", "incomplete", "failed"},
    ("halo_worker_deliveries_total", "result"): {"accepted", "known", "skipped", "parked", "held"},
    ("halo_worker_refused_state_total", "kind"): {"baton", "claim", "lane", "notice", "pauses", "permit"},
    ("halo_worker_waiting", "cause"): {"budget", "token", "halo", "claim", "memory", "retry"},
    ("halo_worker_token_calls_total", "result"): {trouble.value for trouble in TokenErrorKind} | {"ok"},
    ("halo_worker_halo_requests_total", "fate"): RESULTS,
    ("halo_worker_integration_requests_total", "fate"): RESULTS,
    ("halo_worker_refused_calls_total", "status"): {"400", "401", "408", "413", "415", "503"},
}
"""The values of labels that are fixed words; names from the configuration are free."""


@dataclass(frozen=True)
class Exported:
    """A time series of the worker as `/metrics` names it."""

    name: str
    labels: frozenset[str]
    counts: bool
    """Whether it only grows, so that a rate of it means something."""


def exported() -> dict[str, Exported]:
    found = {}
    for collector in vars(Metrics()).values():
        for family in collector.describe() if hasattr(collector, "_labelnames") else ():
            labels = frozenset(collector._labelnames)
            if family.type == "counter":
                found[family.name] = [Exported(f"{family.name}_total", labels, counts=True)]
            elif family.type == "histogram":
                found[family.name] = [
                    Exported(family.name + end, labels | more, counts=True) for end, more in (("_bucket", {"le"}), ("_sum", set()), ("_count", set()))
                ]
            else:
                found[family.name] = [Exported(family.name, labels, counts=False)]
    return {series.name: series for family in found.values() for series in family}


def families() -> dict[str, set[str]]:
    """Every metric with the names of its series."""
    names = set(exported())
    return {
        family.name: {name for name in names if re.fullmatch(rf"{family.name}(_total|_bucket|_sum|_count)?", name)} for family in Metrics().registry.collect()
    }


def parsed(expression: str) -> promql_parser.Expr:
    """With Grafana's own variables filled in."""
    return promql_parser.parse(expression.replace("$__rate_interval", "1m"))


def nodes(expression: str) -> list[promql_parser.Expr]:
    found: list[promql_parser.Expr] = []
    promql_parser.walk(parsed(expression), pre_visit=found.append)
    return found


def selectors(expression: str) -> list[VectorSelector]:
    return [node for node in nodes(expression) if isinstance(node, VectorSelector)]


def mistakes(expression: str) -> Iterator[str]:
    """What an expression asks of the worker that the worker does not export."""
    there = exported()
    for selector in selectors(expression):
        if selector.name in there:
            yield from unknown_matchers(there[selector.name], selector)
        elif (selector.name or "").startswith(OURS):
            yield f"there is no series `{selector.name}`; worker/metrics.py makes {', '.join(sorted(there))}"
    yield from unknown_labels(expression)
    yield from rates_of_gauges(expression, there)


def unknown_matchers(series: Exported, selector: VectorSelector) -> Iterator[str]:
    for matcher in selector.matchers.matchers:
        if matcher.name not in series.labels | ADDED_BY_SCRAPING:
            yield f"`{series.name}` has no label `{matcher.name}`; it has {', '.join(sorted(series.labels)) or 'none'}"
        elif "$" not in matcher.value:
            yield from unknown_value(series.name, matcher)


def rates_of_gauges(expression: str, there: Mapping[str, Exported]) -> Iterator[str]:
    for node in nodes(expression):
        if isinstance(node, Call) and node.func.name in OVER_TIME:
            for name in (argument.vector_selector.name for argument in node.args if isinstance(argument, MatrixSelector)):
                if name in there and not there[name].counts:
                    yield f"`{node.func.name}` of `{name}`, which is a gauge"


def unknown_value(name, matcher) -> Iterator[str]:
    known = VALUES.get((name, matcher.name))
    if known is None:
        yield f"`{name}` is asked for a certain `{matcher.name}`: add its values to VALUES in {__name__}"
    elif matcher.op == MatchOp.Re or matcher.op == MatchOp.NotRe:  # noqa: PLR1714 - they cannot be hashed
        for word in matcher.value.split("|"):
            if not any(re.fullmatch(word, value) for value in known):
                yield f"`{name}` never has the {matcher.name} `{word}`; it has {', '.join(sorted(known))}"
    elif matcher.value not in known:
        yield f"`{name}` never has the {matcher.name} `{matcher.value}`; it has {', '.join(sorted(known))}"


def unknown_labels(expression: str) -> Iterator[str]:
    """Labels that are grouped by or joined on, and that nothing inside has."""
    for node in nodes(expression):
        modifier = getattr(node, "modifier", None)
        matching = modifier.matching if isinstance(node, BinaryExpr) and modifier is not None else modifier if isinstance(node, AggregateExpr) else None
        if matching is None:
            continue
        inside = labels_of(str(node))
        if inside is not None and (strange := set(matching.labels) - inside):
            yield f"`{node}` groups by {', '.join(sorted(strange))}; what is inside has {', '.join(sorted(inside))}"


def labels_of(expression: str) -> set[str] | None:
    """Every label that the series of an expression may have; None when there are others than ours among them."""
    there = exported()
    names = [selector.name for selector in selectors(expression)]
    if not all(name in there for name in names):
        return None
    return set().union(*(there[name].labels for name in names)) | ADDED_BY_SCRAPING


def result_labels(expression: str) -> set[str] | None:
    """The labels of what an expression yields: those that the outermost groupings keep, else all; None when that cannot be told."""
    groupings = [node for node in nodes(expression) if isinstance(node, AggregateExpr)]
    if groupings:
        return set().union(*(set(node.modifier.labels) if node.modifier is not None else set() for node in groupings))
    return labels_of(expression)
