"""The page of the alerts: those of docker/monitoring/alerts.yaml, with what to do."""

from __future__ import annotations

import re
from pathlib import Path

from ruamel.yaml import YAML

from docs.generator.markdown import code, page, sentence, table

ALERTS = Path(__file__).parents[2] / "docker" / "monitoring" / "alerts.yaml"
LABEL = re.compile(r"\{\{ \$labels\.(\w+) \}\}")
DURATION = re.compile(r"\{\{ \$value \| humanizeDuration \}\}")
VALUE = re.compile(r"\{\{ \$value[^}]*\}\}")
INTRO = """`docker/monitoring/alerts.yaml` holds these rules for Prometheus. `critical` needs a person now, `warning` in the
morning. Names in angle brackets stand for labels."""


def alerts_page() -> str:
    groups = YAML(typ="safe").load(ALERTS.read_text("utf-8"))["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    rows = [(code(rule["alert"]), rule["labels"]["severity"], rule.get("for", "0m"), named(rule, "summary"), named(rule, "description")) for rule in rules]
    return page("Alerts", INTRO, table(("alert", "severity", "after", "when", "what it means and what to do"), rows))


def named(rule: dict[str, dict[str, str]], part: str) -> str:
    return sentence(VALUE.sub("some", DURATION.sub("a time", LABEL.sub(r"<\1>", rule["annotations"][part]))))
