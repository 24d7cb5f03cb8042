"""Requests built from operations: one segment per path variable, values as Halo reads them, bodies of the published shape."""

import datetime as dt
import time
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.tools.every import every
from worker.catalogue.catalogue import load
from worker.catalogue.errors import RequestError
from worker.catalogue.requests import build_path, build_query, build_request
from worker.core.exact_numbers import whole

SECRET = "s3cr3t-value"
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=5,
)


def operation(entity, method="GET"):
    return load().find(entity, method)


def refused(*arguments, **named):
    with pytest.raises(RequestError) as caught:
        build_request(*arguments, **named)
    assert SECRET not in str(caught.value)
    return str(caught.value)


@every(
    ("value", "segment"),
    [
        (7, "7"),
        ("7", "7"),
        (3.0, "3"),
        (-1, "-1"),
        ("AC12", "AC12"),
        ("a b", "a%20b"),
        ("a&b?c=d#e", "a%26b%3Fc%3Dd%23e"),
        ("%2F..", "%252F.."),
        ("ü", "%C3%BC"),
        ("a.b", "a.b"),
    ],
)
def test_a_path_variable_becomes_one_encoded_segment(value, segment):
    assert build_path(operation("Actions/{id}"), {"ID": value}) == f"/Actions/{segment}"


@every(
    "value",
    [
        "",
        " ",
        ".",
        "..",
        ". .",
        "a/b",
        "/",
        "..\\x",
        "a\nb",
        "a\x00",
        "\x7f",
        "\x85",
        "\ud800",
        True,
        3.5,
        float("nan"),
        float("inf"),
        1e300,
        [1],
        {"a": 1},
        b"x",
    ],
)
def test_a_path_variable_that_could_lead_elsewhere_is_refused(value):
    message = refused(operation("Tickets/{id}"), {"id": value})
    assert message.startswith("GET Tickets/{id}: path parameter 'id' ")


@given(ANYTHING)
@example("..%2f..")
@example("%2e%2e")
@example("\uff0e\uff0e\uff0f")
def test_whatever_the_value_the_path_keeps_its_published_segments(value):
    try:
        path = build_path(operation("Notify/AdobeAcrobat/{tenant}/{secret}"), {"tenant": 1, "secret": value})
    except RequestError:
        return
    segments = path.split("/")
    assert segments[:4] == ["", "Notify", "AdobeAcrobat", "1"]
    assert len(segments) == 5
    assert not set(segments[4]) & set("?#&\\ ")
    assert unquote(segments[4]) == str(whole(value))
    assert segments[4] not in {"", ".", ".."}


@given(st.text(), st.text())
def test_two_variables_in_one_segment_cannot_be_confused(first, second):
    try:
        path = build_path(operation("TicketApproval/{id}&{seq}", "DELETE"), {"id": first, "seq": second})
    except RequestError:
        return
    assert [unquote(part) for part in path.removeprefix("/TicketApproval/").split("&")] == [first, second]


def test_missing_and_unknown_path_parameters_are_named():
    approval = operation("TicketApproval/{id}&{seq}", "DELETE")
    assert refused(approval) == "DELETE TicketApproval/{id}&{seq} needs the path parameters id, seq"
    assert refused(approval, {"id": 1, "seq": None}) == "DELETE TicketApproval/{id}&{seq} needs the path parameter seq"
    assert refused(approval, {"id": 1, "sec": SECRET}) == "DELETE TicketApproval/{id}&{seq} has no path parameter 'sec'; did you mean seq?"
    assert refused(operation("Tickets/{id}"), {"number": 1}) == "GET Tickets/{id} has no path parameter 'number'; it has id"
    assert refused(operation("Tickets"), {"id": 1}) == "GET Tickets has no path parameter 'id'; it has none"
    assert refused(operation("Tickets/{id}"), {"id": 1, "ID": 2}) == "GET Tickets/{id}: path parameter 'id' is given twice"


@every(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        (5, "5"),
        (5.0, "5"),
        (0.5, "0.5"),
        (1e300, "1e+300"),
        ("a b", "a b"),
        ("", ""),
        ([1, 2], "1,2"),
        (["a"], "a"),
        (["a,b"], "a,b"),
        ([True, 3.0], "true,3"),
        (dt.datetime(2026, 3, 1, 12, 30, 5, 120000, dt.UTC), "2026-03-01T12:30:05.120000Z"),
        (dt.datetime(2026, 3, 1, 12, tzinfo=dt.timezone(dt.timedelta(hours=2))), "2026-03-01T10:00:00Z"),
        (dt.datetime(2026, 3, 1, 12), "2026-03-01T12:00:00Z"),  # noqa: DTZ001  a naive one is the case
        (dt.date(2026, 3, 1), "2026-03-01"),
        ([{"filter_name": "x", "filter_type": 2}], '[{"filter_name":"x","filter_type":2}]'),
        ({"a": None}, '{"a":null}'),
        ([[1]], "[[1]]"),
    ],
)
def test_a_query_value_is_written_as_halo_reads_it(value, text):
    assert build_query(operation("Tickets"), {"Search": value}) == {"search": text}


def test_a_moment_without_a_zone_is_utc_wherever_the_worker_runs(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert build_query(operation("Tickets"), {"search": dt.datetime(2026, 3, 1, 12)}) == {"search": "2026-03-01T12:00:00Z"}  # noqa: DTZ001  a naive one is the case
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_null_leaves_its_query_parameter_out():
    assert build_query(operation("Tickets"), {"search": None, "SEARCH": "x", "count": None}) == {"search": "x"}


@every("value", [[], (), ["a,b", "c"], float("nan"), [float("inf")], "\ud800", b"x", {1, 2}, [{"a": {1}}]])
def test_a_query_value_that_halo_would_misread_is_refused(value):
    assert refused(operation("Tickets"), {}, {"search": value}).startswith("GET Tickets: query parameter 'search' ")


def test_one_query_parameter_in_two_spellings_is_refused():
    assert refused(operation("Tickets"), {}, {"search": SECRET, "Search": "b"}) == "GET Tickets: query parameter 'search' is given twice"


@given(ANYTHING)
def test_whatever_the_value_a_query_is_text_or_refused(value):
    try:
        built = build_query(operation("Tickets"), {"search": value})
    except RequestError:
        return
    assert all(isinstance(text, str) for text in built.values())
    assert bool(built) == (value is not None)


def test_one_object_is_wrapped_for_endpoints_that_take_arrays():
    post = operation("Tickets", "POST")
    assert build_request(post, payload={"a": 1}).body == [{"a": 1}]
    assert build_request(post, payload=[{"a": 1}, {"b": 2}]).body == [{"a": 1}, {"b": 2}]
    assert refused(post, payload=SECRET) == "POST Tickets needs an object or an array as payload, not a text"
    assert refused(post) == "POST Tickets needs an object or an array as payload, not nothing"
    assert refused(post, payload=[]) == "POST Tickets: the payload is an empty array, so there is nothing to send"


def test_endpoints_that_take_one_object_get_one_object():
    post = operation("Tickets/Object", "POST")
    assert build_request(post, payload={"a": 1}).body == {"a": 1}
    assert build_request(post, payload=[{"a": 1}]).body == {"a": 1}
    assert refused(post, payload=[{}, {}]) == "POST Tickets/Object takes one object as payload, not an array of 2"
    assert refused(post, payload=[1]) == "POST Tickets/Object takes one object as payload, not an array of 1"
    assert refused(post, payload=5) == "POST Tickets/Object takes one object as payload, not a number"


@pytest.mark.parametrize("payload", [None, {"a": 1}, [1], "text", 5])
def test_a_post_without_a_published_body_sends_the_payload_as_it_is(payload):
    assert build_request(operation("Invoice/{id}/void", "POST"), {"id": 1}, payload=payload).body == payload


def test_get_and_delete_take_no_payload():
    assert build_request(operation("Asset/{id}", "DELETE"), {"id": 3}).body is None
    assert refused(operation("Asset/{id}", "DELETE"), {"id": 3}, payload={"a": SECRET}) == "DELETE Asset/{id} takes no payload, but an object is given"


def test_endpoints_that_take_forms_take_one_object_of_fields():
    built = build_request(operation("Attachment/image", "POST"), payload={"file": {"filename": "a.png", "data_base64": "AA=="}})
    assert built.form
    assert built.body == {"file": {"filename": "a.png", "data_base64": "AA=="}}
    assert refused(operation("Attachment/image", "POST"), payload=[1]) == "POST Attachment/image takes one object as payload, not an array of 1"
