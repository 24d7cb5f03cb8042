"""Documents of runbooks and integrations as Halo makes them, written from the facts: what an import takes, and hostile ones that it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import NAMESPACE_URL, uuid5

API = "https://api.vendor.example/v1"
"""The base URL of the integration; a comparison puts the address of its own API there."""
DONE, FAIL = 90, 91
EDGES = {6: 17, 8: 18, 12: 22, 13: 23, 21: 32}
NAMES = {
    12: ("Condition met", "Condition not met"),
    17: ("Successful Response (200 - 299)", "Unsuccessful Response"),
    18: ("Successful", "Unsuccessful"),
    22: ("Has elements", "Has no elements"),
    23: ("Iteration finished", "Next iteration"),
    32: ("Sleep Finished", "Sleep Finished"),
}
Row = dict[str, Any]


def guid(name: str) -> str:
    return str(uuid5(NAMESPACE_URL, name))


def edge(kind: int, start: int, end: int, result: int) -> Row:
    """With the members that Halo adds and that mean nothing elsewhere."""
    return {
        "id": start * 10 + result,
        "action_type": kind,
        "action_id": -kind,
        "action_name": NAMES[kind][1 - result],
        "start_step": start,
        "end_step": end,
        "seq": 2 - result,
        "use_work_hours": True,
        "approval_result": result,
        "chat_selection_order": 1,
    }


def step(number: int, name: str, auto: int, yes: int | None, no: int | None = None, **more: Any) -> Row:
    ways = [edge(EDGES[auto], number, end, result) for end, result in ((yes, 1), (no, 0)) if end is not None] if auto in EDGES else []
    common = {"fdid": 7000 + number, "isstart": number == 1, "isend": False, "islaststep": False, "allow_all_statuses": True, "stage_number": 0}
    return {"step_id": number, "name": name, "steptype": 2, "auto_action": auto, "actions": ways} | common | more


def call(number: int, name: str, method: int, yes: int | None, no: int | None = None, **more: Any) -> Row:
    return step(number, name, 6, yes, no, auto_action_type=method, **more)


def act(number: int, name: str, kind: int, message: str, yes: int | None, no: int | None = None, **more: Any) -> Row:
    return step(number, name, 8, yes, no, auto_action_type=kind, message=message, **more)


def sleep(number: int, name: str, seconds: int, yes: int) -> Row:
    return step(number, name, 21, yes, duration=seconds)


def condition(number: int, name: str, criteria: list[Row], yes: int, no: int | None = None) -> Row:
    made = step(number, name, 6, None) | {"steptype": 1, "step_conditions": criteria}
    return made | {"actions": [edge(12, number, end, result) for end, result in ((yes, 1), (no, 0)) if end is not None]}


def begin(number: int, name: str, items: str, yes: int, no: int, outputs: list[Row], **more: Any) -> Row:
    return step(number, name, 12, yes, no, message=items, output_variables=outputs, iteration_type=0, iteration_batch_size=0, **more)


def following(number: int, name: str, items: str, after: int) -> Row:
    return step(number, name, 13, after, -98, message=items)


def chain(number: int, name: str, runbook: str, **more: Any) -> Row:
    return step(number, name, 24, None, start_new_runbook_id=guid(runbook), **more)


def ends() -> list[Row]:
    done = {"step_id": DONE, "name": "Success", "steptype": 3, "isstart": False, "isend": True, "islaststep": True, "actions": []}
    return [done, {"step_id": FAIL, "name": "Fail", "steptype": 3, "auto_action": 1, "isstart": False, "isend": True, "actions": []}]


def variable(name: str, kind: int, value: Any = None, *, table: str = "runbookvariable") -> Row:
    """A criterion."""
    row: Row = {"id": 5, "tablename": table, "fieldname": f"<<{name}>>" if table == "runbookvariable" else name, "type": kind}
    if isinstance(value, int):
        return row | {"value_type": "int", "value_int": value}
    return row if value is None else row | {"value_type": "string", "value_string": value}


def output(key: str, value: str, data_type: int = 2) -> Row:
    return {"id": 1, "type": 4, "data_type": data_type, "key": key, "value": value}


def declare(key: str, value: str = "", data_type: int = 2) -> Row:
    return {"id": 3, "key": key, "value": value, "data_type": data_type, "description": f"about {key}"}


def runbook(name: str, steps: list[Row], inputs: list[Row] | None = None, **more: Any) -> Row:
    """With members of Halo that no route file has."""
    common = {"id": guid(name), "name": name, "type": 1, "active": True, "runbook_start_type": 0, "inbound_authentication_type": 0, "group_id": -1}
    drawing = {"flow_chart_json": '{"x": 1}', "log_retention_policy_days": 30, "note": "drawn by hand"}
    return common | drawing | {"input_variables": inputs or [], "steps": steps} | more


def method(number: int, name: str, verb: int, path: str, **more: Any) -> Row:
    common = {"integration_id": 5, "authorizationtype": -1, "requesttype": 0, "responsetype": 0, "log_retention_policy_days": 7}
    return {"id": number, "name": name, "method": verb, "path": path, "uri_params": [], "headers": [], "output_variables": []} | common | more


def vendor(**more: Any) -> Row:
    """The integration that most documents call."""
    methods = [
        method(
            11,
            "List orders",
            0,
            "/orders?state=open",
            output_variables=[output("Orders", "<<response^items>>", 1), output("First", "<<response^items[0]^id!>>")],
        ),
        method(12, "Book order", 1, "/orders/{OrderId}/book", requestbody='{"order": <<OrderId>>, "note": "for <<Customer>>"}'),
        method(13, "Read order", 0, "/orders/{order}", uri_params=[{"key": "order", "value": "<<OrderId>>"}, {"key": "with", "value": "lines"}]),
        method(14, "Replace order", 2, "/orders/<<OrderId>>", requestbody='{"state": "<<Customer>>"}'),
        method(15, "Remove order", 3, "/orders/<<OrderId>>"),
        method(16, "Change order", 4, "/orders/<<OrderId>>", requestbody="[<<OrderId>>]"),
        method(
            17, "Ping", 1, "/ping", requestbody='{"ping": true}', output_variables=[output("State", "<<response^state!>>"), output("Answer", "<<response>>", 0)]
        ),
        method(18, "Tell", 1, "/tell/{Mark}"),
    ]
    common = {"id": 5, "name": "Vendor API", "authorizationtype": 2, "headerprefix": "Bearer", "resourcebaseurl": API, "module_id": 0, "icon": "fas fa-cube"}
    return common | {"methods": methods} | more


@dataclass(frozen=True)
class Case:
    """Documents, and what becomes of them. `payloads`: one run each. `refused`: parts of (place, reason) of a refusal. `answers`: of the other API, by path.

    `known`: secrets to fill in, by variable.
    """

    runbooks: list[Row]
    integrations: list[Row] = field(default_factory=lambda: [vendor()])
    payloads: list[Any] = field(default_factory=lambda: [{"customer": "Ada", "order": 4711}])
    refused: tuple[str, str] | None = None
    answers: Callable[[str, int], tuple[int, Any]] | None = None
    known: Mapping[str, str] = field(default_factory=dict)


CUSTOMER = [declare("Customer", "<<request^customer!>>"), declare("OrderId", "<<request^order>>", 3)]
TICKET = {"ticket": {"id": 5, "summary": "Printer", "status_id": 1, "client_id": 2}}


def marks(rows: list[tuple[str, Row]]) -> list[Row]:
    """A chain of conditions; where one holds, the run tells its mark before it goes on."""
    steps: list[Row] = []
    for index, (mark, criterion) in enumerate(rows):
        number = 1 + index * 2
        following_step = number + 2 if index + 1 < len(rows) else DONE
        steps.append(condition(number, f"Is {mark}?", [criterion], number + 1, following_step))
        told = 100 + index
        steps.append(call(number + 1, f"Tell {mark}", told, following_step, FAIL))
    return [*steps, *ends()]


def marking(rows: list[tuple[str, Row]]) -> Row:
    return vendor(methods=[method(100 + index, f"Tell {mark}", 1, f"/marks/{mark}") for index, (mark, _) in enumerate(rows)])


COMPARISONS = [
    *((f"v{kind}", variable("Value", kind, "7")) for kind in (0, 1, 2, 3)),
    *((f"o{kind}", variable("Value", kind, 7)) for kind in (5, 6, 7, 8)),
    *((f"s{kind}", variable("Value", kind, "7, x ,true")) for kind in (23, 24)),
    *((f"h{kind}", variable("Value", kind)) for kind in (29, 30)),
]
VALUES = [{"v": value} for value in (7, "7", 8, 6.5, "70", "x", "", None, True, [1] * 8, [], "a 7 b")] + [{}]


def sound() -> dict[str, Case]:
    """What an import takes."""
    loop = ends()
    orders = [{"id": 1, "open": True, "lines": [{"no": 1}, {"no": 2}]}, {"id": 2, "open": False, "lines": []}, {"id": 3, "open": True, "lines": [{"no": 9}]}]
    two_lists = runbook(
        "Lines of orders",
        [
            call(1, "Orders", 11, 2, FAIL),
            begin(2, "Each order", "<<Orders>>", 3, 8, [output("OrderId", "<<response^id>>", 3), output("Lines", "<<response^lines>>", 1)]),
            begin(3, "Each line", "<<Lines>>", 4, 5, [output("Mark", "<<response^no>>", 3)]),
            call(4, "Tell line", 18, 6, FAIL),
            call(5, "Read the empty order", 13, 7, FAIL),
            following(6, "Next line", "<<Lines>>", 7),
            following(7, "Next order", "<<Orders>>", 8),
            call(8, "After all", 17, DONE, FAIL),
            *loop,
        ],
        CUSTOMER,
    )
    vendor_orders = lambda path, _: (200, {"items": orders}) if path.endswith("/orders") else (200, {"state": "ok"})  # noqa: E731
    login = vendor(
        id=6,
        name="Shop",
        authorizationtype=0,
        methods=[
            method(
                21,
                "Log in",
                1,
                "/login",
                integration_id=6,
                requestbody='{"user": "app", "password": "S3cret/Pass-word"}',
                output_variables=[output("Token", "<<response^token!>>")],
            ),
            method(
                22,
                "Orders",
                0,
                "/orders",
                integration_id=6,
                headers=[{"key": "Authorization", "value": "Bearer <<Token>>"}],
                output_variables=[output("Count", "<<response^count>>", 3)],
            ),
            method(
                23,
                "Form",
                1,
                "/form",
                integration_id=6,
                headers=[{"key": "Content-Type", "value": "application/x-www-form-urlencoded"}],
                requestbody="count=<<Count>>&kind=a+b",
            ),
        ],
    )
    odd = vendor(
        methods=[
            method(
                31,
                "Odd",
                1,
                "/odd/{My Var}",
                requestbody='{"text": "{{x}} ${HOME} <<My Var>> ü \\" \\\\", "n": <<Number.of-it>>}',
                headers=[{"key": "X-Note", "value": "100% {{y}} ${Z}"}],
            )
        ]
    )
    return {
        "one call": Case([runbook("One call", [call(1, "Ping", 17, DONE, FAIL), *ends()])]),
        "a note on the ticket of the event": Case(
            [
                runbook(
                    "Note",
                    [
                        call(1, "Ask", 17, 2, FAIL),
                        act(
                            2,
                            "Add note",
                            3,
                            '{"ticket_id": <<ticket^id>>, "outcome": "Internal Note", "hiddenfromuser": true, "note_html": "<p><<State>> for <<ticket^summary!>></p>"}',
                            DONE,
                            FAIL,
                        ),
                        *ends(),
                    ],
                )
            ],
            payloads=[TICKET],
            answers=lambda *_: (200, {"state": "fine"}),
        ),
        "login then token then form": Case(
            [runbook("Shop orders", [call(1, "Log in", 21, 2, FAIL), call(2, "Orders", 22, 3, FAIL), call(3, "Form", 23, DONE, FAIL), *ends()])],
            [login],
            answers=lambda path, _: (200, {"token": "tok-1"} if path.endswith("login") else {"count": 3}),
            known={"SHOP_PASSWORD": "S3cret/Pass-word"},
        ),
        "all comparisons": Case([runbook("Compare", marks(COMPARISONS), [declare("Value", "<<request^v>>", 0)])], [marking(COMPARISONS)], VALUES),
        "two criteria are both needed": Case(
            [
                runbook(
                    "Both",
                    [condition(1, "Both?", [variable("Customer", 0, "Ada"), variable("OrderId", 5, 4000)], 2, DONE), call(2, "Ping", 17, DONE, FAIL), *ends()],
                    CUSTOMER,
                )
            ],
            payloads=[{"customer": "Ada", "order": 4711}, {"customer": "Ada", "order": 1}, {"customer": "Bob", "order": 4711}],
        ),
        "a condition without criteria holds": Case([runbook("Empty", [condition(1, "Always", [], 2, FAIL), call(2, "Ping", 17, DONE, FAIL), *ends()])]),
        "an iteration with a condition": Case(
            [
                runbook(
                    "Book open orders",
                    [
                        call(1, "Orders", 11, 2, FAIL),
                        begin(2, "Each order", "<<Orders>>", 3, DONE, [output("OrderId", "<<response^id>>", 3), output("Open", "<<response^open>>", 5)]),
                        condition(3, "Open?", [variable("Open", 0, "true")], 4, 5),
                        call(4, "Book", 12, 5, FAIL),
                        following(5, "Next order", "<<Orders>>", DONE),
                        *ends(),
                    ],
                    [declare("Customer", "<<request^customer!>>")],
                )
            ],
            answers=vendor_orders,
        ),
        "an iteration over nothing": Case(
            [
                runbook(
                    "Nothing",
                    [
                        begin(1, "Each", "<<List>>", 2, 4, [output("Mark", "<<response>>", 3)]),
                        call(2, "Tell", 18, 3, FAIL),
                        following(3, "Next", "<<List>>", DONE),
                        call(4, "None", 17, DONE, FAIL),
                        *ends(),
                    ],
                    [declare("List", "<<request^list>>", 1)],
                )
            ],
            payloads=[{"list": []}, {"list": [7]}, {"list": [1, 2]}],
        ),
        "iterations within each other": Case([two_lists], answers=vendor_orders),
        "an element that fails ends the run": Case(
            [
                runbook(
                    "Stop at two",
                    [
                        begin(1, "Each", "<<List>>", 2, DONE, [output("Mark", "<<response>>", 3)]),
                        call(2, "Tell", 18, 3, FAIL),
                        following(3, "Next", "<<List>>", DONE),
                        *ends(),
                    ],
                    [declare("List", "[1, 2, 3]", 1)],
                )
            ],
            answers=lambda path, _: (422 if path.endswith("/2") else 200, {}),
        ),
        "a sleep and a hop": Case(
            [runbook("Sleep", [call(1, "Ping", 17, 2, FAIL), sleep(2, "Hop", 0, 3), sleep(3, "Wait", 1, 4), call(4, "Ping again", 17, DONE, FAIL), *ends()])]
        ),
        "a chain of runbooks": Case(
            [
                runbook(
                    "First",
                    [call(1, "Ping", 17, 2, FAIL), chain(2, "Go on", "Second", input_values=[{"key": "OrderId", "value": "<<OrderId>>"}]), *ends()][:2]
                    + ends()[1:],
                    CUSTOMER,
                ),
                runbook("Second", [call(1, "Remove", 15, DONE, FAIL), *ends()], [declare("OrderId", "<<request^order!>>")]),
            ]
        ),
        "the way after a refusal": Case(
            [runbook("Recover", [call(1, "Ping", 17, DONE, 2), call(2, "Tell", 18, DONE, FAIL), *ends()], [declare("Mark", "lost")])],
            answers=lambda path, _: (404 if path.endswith("ping") else 200, {"error": "no"}),
        ),
        "a refusal without a way": Case([runbook("Stop", [call(1, "Ping", 17, 2), call(2, "Never", 17, DONE, FAIL), *ends()])], answers=lambda *_: (400, {})),
        "a ticket is made and noted": Case(
            [
                runbook(
                    "Make ticket",
                    [
                        act(
                            1,
                            "Make",
                            1,
                            '{"summary": "Order <<OrderId>> of <<Customer>>", "client_id": "2", "tickettype_id": 1, "customfields": []}',
                            2,
                            FAIL,
                            runbook_variable_mappings=[output("TicketId", "<<response^id>>", 3)],
                        ),
                        act(2, "Note", 3, '{"ticket_id": <<TicketId>>, "outcome": "Note", "note_html": "made"}', DONE, FAIL),
                        *ends(),
                    ],
                    CUSTOMER,
                )
            ]
        ),
        "a ticket is updated": Case(
            [
                runbook(
                    "Update",
                    [
                        condition(1, "New?", [variable("status_id", 0, 1, table="faults")], 2, DONE),
                        act(2, "Update", 2, '{"id": <<ticket^id>>, "summary": "[seen] <<ticket^summary!>>"}', DONE, FAIL),
                        *ends(),
                    ],
                )
            ],
            payloads=[TICKET, {"ticket": {"id": 6, "summary": "x", "status_id": 9}}],
        ),
        "a user is made": Case(
            [runbook("User", [act(1, "Make", 4, '{"firstname": "<<Customer>>", "surname": "L", "site_id": 2, "client_id": 2}', DONE, FAIL), *ends()], CUSTOMER)]
        ),
        "all HTTP methods": Case(
            [
                runbook(
                    "Verbs",
                    [call(1, "Read", 13, 2, FAIL), call(2, "Replace", 14, 3, FAIL), call(3, "Change", 16, 4, FAIL), call(4, "Remove", 15, DONE, FAIL), *ends()],
                    CUSTOMER,
                )
            ]
        ),
        "odd characters": Case(
            [
                runbook(
                    "Odd {{ ${ <<: ü", [call(1, "Odd “step” {{x}}", 31, DONE, FAIL), *ends()], [declare("My Var", "a b?%ü"), declare("Number.of-it", "12", 3)]
                )
            ],
            [odd],
        ),
        "typed values": Case(
            [
                runbook(
                    "Typed",
                    [call(1, "Typed", 41, DONE, FAIL), *ends()],
                    [
                        declare("I", "3", 3),
                        declare("F", "2.5", 4),
                        declare("B", "1", 5),
                        declare("L", '["a", {"b": null}]', 1),
                        declare("O", '{"c": [1]}', 0),
                        declare("T", "text"),
                        declare("Empty"),
                    ],
                )
            ],
            [
                vendor(
                    methods=[
                        method(
                            41,
                            "Typed",
                            1,
                            "/typed",
                            requestbody='{"i": <<I>>, "f": <<F>>, "b": <<B>>, "l": <<L>>, "o": <<O>>, "t": "<<T>>", "e": "<<Empty>>", "s": "n <<I>>"}',
                        )
                    ]
                )
            ],
        ),
        "asking until it is done": Case(
            [runbook("Poll", [call(1, "Ask", 17, 2, FAIL), condition(2, "Done?", [variable("State", 0, "done")], DONE, 3), sleep(3, "Wait", 1, 1), *ends()])],
            answers=lambda _, count: (200, {"state": "done" if count >= 4 else "busy"}),
        ),
        "a public start with a signature": Case(
            [
                runbook(
                    "Public",
                    [call(1, "Ping", 17, DONE, FAIL), *ends()],
                    runbook_start_type=1,
                    inbound_authentication_type=3,
                    authentication_header="X-Sign",
                    digest=1,
                    signature_prefix="sha256=",
                )
            ],
        ),
        "a step that nothing leads to": Case([runbook("Island", [call(1, "Ping", 17, DONE, FAIL), call(7, "Island", 12, DONE, FAIL), *ends()], CUSTOMER)]),
    }


def hostile() -> dict[str, Case]:
    """What an import refuses, each by the name of what is wrong."""
    ping = call(1, "Ping", 17, DONE, FAIL)

    def one(name: str, steps: list[Row], place: str, reason: str, inputs: list[Row] | None = None, **more: Any) -> Case:
        return Case([runbook(name, steps, inputs, **more)], refused=(place, reason))

    def with_method(place: str, reason: str, **more: Any) -> Case:
        made = method(17, "Ping", more.pop("verb", 1), more.pop("path", "/ping"), **more)
        return Case([runbook("Uses it", [ping, *ends()])], [vendor(methods=[made, method(18, "Other", 0, "/x")])], refused=(place, reason))

    each = begin(2, "Each", "<<Orders>>", 3, DONE, [output("OrderId", "<<response^id>>")])
    body = [call(3, "Book", 12, 4, FAIL), following(4, "Next", "<<Orders>>", DONE)]
    orders = call(1, "Orders", 11, 2, FAIL)
    customer = [declare("Customer", "<<request^customer!>>")]
    return {
        "no steps": one("Bare", [], "steps", "no steps"),
        "steps of a wrong type": one("Text", "none", "steps", "not a list"),  # type: ignore[arg-type]
        "a step of a wrong type": one("Wrong", [ping, 7, *ends()], "step 2", "not an object"),  # type: ignore[list-item]
        "a number of a wrong type": one("Number", [ping | {"step_id": "1"}, *ends()], "Ping", "positive whole number"),
        "no first step": one("Nowhere", [ping | {"isstart": False}, *ends()], "steps", "no step begins"),
        "two first steps": one("Twice", [ping, call(2, "Pong", 17, DONE, FAIL) | {"isstart": True}, *ends()], "steps", "2 steps begin"),
        "a missing step": one("Hole", [call(1, "Ping", 17, 55, FAIL), *ends()], "Ping", "the step 55, which is missing"),
        "a number twice": one("Double", [ping, call(1, "Pong", 17, DONE, FAIL) | {"isstart": False}, *ends()], "Pong", "taken by `Ping`"),
        "no way on": one("Stuck", [call(1, "Ping", 17, None), *ends()], "Ping", "no way leads on"),
        "two ways of one result": one("Fork", [ping | {"actions": [edge(17, 1, DONE, 1), edge(17, 1, FAIL, 1)]}, *ends()], "Ping", "same result"),
        "a circle without an end": one("Endless", [call(1, "Ping", 17, 2), call(2, "Pong", 17, 1), *ends()], "Ping", "never end"),
        "too many steps": one("Huge", [ping, *(call(100 + index, f"S{index}", 17, DONE, FAIL) for index in range(2000)), *ends()], "steps", "at most 2,000"),
        "an SQL step": one("SQL", [step(1, "Read rows", 18, None, message="SELECT 1"), *ends()], "Read rows", "SQL query"),
        "an AI step": one("AI", [step(1, "Judge", 25, None), *ends()], "Judge", "Halo's AI"),
        "an agent step": one("Agent", [step(1, "Delegate", 26, None), *ends()], "Delegate", "AI agent"),
        "an unknown step": one("Unknown", [step(1, "What", 77, None), *ends()], "What", "not known"),
        "an unknown action": one("Action", [act(1, "Do", 6, "{}", DONE, FAIL), *ends()], "Do", "Halo API action 6"),
        "a message that is no JSON": one("Message", [act(1, "Do", 1, "summary: x", DONE, FAIL), *ends()], "Do", "not JSON"),
        "a member twice": one("Members", [act(1, "Do", 1, '{"summary": "a", "summary": "b"}', DONE, FAIL), *ends()], "Do", "twice"),
        "a method that is not there": one("Gone", [call(1, "Ping", 999, DONE, FAIL), *ends()], "Ping", "method 999"),
        "a variable against a variable": one(
            "Vars", [condition(1, "Same?", [variable("Customer", 0, "<<OrderId>>")], DONE, FAIL), *ends()], "Same?", "no variable with a variable", CUSTOMER
        ),
        "a criterion without marks": one(
            "Marks", [condition(1, "Is?", [variable("Customer", 0, "x") | {"fieldname": "Customer"}], DONE, FAIL), *ends()], "Is?", "not in `<<>>`", CUSTOMER
        ),
        "a criterion of another table": one(
            "Table", [condition(1, "Is?", [variable("name", 0, "x", table="users")], DONE, FAIL), *ends()], "Is?", "criteria over `users`"
        ),
        "an unknown comparison": one("Compare", [condition(1, "Is?", [variable("Customer", 99, "x")], DONE, FAIL), *ends()], "Is?", "comparison 99", CUSTOMER),
        "an order of texts": one("Order", [condition(1, "Is?", [variable("Customer", 5, "x")], DONE, FAIL), *ends()], "Is?", "not a number", CUSTOMER),
        "a criterion below a variable": one(
            "Below", [condition(1, "Is?", [variable("response^x", 0, "x")], DONE, FAIL), *ends()], "Is?", "not the name of a variable"
        ),
        "a variable that nothing sets": one("Unset", [call(1, "Book", 12, DONE, FAIL), *ends()], "Book", "no input and no earlier step sets", customer),
        "an expression that is none": one(
            "Expression", [ping | {"runbook_variable_mappings": [output("X", "<<response.items>>")]}, *ends()], "Ping", "written with `^`"
        ),
        "a name that no variable has": one("Name", [act(1, "Do", 1, '{"summary": "<<a^b>>"}', DONE, FAIL), *ends()], "Do", "cannot be the name"),
        "an address in a variable": with_method("Ping", "the base address of the integration decides", path="<<Url>>/ping"),
        "another address": with_method("Ping", "the base address of the integration decides", path="https://evil.example/ping"),
        "a header of the connection": with_method("Ping", "belongs to the connection", headers=[{"key": "Host", "value": "evil.example"}]),
        "an unknown HTTP method": with_method("Ping", "HTTP method 9", verb=9),
        "an authorization of a method": with_method("Ping", "an integration of its own", authorizationtype=0),
        "a base address in a variable": Case(
            [runbook("Based", [ping, *ends()])], [vendor(resourcebaseurl="https://<<Host>>/v1")], refused=("Vendor API", "holds a variable")
        ),
        "a placeholder as a base address": Case(
            [runbook("Based", [ping, *ends()])], [vendor(resourcebaseurl="{{azure-endpoint}}")], refused=("Vendor API", "holds a variable")
        ),
        "a grant for people": Case(
            [runbook("Person", [ping, *ends()])],
            [vendor(authorizationtype=4, granttype=2, tokenurl="https://id.example/token")],
            refused=("Vendor API", "needs a person"),
        ),
        "an unknown authorization": Case([runbook("JWT", [ping, *ends()])], [vendor(authorizationtype=7)], refused=("Vendor API", "a JWT (7)")),
        "a success within an iteration": one(
            "Leave",
            [orders, each, call(3, "Book", 12, DONE, FAIL), following(4, "Next", "<<Orders>>", DONE), *ends()],
            "Leave",
            "has no step `Next iteration`",
            customer,
        ),
        "a break out of an iteration": one(
            "Break",
            [orders, each, condition(3, "Enough?", [variable("OrderId", 0, "7")], DONE, 4), body[1], *ends()],
            "Break",
            "ends the run within the iteration",
            customer,
        ),
        "a way into an iteration": one(
            "Jump",
            [condition(1, "Skip?", [variable("Customer", 0, "x")], 5, 3), call(5, "Orders", 11, 2, FAIL), each, *body, *ends()],
            "Skip?",
            "into the middle",
            customer,
        ),
        "an iteration in batches": one("Batches", [orders, each | {"iteration_batch_size": 10}, *body, *ends()], "Each", "in batches", customer),
        "an iteration without an end": one(
            "Open",
            [orders, each | {"actions": [edge(22, 2, 3, 1), edge(22, 2, DONE, 0)]}, call(3, "Book", 12, FAIL, FAIL), *ends()],
            "Open",
            "has no step",
            customer,
        ),
        "the end of no iteration": one("Lost", [orders | {"actions": [edge(17, 1, 4, 1)]}, body[1], *ends()], "Lost", "ends no iteration"),
        "a value of an element after the iteration": one(
            "After",
            [
                orders,
                begin(2, "Each", "<<Orders>>", 3, 5, [output("OrderId", "<<response^id>>")]),
                body[0],
                following(4, "Next", "<<Orders>>", 5),
                call(5, "Last", 15, DONE, FAIL),
                *ends(),
            ],
            "Last",
            "ends with each element",
            customer,
        ),
        "a value of the element before": one(
            "Before",
            [
                begin(1, "Each", "<<List>>", 2, DONE, [output("OrderId", "<<response>>", 3)]),
                call(2, "Tell", 18, 3, FAIL, runbook_variable_mappings=[]),
                call(3, "Ask", 17, 4, FAIL, runbook_variable_mappings=[output("Mark", "<<response^state!>>")]),
                following(4, "Next", "<<List>>", DONE),
                *ends(),
            ],
            "Tell",
            "of the element before",
            [declare("List", "<<request^list>>", 1), declare("Mark", "none")],
        ),
        "a runbook that is not there": one("Chain", [chain(1, "Go on", "Missing")], "Go on", "not among the documents"),
        "runbooks in a circle": Case(
            [runbook("A", [call(1, "Ping", 17, 2, FAIL), chain(2, "To B", "B"), *ends()[1:]]), runbook("B", [chain(1, "To A", "A")])],
            refused=("A", "in a circle"),
        ),
        "a GUID twice": Case([runbook("A", [ping, *ends()]), runbook("B", [ping, *ends()], id=guid("A"))], refused=("B", "same `id`")),
        "an unknown caller": one("Caller", [ping, *ends()], "Caller", "authentication of callers 2", runbook_start_type=1, inbound_authentication_type=2),
        "a text for a number": one("Typed", [ping, *ends()], "Count", "not of its type", [declare("Count", "many", 3)]),
        "a boolean as a word": one("Bool", [ping, *ends()], "Flag", "not of its type", [declare("Flag", "True", 5)]),
        "a variable twice": one("Twins", [ping, *ends()], "A", "declared twice", [declare("A"), declare("A")]),
        "the characters of the marks": one("Marks \ue000", [ping, *ends()], "Marks", "U+E000"),
        "depth": one("Deep", [act(1, "Do", 1, '{"summary": ' + "[" * 3000 + "]" * 3000 + "}", DONE, FAIL), *ends()], "Do", "nested too deep"),
    }


def copy_of(document: Any) -> Any:
    """An independent copy."""
    return json.loads(json.dumps(document))
