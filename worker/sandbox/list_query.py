"""Reads the query of a list: faults may hide parameters, unknown parameters are ignored as in Halo, and the others become conditions and an order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from worker.catalogue.operation import Operation
from worker.sandbox.dates import parse_moment
from worker.sandbox.faults import ActiveFault, FaultKind
from worker.sandbox.profiles import STAMP, Profile
from worker.sandbox.query import Contains, Equals, Order, Query, Range
from worker.sandbox.settings import SandboxSettings

SURVIVES_IGNORE_FILTERS = frozenset({"pageinate", "page_no", "page_size", "count", "order", "orderdesc"})
NOT_FILTERS = frozenset(
    {
        *("count", "page_no", "page_size", "pageinate", "idonly", "ticketidonly", "search", "advanced_search", "open_only", "deleted"),
        *("datesearch", "startdate", "enddate", "startdatetime", "enddatetime", "lastupdatefromdate", "lastupdatetodate"),
        *("start_date", "end_date"),
        *(f"{name}{suffix}" for name in ("order", "orderdesc") for suffix in ("", "2", "3", "4", "5")),
    }
)
DATE_NAMES = {"dateoccured": "dateoccurred", "dateopened": "dateoccurred", "datecleared": "dateclosed", "lastupdate": STAMP}
EQUALS_FILTER = 2  # the `filter_type` of an advanced search; every other type means contains


@dataclass(frozen=True, slots=True)
class ListQuery:
    """The parameters with names in lower case. `endless`: the first page follows the last one again."""

    parameters: Mapping[str, str]
    endless: bool = False


def read_list_query(query: Mapping[str, str], struck: Sequence[ActiveFault]) -> ListQuery:
    """Applies the faults that hide parameters."""
    kinds = {active.fault.does for active in struck}
    parameters = {name.lower(): value for name, value in query.items()}
    if FaultKind.REPEAT_PAGE in kinds:
        parameters.pop("page_no", None)
    if FaultKind.IGNORE_FILTERS in kinds:
        parameters = {name: value for name, value in parameters.items() if name in SURVIVES_IGNORE_FILTERS}
    return ListQuery(parameters, FaultKind.ENDLESS_PAGES in kinds)


class BadValue(Exception):
    """A parameter has an invalid value: 400, keyed by its name."""

    def __init__(self, name: str, value: str) -> None:
        super().__init__(name)
        self.errors = {name: [f"The value '{value}' is not valid."]}


class BadSearch(Exception):
    """`advanced_search` names a filter that does not exist: 400."""


@dataclass(frozen=True, slots=True)
class ListParameters:
    """The parameters that the operation publishes, by published name."""

    values: Mapping[str, str]

    @classmethod
    def of(cls, operation: Operation, query: Mapping[str, str], extra: frozenset[str] = frozenset()) -> ListParameters:
        """Names are case-insensitive. Raises `BadValue` for a malformed number."""
        known = {name.lower(): name for name in (*operation.query_parameters, *extra)}
        values = {known[name.lower()]: value for name, value in query.items() if name.lower() in known}
        for name, value in values.items():
            if operation.query_parameters.get(name) in {"int", "integer"} and value and not value.lstrip("-").isdigit():
                raise BadValue(name, value)
        return cls(values)

    def text(self, name: str) -> str:
        return self.values.get(name, "")

    def flag(self, name: str) -> bool:
        """Only `true` is true: `1` is false."""
        return self.text(name).lower() == "true"

    def number(self, name: str) -> int | None:
        text = self.text(name)
        return int(text) if text.lstrip("-").isdigit() else None

    def moment(self, name: str) -> datetime | None:
        text = self.text(name)
        moment = parse_moment(text.replace(" ", "+") if text[-6:-5] == " " else text) if text else None  # an unescaped plus arrives as a space
        if text and moment is None:
            raise BadValue(name, text)
        return moment


def query_of(operation: Operation, parameters: ListParameters, profile: Profile, settings: SandboxSettings, members: Mapping[str, str]) -> Query:
    """Conditions and order. `members`: the types of the members that a record of the entity has, by name."""
    return Query(
        spans=tuple(_spans(operation, parameters, settings)),
        equals=tuple(_equals(parameters, profile, members)),
        contains=tuple(_contains(parameters, profile, members)),
        order=_order(operation, parameters, profile, members),
    )


def _spans(operation: Operation, parameters: ListParameters, settings: SandboxSettings) -> Iterator[Range]:
    if operation.listing is not None and operation.listing.dated:
        start, end = parameters.moment("lastupdatefromdate"), parameters.moment("lastupdatetodate")
        if start or end:
            yield Range(STAMP, start, end, settings.from_inclusive, settings.to_inclusive)
    if "datesearch" in operation.query_parameters:
        member = parameters.text("datesearch").lower() or ("dateoccurred" if operation.resource != "actions" else "datetime")
        start, end = parameters.moment("startdate"), parameters.moment("enddate")
        if start and not parameters.flag("startdatetime") and "startdatetime" in operation.query_parameters:
            start = datetime(start.year, start.month, start.day, tzinfo=UTC)
        if end and not parameters.flag("enddatetime") and "enddatetime" in operation.query_parameters:
            end = datetime(end.year, end.month, end.day, tzinfo=UTC) + timedelta(days=1, microseconds=-1)
        if start or end:
            yield Range(DATE_NAMES.get(member, member), start, end)
    if "start_date" in operation.query_parameters:
        start, end = parameters.moment("start_date"), parameters.moment("end_date")
        if start or end:
            yield Range("start_date", start, end)


def _equals(parameters: ListParameters, profile: Profile, members: Mapping[str, str]) -> Iterator[Equals]:
    for name, value in parameters.values.items():
        member = profile.filters.get(name, name)
        if not value or name in NOT_FILTERS or member not in members or members[member] in {"array", "object"}:
            continue
        yield Equals(member, frozenset(part.strip().lower() for part in value.split(",")))
    if parameters.flag("open_only"):
        yield Equals("hasbeenclosed", frozenset({"", "false"}))
    yield from _activity(parameters)
    for filter_ in _advanced(parameters, profile, members):
        if isinstance(filter_, Equals):
            yield filter_


def _activity(parameters: ListParameters) -> Iterator[Equals]:
    """`includeactive` and `includeinactive`; for agents `includeenabled` and `includedisabled`, and `includeunassigned` for the one who is none."""
    if parameters.text("includeunassigned") and not parameters.flag("includeunassigned"):
        yield Equals("is_agent", frozenset({"true"}))
    for yes, no, member in (("includeactive", "includeinactive", "inactive"), ("includeenabled", "includedisabled", "isdisabled")):
        if not parameters.text(yes) and not parameters.text(no):
            continue
        active = parameters.flag(yes) or not parameters.text(yes)
        inactive = parameters.flag(no)
        if active and not inactive:
            yield Equals(member, frozenset({"", "false"}))
        elif inactive and not active:
            yield Equals(member, frozenset({"true"}))


def _contains(parameters: ListParameters, profile: Profile, members: Mapping[str, str]) -> Iterator[Contains]:
    if parameters.text("search"):
        yield Contains(profile.search, parameters.text("search").lower())
    for name, value in parameters.values.items():
        member = name.removeprefix("search_").removesuffix("_only")
        if name.startswith("search_") and value and member in members and name not in profile.filters:
            yield Contains((member,), value.lower())
    for filter_ in _advanced(parameters, profile, members):
        if isinstance(filter_, Contains):
            yield filter_


def _advanced(parameters: ListParameters, profile: Profile, members: Mapping[str, str]) -> Iterator[Equals | Contains]:
    text = parameters.text("advanced_search")
    if not text:
        return
    try:
        filters: Any = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise BadSearch from None
    for item in filters if isinstance(filters, list) else (filters,):
        if not isinstance(item, dict):
            raise BadSearch
        name = str(item.get("filter_name", "")).lower()
        member = profile.filters.get(name, name)
        if member not in members:
            raise BadSearch
        value = str(item.get("filter_value", "")).lower()
        if str(item.get("filter_type")) == str(EQUALS_FILTER):
            yield Equals(member, frozenset(part.strip() for part in value.split(",")))
        else:
            yield Contains((member,), value)


def _order(operation: Operation, parameters: ListParameters, profile: Profile, members: Mapping[str, str]) -> tuple[Order, ...]:
    orders = []
    if operation.listing is not None and operation.listing.ordered:
        for suffix in ("", "2", "3", "4", "5"):
            name = parameters.text(f"order{suffix}").lower()
            member = STAMP if name in {"lastupdate", STAMP, profile.stamp, profile.list_stamp} and name else name
            if name and (member in members or member == STAMP):
                orders.append(Order(None if member == "id" else member, parameters.flag(f"orderdesc{suffix}")))
    return tuple(orders) or (Order(None, profile.newest_first),)
