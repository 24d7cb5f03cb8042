"""The page of the metrics: every metric with its kind, its labels and its meaning."""

from __future__ import annotations

from docs.generator.markdown import code, codes, page, sentence, table
from worker.metrics import Metrics

INTRO = """The admin port serves these at `/metrics`. Labels hold names from the configuration and fixed words, never data.
A counter appears with its first event. [Alerts](alerts.md) lists the alerts that use them."""


def metrics_page() -> str:
    metrics = [value for value in vars(Metrics()).values() if hasattr(value, "_labelnames")]
    rows = sorted((name_of(metric), metric._type, codes(metric._labelnames), sentence(metric._documentation)) for metric in metrics)
    return page("Metrics", INTRO, table(("metric", "kind", "labels", "meaning"), ((code(name), *rest) for name, *rest in rows)))


def name_of(metric: object) -> str:
    return f"{metric._name}_total" if metric._type == "counter" else metric._name
