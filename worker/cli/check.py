"""Checks the route files of a directory without connecting to anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.text import Text

from worker.cli.check_formats import Format, problem_object, write_github, write_sarif
from worker.cli.console import output, table, with_noun, write_json
from worker.cli.problems import print_problems
from worker.config.automation import Integration, Runbook, Webhook
from worker.config.events import event_name
from worker.config.loader import load_routes
from worker.config.routes import Publisher, Routes, Subscriber
from worker.core.durations import format_duration
from worker.core.errors import ConfigError, Problem

GOOD = 0
WRONG = 2
HOW = {"by_date": "changes by date", "by_content": "changes by content", "all": "every record"}


def check(directory: Path, environment: Mapping[str, str], secrets: Path, *, as_json: bool = False, form: Format | None = None, strict: bool = False) -> int:
    """Check the route files, and return the exit code: 2 after a problem, and with `strict` also after a warning.

    As text, problems and warnings go to standard error and the table of routes to standard output. Every other form goes to standard output as a whole.
    """
    form = form or (Format.JSON if as_json else Format.TEXT)
    problems: Sequence[Problem] = ()
    routes: Routes | None = None
    try:
        routes = load_routes(directory, environment, secrets)
        warnings: Sequence[Problem] = routes.warnings
    except ConfigError as error:
        problems, warnings = error.problems, error.warnings
    failed = bool(problems) or (strict and bool(warnings))
    match form:
        case Format.GITHUB:
            write_github(problems, warnings, directory)
        case Format.SARIF:
            write_sarif(problems, warnings, directory)
        case Format.JSON:
            write_json(result_object(routes, problems, warnings, good=not failed))
        case Format.TEXT:
            print_problems(problems, warnings)
            if routes is not None:
                print_routes(routes, rows_of(routes), good=not failed)
    return WRONG if failed else GOOD


def result_object(routes: Routes | None, problems: Sequence[Problem], warnings: Sequence[Problem], *, good: bool) -> dict[str, object]:
    """Return the result for programs."""
    if routes is None or not good:
        return {"ok": False, "problems": [*map(problem_object, problems)], "warnings": [*map(problem_object, warnings)]}
    rows = [dict(zip(("route", "kind", "client", "does"), row, strict=True)) for row in rows_of(routes)]
    return {"ok": True, "clients": list(routes.clients), "routes": rows, "warnings": [*map(problem_object, warnings)]}


def print_routes(routes: Routes, rows: Sequence[tuple[str, ...]], *, good: bool = True) -> None:
    console = output()
    shown = table(console, "route", "kind", "client", "does")
    for row in rows:
        shown.add_row(*row)
    console.print(shown)
    always = [(len(routes.clients), "client"), (len(routes.subscribers), "subscriber"), (len(routes.publishers), "publisher")]
    more = [(len(routes.integrations), "integration"), (len(routes.runbooks), "runbook"), (len(routes.webhooks), "webhook"), (len(routes.tables), "table")]
    summary = ", ".join(with_noun(count, name) for count, name in (*always, *(pair for pair in more if pair[0])))
    if good:
        console.print(Text(f"good: {summary}", style="green"))


def rows_of(routes: Routes) -> list[tuple[str, ...]]:
    """Return name, kind, client and effect of every definition except clients."""
    return [
        *map(subscriber_row, routes.subscribers.values()),
        *map(publisher_row, routes.publishers.values()),
        *map(integration_row, routes.integrations.values()),
        *(runbook_row(runbook, routes) for runbook in routes.runbooks.values()),
        *map(webhook_row, routes.webhooks.values()),
    ]


def subscriber_row(route: Subscriber) -> tuple[str, ...]:
    when = f"every {format_duration(route.every)}" if route.every else f"at {route.cron}"
    target = f"exchange {route.exchange}" + (f", queue {route.queue}" if route.queue else "")
    return (route.name, "subscriber", route.client, f"{read_summary(route)} {when}, {HOW[route.changes]} → {target}")


def read_summary(route: Subscriber) -> str:
    """Return what a subscriber reads, and the requests that it needs in addition to its list."""
    if route.report is not None:
        return "a report (one request a poll)"
    below = f" of each changed {route.for_each.operation.entity} record (one request each)" if route.for_each is not None else ""
    lists = f" with {', '.join(route.include)} (one request a changed record and list)" if route.include else ""
    return f"GET {route.operation.entity}{below}{lists}"


def publisher_row(route: Publisher) -> tuple[str, ...]:
    look = ""
    if route.find:
        look = ", looks before each create" if route.find.use == "always" else ", looks before it repeats"
    turns = (", in order by key" if route.order_by else "") + (", in turns by customer" if route.fair_by else "")
    does = f"queue {route.queue} → {route.operation.method} {route.operation.entity}, {route.concurrency} at a time{look}{turns}"
    return (route.name, "publisher", route.client, does)


def integration_row(integration: Integration) -> tuple[str, ...]:
    methods, customers = with_noun(len(integration.methods), "method"), integration.customers
    where = integration.base_url if customers is None else f"{with_noun(len(customers.rows), 'customer')} (table {customers.table})"
    return (integration.name, "integration", integration.auth.client or "", f"{methods} of {where}: {', '.join(integration.methods)}")


def runbook_row(runbook: Runbook, routes: Routes) -> tuple[str, ...]:
    started = [f"queue {runbook.queue}"] if runbook.queue else []
    started += [f"POST /runbooks/{runbook.name}"] if runbook.endpoint else []
    started += [f"schedule {runbook.schedule}"] if runbook.schedule else []
    started += [f"webhook {webhook.name}" for webhook in routes.webhooks.values() if webhook.runbook == runbook.name]
    above = [other.name for other in routes.runbooks.values() if any(step.start and step.start.runbook == runbook.name for step in other.steps.values())]
    started += [f"runbook {name}" for name in above]
    clients = dict.fromkeys(step.client for step in runbook.steps.values() if step.client)
    return (runbook.name, "runbook", ", ".join(clients), f"{', '.join(started)} → {with_noun(len(runbook.steps), 'step')}, {runbook.concurrency} at a time")


def webhook_row(webhook: Webhook) -> tuple[str, ...]:
    does = [f"runbook {webhook.runbook}"] if webhook.runbook else []
    does += [f"exchange {webhook.exchange}"] if webhook.exchange else []
    does += [f"wakes {webhook.wake.subscriber}"] if webhook.wake else []
    events = ", ".join(map(event_name, webhook.events)) or "any event"
    return (webhook.name, "webhook", webhook.client, f"{events} at /webhooks/{webhook.name} → {', '.join(does)}")
