"""Values of query parameters fit the published type, or the request is refused: Halo would misread them in silence."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.every import every
from worker.catalogue.catalogue import load
from worker.catalogue.errors import RequestError, WrongType
from worker.catalogue.parameter_types import FITS, misfit, normalized
from worker.catalogue.requests import build_query

FITTING = {
    "bool": [(True, "true"), (False, "false"), ("true", "true"), (" False ", "false"), ("TRUE", "true")],
    "int": [(7, "7"), (-1, "-1"), (3.0, "3"), ("7", "7"), (" 12 ", "12"), (2**63 - 1, str(2**63 - 1))],
    "double": [(1.5, "1.5"), (-300, "-300"), ("1.5", "1.5"), ("1e3", "1e3")],
    "date": [
        ("2026-01-31", "2026-01-31"),
        ("2026-01-31T08:00:00.1234567Z", "2026-01-31T08:00:00.1234567Z"),
        (date(2026, 1, 31), "2026-01-31"),
        (datetime(2026, 1, 31, 8, tzinfo=UTC), "2026-01-31T08:00:00Z"),
    ],
    "uuid": [("3E485768-7967-452e-ee50-08d7e0f912c9", "3E485768-7967-452e-ee50-08d7e0f912c9")],
    "List<int>": [(5, "5"), ([5, 6], "5,6"), ("5, 6", "5, 6"), ("[5,6]", "[5,6]"), (True, "true"), ("false", "false")],
    "string": [(1, "1"), (True, "true"), ("anything", "anything")],
}
WRONG = {
    "bool": [1, 0, 1.0, "1", "yes", "on", "", [True], {"a": True}],
    "int": [True, 1.5, "x", "1.5", "12.0", "1,2", "", [1], float("nan"), float("inf"), 2**64, "9" * 20, "\u0663"],
    "double": [True, "x", "", float("inf"), "1.5.2"],
    "date": [True, 1, 20260131, "31.12.2025", "yesterday", "", "2026-13-01"],
    "uuid": [1, "x", "3e485768-7967-452e-ee50"],
    "List<int>": ["yes", "1;2", "a,b", [1, "x"], 1.5, ""],
}


@every(("kind", "value", "text"), [(kind, value, text) for kind, pairs in FITTING.items() for value, text in pairs])
def test_a_value_of_the_type_is_sent_as_halo_reads_it(kind, value, text):
    operation = load().find("Status", "GET").accepting([])
    typed = type(operation)("GET", "/X", query_parameters={"p": kind})
    assert build_query(typed, {"P": value}) == {"p": text}


@every(("kind", "value"), [(kind, value) for kind, values in WRONG.items() for value in values])
def test_a_value_of_another_type_is_refused_without_being_told(kind, value):
    typed = type(load().find("Status", "GET"))("GET", "/X", query_parameters={"p": kind})
    with pytest.raises(WrongType) as refused:
        build_query(typed, {"p": value})
    assert str(refused.value) == f"GET X: query parameter 'p' must be {FITS[kind][1]}"


@every("kind", [*FITS, "any", "string"])
def test_null_leaves_a_parameter_out_whatever_its_type(kind):
    assert misfit(kind, None) is None


@given(st.sampled_from([*FITS, "any"]), st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers() | st.text()))
def test_any_value_fits_or_is_refused_and_what_fits_still_does_when_it_is_normalized(kind, value):
    if misfit(kind, value) is None:
        assert misfit(kind, normalized(kind, value)) is None


def test_what_a_route_allows_by_name_takes_any_value():
    tickets = load().find("Tickets", "GET")
    assert build_query(tickets.accepting(["OPEN_ONLY", "newer"]), {"open_only": 1, "newer": "x"}) == {"open_only": "1", "newer": "x"}
    with pytest.raises(RequestError):
        build_query(tickets, {"open_only": 1})


@pytest.mark.parametrize("entity", ["Tickets", "Opportunities", "Projects", "Asset", "Client", "Site", "Users"])
def test_parameters_that_halo_knows_but_does_not_publish_are_known(entity):
    types = load().find(entity, "GET").query_parameters
    assert (types["include_custom_fields"], types["cf_display_values_only"], types["lastupdatefromdate"]) == ("List<int>", "bool", "date")
