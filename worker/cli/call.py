"""`halo-worker call`: calls one method once, as Halo's "Test" button does, and shows the answer and the value of each output variable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import orjson
from rich.text import Text

from worker.app.clients import open_clients
from worker.app.route_evaluator import open_route_evaluator
from worker.cli.console import output, table, write_json
from worker.cli.inputs import read_inputs
from worker.cli.valid_definitions import load_routes_with_warning
from worker.config.automation import Integration, IntegrationAuth, Method
from worker.config.method_caller import Caller
from worker.config.routes import Routes
from worker.config.run_values import Values
from worker.config.variables import VariablePath
from worker.core.clock import SystemClock
from worker.core.durations import format_duration
from worker.core.errors import WorkerError
from worker.core.exact_numbers import dumps
from worker.core.exchange import Exchange, RequestResult
from worker.core.health import Health
from worker.core.ports import Evaluator, Slot
from worker.core.printable import printable
from worker.core.redaction import MASK, is_secret_name, redact_text
from worker.core.sending import send_reserved
from worker.core.suggest import choices
from worker.integrations.caller import open_caller
from worker.integrations.customers import customer_of
from worker.integrations.request_builder import build_call
from worker.logs import configure
from worker.metrics import Metrics
from worker.settings import Settings, load_settings

GOOD, FAILED = 0, 1
PAYLOAD = "request"
"""The name of the input that gives the starting payload of a run."""
SHOWN = 20_000  # characters of an answer; `--json` prints all of it
VALUE_SHOWN = 500


class NoSuchMethod(WorkerError):
    """The route files have no method of this name."""


class NoSuchCustomer(WorkerError):
    """The table of the integration has no row with this key, or the integration has no customers."""


def call(name: str, inputs: Sequence[str], environment: Mapping[str, str], *, customer: str | None, limit: float, as_json: bool) -> int:
    """Call a method. Return 0 after a success, 1 after any other answer or without an answer within `limit` seconds.

    `request:=…` is the starting payload, for methods that use `<<request^…>>`. `customer`: the row; None: the row that the integration's `row` names.
    Raises `ConfigError`, `NoSuchMethod`, `NoSuchCustomer`, `WrongInput`, `ExpressionError`, `CallRefused`.
    """
    settings = load_settings(environment)
    configure("warning")
    routes = load_routes_with_warning(name.rpartition(".")[0], settings, environment)
    configure("warning", hide=routes.secrets.hide)
    integration, method = find_method(routes.integrations, name)
    values = values_of(read_inputs(inputs))
    if customer is not None:
        integration = named_customer(integration, customer)
    integration, line, exchange, tokens = asyncio.run(call_once(routes, settings, integration, method, values, limit))
    method = integration.own(method)
    line = routes.secrets.hide(line)
    known = routes.filled.with_more((*tokens, *given_credentials(integration, method, exchange)))
    shown = {"body": known.hide_in(exchange.body), "headers": known.hide_in(exchange.headers), "cookies": dict.fromkeys(exchange.cookies, MASK)}
    exchange = replace(exchange, reason=known.hide(exchange.reason), **shown)
    if as_json:
        write_json(exchange_object(line, exchange, method, values))
    else:
        show_exchange(line, exchange, method, values)
    return GOOD if exchange.status is not None and HTTPStatus.OK <= exchange.status < HTTPStatus.MULTIPLE_CHOICES else FAILED


def find_method(integrations: Mapping[str, Integration], name: str) -> tuple[Integration, Method]:
    methods = {method.full_name: (integration, method) for integration in integrations.values() for method in integration.methods.values()}
    if name in methods:
        return methods[name]
    raise NoSuchMethod(f"there is no method {name!r}{choices(name, methods, none='the route files have no integrations')}")


def named_customer(integration: Integration, key: str) -> Integration:
    """Raises `NoSuchCustomer`."""
    if integration.customers is None:
        raise NoSuchCustomer(f"--customer is for integrations with `customers`: {integration.name} has none")
    if key not in integration.customers.rows:
        known = list(integration.customers.rows)
        raise NoSuchCustomer(f"the table {integration.customers.table} has no row {key!r}{choices(key, known)}")
    return integration.customers.rows[key]


def values_of(given: Mapping[str, Any]) -> Values:
    """Return the inputs as values. Typed texts are plain, like texts of an expression that ends in `!`."""
    variables = {name: value for name, value in given.items() if name != PAYLOAD}
    return Values(variables, plain=frozenset(name for name, value in variables.items() if isinstance(value, str)), request=given.get(PAYLOAD))


async def call_once(
    routes: Routes, settings: Settings, integration: Integration, method: Method, values: Values, limit: float
) -> tuple[Integration, str, Exchange, tuple[str | None, ...]]:
    """Return the customer's integration, the request line without secrets, the exchange, and the credentials that the call sent."""
    clock, metrics = SystemClock(), Metrics()
    names = [integration.auth.client] if integration.auth.client else []
    async with (
        open_route_evaluator(routes, settings, None, clock) as evaluator,
        open_clients(routes, settings, metrics, Health(), clock, names=names) as clients,
    ):
        one = await customer_of(integration, method, values, evaluator)
        async with open_caller({one.name: one}, clients, evaluator, metrics, clock) as caller:
            line = await request_line(one, one.own(method), values, evaluator)
            return one, line, await in_time(caller, one, method, values, limit), caller.secrets(one.name)


def given_credentials(integration: Integration, method: Method, exchange: Exchange) -> Iterator[str]:
    """Yield the token of a login, and the values of output variables with a secret's name."""
    login = integration.auth.login
    paths = [path for name, path in method.output.items() if is_secret_name(name)]
    if login is not None and login.method == method.name:
        paths.append(login.token)
    found = [path.find(exchange.documents.get(path.root)).value for path in paths]
    yield from (value for value in found if isinstance(value, str))


async def in_time(caller: Caller, integration: Integration, method: Method, values: Values, limit: float) -> Exchange:
    """Return the exchange. After the timeout it says what the call was waiting for."""
    waits_for = f"a token or the request budget ({integration.auth.type})"

    @asynccontextmanager
    async def reserve(*, after: Exchange | None) -> AsyncIterator[Slot | Exchange]:
        nonlocal waits_for
        async with caller.reserve(method, values, after=after) as slot:
            waits_for = f"the answer of {integration.base_url}"
            yield slot

    try:
        async with asyncio.timeout(limit):
            return await send_reserved(reserve)
    except TimeoutError:
        return Exchange(RequestResult.AMBIGUOUS, reason=f"the call did not end within {format_duration(limit)}: it waited for {waits_for}", duration=limit)


async def request_line(integration: Integration, method: Method, values: Values, evaluator: Evaluator) -> str:
    """Return the request line and the kind of authorization, without secrets."""
    url = (await build_call(integration, method, values, evaluator)).url
    whom = f" for customer {integration.customer}" if integration.customer else ""
    return f"{method.verb} {redact_text(str(url))}{authorization(integration.auth)}{whom}"


def authorization(auth: IntegrationAuth) -> str:
    match auth.type:
        case "none":
            return ""
        case "api_key":
            return f" ({auth.place} {auth.name}={MASK})"
        case "halo":
            return f" (token of client {auth.client})"
        case _:
            return f" ({auth.type} {MASK})"


def show_exchange(line: str, exchange: Exchange, method: Method, values: Values) -> None:
    console = output()
    console.print(line, soft_wrap=True)
    style = "green" if exchange.ok else "red"
    console.print(
        Text(
            f"{exchange.status or 'no answer'} in {milliseconds(exchange)} ms{f': {printable(exchange.reason, lines=False)}' if exchange.reason else ''}",
            style=style,
        ),
        soft_wrap=True,
    )
    if exchange.body is not None:
        console.print(Text(pretty(exchange.body, SHOWN)), soft_wrap=True)
    if not method.output:
        return
    shown = table(console, "variable", "expression", "found")
    for name, path in method.output.items():
        missing = path.missing(root_of(path, exchange, values))
        found = Text(f"missing: there is no {missing}", style="red") if missing else Text(pretty(value_of(path, exchange, values), VALUE_SHOWN))
        shown.add_row(Text(name), Text(str(path)), found)
    console.print(shown)


def exchange_object(line: str, exchange: Exchange, method: Method, values: Values) -> dict[str, Any]:
    variables = {
        name: {"expression": str(path), "value": value_of(path, exchange, values), "missing": path.missing(root_of(path, exchange, values))}
        for name, path in method.output.items()
    }
    answer = {"status": exchange.status, "fate": exchange.result.value, "reason": exchange.reason, "ms": milliseconds(exchange), "response": exchange.body}
    return {"request": line} | answer | {"variables": variables}


def root_of(path: VariablePath, exchange: Exchange, values: Values) -> Any:
    return values.request if path.root == PAYLOAD else exchange.documents.get(path.root)


def value_of(path: VariablePath, exchange: Exchange, values: Values) -> Any:
    return path.find(root_of(path, exchange, values)).value


def milliseconds(exchange: Exchange) -> int:
    return round(exchange.duration * 1000)


def pretty(value: Any, limit: int) -> str:
    """Return indented JSON, or a text as it is, without characters that move the terminal's cursor or change its colours."""
    text = value if isinstance(value, str) else dumps(value, orjson.OPT_INDENT_2).decode()
    cut = text[:limit] + (f"\n… and {len(text) - limit:,} characters more (--json prints all)" if len(text) > limit else "")
    return printable(cut)


def one_line(text: str, limit: int) -> str:
    """Return a text as one line, so that it cannot look like several lines."""
    return printable(pretty(" ".join(text.splitlines()), limit), lines=False)
