"""Checks the literal arguments of `$table`, `$id` and `$date`: the names of tables, entities and members, and pictures."""

from __future__ import annotations

from collections.abc import Iterator

from worker.catalogue.catalogue import load
from worker.catalogue.errors import MethodNotAllowed, UnknownEntity
from worker.catalogue.operation import unsearchable
from worker.config.function_calls import DATE, FAIL, ID, TABLE, FunctionCall, calls_of, picture_problem
from worker.config.source_location import SourceLocation
from worker.config.template_lexer import tokens
from worker.core.errors import Problem
from worker.core.suggest import choices, nearest

ARGUMENTS = {DATE: (2, 2), FAIL: (1, 1), ID: (2, 3), TABLE: (2, 3)}
FORMS = {
    DATE: "$date(text, '[D]/[M]/[Y]')",
    FAIL: "$fail('the reason')",
    ID: "$id('Site', {'name': site})",
    TABLE: "$table('name', key)",
}
LABEL, IDENTIFIER = "_name", "_id"


def call_problems(text: str, start: int, location: SourceLocation) -> list[Problem]:
    """The problems of the calls in an expression; `start`: its offset in the value at `location`."""
    if not any(name in text for name in ARGUMENTS):
        return []
    return [location.problem(message, start + offset) for call in calls_of(list(tokens(text))) for message, offset in problems_of(call, location)]


def problems_of(call: FunctionCall, location: SourceLocation) -> Iterator[tuple[str, int]]:
    """Messages with their offsets."""
    least, most = ARGUMENTS[call.name]
    if not least <= len(call.arguments) <= most or not all(call.arguments):
        yield f"`{call.name}` is called as {FORMS[call.name]}", call.start
        return
    at = [argument[0].start for argument in call.arguments]
    if call.name == DATE and (picture := call.literal(1)) is not None and (wrong := picture_problem(picture)):
        yield f"`{DATE}`: {wrong}", at[1]
    if call.name == TABLE and (name := call.literal(0)) is not None and name not in location.tables:
        yield f"there is no table `{name}`{choices(name, location.tables, none='no route file has `tables`')}", at[0]
    if call.name == ID:
        yield from id_problems(call, at, location)


def id_problems(call: FunctionCall, at: list[int], location: SourceLocation) -> Iterator[tuple[str, int]]:
    if not location.has_client:
        yield (
            f"`{ID}` is not available here: it asks the route's client, for subscribers, publishers (but not in `order_by` and `fair_by`) and actions of steps",
            call.start,
        )
    entity = call.literal(0)
    if entity is None:
        yield f"the entity of `{ID}` must be a text written out: {FORMS[ID]}", at[0]
        return
    if not call.members:
        yield f"the members of `{ID}` must be written out as an object with names in quotes, so that a missing one is noticed: {FORMS[ID]}", at[1]
    try:
        operation = load().find(entity, "GET")
    except (UnknownEntity, MethodNotAllowed) as error:
        yield str(error), at[0]
        return
    if problem := unsearchable(operation, call.members):
        yield problem, at[0]
        return
    for name in sorted(call.members):
        if near := misspelt(operation.entity, name):
            yield f"{operation.entity} has no member `{name}`; did you mean {' or '.join(near)}?", at[1]


def misspelt(entity: str, name: str) -> list[str]:
    """Return the published members that a name may mean; empty for a right name, and for a possibly right one: lists have members that no POST takes."""
    catalogue = load()
    post = catalogue.methods_of(entity).get("POST")
    known = catalogue.body_members(post) if post is not None else {}
    label = name.endswith(LABEL) and name.removesuffix(LABEL) + IDENTIFIER in known
    return [] if name in known or label else nearest(name, known)
