"""What each answer means for the request that brought it."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from tests.tools.every import every
from worker.core.exchange import RequestResult
from worker.halo.outcome import classify
from worker.halo.transport import Answer, Failure

PAGE = {"content-type": "text/html; charset=utf-8"}
JSON = {"content-type": "application/json"}


@every(
    ("result", "fate", "down"),
    [
        (Answer(200, JSON, b'{"id": 7}'), RequestResult.DONE, False),
        (Answer(201, JSON, b'{"id": 7}'), RequestResult.DONE, False),
        (Answer(200, {}, b""), RequestResult.DONE, False),
        (Answer(201, JSON, b" \r\n"), RequestResult.DONE, False),
        (Answer(204), RequestResult.DONE, False),
        (Answer(200, {"content-type": "text/plain"}, b"[]"), RequestResult.DONE, False),
        (Answer(200, JSON, None, "the answer was cut off"), RequestResult.DONE_UNREAD, False),
        (Answer(200, JSON, b'{"id": '), RequestResult.DONE_UNREAD, False),
        (Answer(200, {"content-type": "application/octet-stream"}, b"\x89PNG"), RequestResult.DONE_UNREAD, False),
        (Answer(200, JSON, b"[" * 70 + b"]" * 70), RequestResult.DONE_UNREAD, False),
        (Answer(200, PAGE, b"<html>login</html>"), RequestResult.AMBIGUOUS, True),
        (Answer(200, {}, b"\n<!DOCTYPE html><html></html>"), RequestResult.AMBIGUOUS, True),
        (Answer(301, {"location": "https://login.example/x?user=jane"}), RequestResult.AMBIGUOUS, True),
        (Answer(400, JSON, b'"Name must be unique"'), RequestResult.REJECTED, False),
        (Answer(401), RequestResult.AUTH, True),
        (Answer(403), RequestResult.AUTH, False),
        (Answer(404), RequestResult.REJECTED, False),
        (Answer(405), RequestResult.REJECTED, False),
        (Answer(407), RequestResult.NOT_SENT, True),
        (Answer(408), RequestResult.AMBIGUOUS, False),
        (Answer(413), RequestResult.REJECTED, False),
        (Answer(422), RequestResult.REJECTED, False),
        (Answer(429), RequestResult.THROTTLED, False),
        (Answer(499), RequestResult.REJECTED, False),
        (Answer(500), RequestResult.AMBIGUOUS, False),
        (Answer(502, PAGE, b"<html>"), RequestResult.AMBIGUOUS, True),
        (Answer(503), RequestResult.AMBIGUOUS, True),
        (Answer(504), RequestResult.AMBIGUOUS, True),
        (Answer(520), RequestResult.AMBIGUOUS, False),
        (Failure("refused", sent=False), RequestResult.NOT_SENT, True),
        (Failure("reset", sent=True), RequestResult.AMBIGUOUS, True),
    ],
)
def test_each_answer_has_its_fate(result, fate, down):
    exchange = classify(result)
    assert (exchange.result, exchange.down) == (fate, down)
    assert bool(exchange.reason) == (fate is not RequestResult.DONE)


def test_reasons_tell_what_to_do():
    assert classify(Answer(403)).reason == "Halo answered 403: a scope of the application or a permission of its agent's role is missing"
    assert classify(Answer(200, PAGE, b"<html>")).reason == "Halo answered 200 with a web page instead of JSON: check the client's address"
    redirect = classify(Answer(302, {"location": "https://login.example/x?user=jane"})).reason
    assert redirect == "Halo redirected to login.example (302); redirects are not followed: check the client's address"
    assert classify(Answer(302, {"location": "//[bad"})).reason.startswith("Halo redirected to an address that is not valid")
    assert classify(Answer(502, PAGE, b"<html>secret</html>")).reason == "Halo answered 502"


@every(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "0"}, None),
        ({"retry-after": "12"}, 12.0),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Sun, 22 Nov 2026 10:00:30 GMT", "date": "Sun, 22 Nov 2026 10:00:00 GMT"}, 30.0),
        ({"retry-after": "Sun, 22 Nov 2026 10:00:00 GMT", "date": "Sun, 22 Nov 2026 10:00:30 GMT"}, None),
        ({"retry-after": "99999999999999999999"}, 999999999.0),
    ],
)
def test_retry_after_is_seconds_or_a_date_on_halos_clock(headers, seconds):
    assert classify(Answer(429, headers)).retry_after == seconds


def test_halos_clock_is_read_from_every_answer():
    noon = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    assert classify(Answer(404, {"date": "Sun, 22 Nov 2026 12:00:00 GMT"})).date == noon
    assert classify(Answer(200, {"date": "yesterday"}, b"1")).date is None


@given(
    st.integers(200, 999),
    st.dictionaries(st.sampled_from(["date", "retry-after", "location", "content-type"]), st.text(max_size=40)),
    st.none() | st.binary(max_size=100),
)
def test_no_answer_is_beyond_judgement(status, headers, body):
    exchange = classify(Answer(status, headers, body, "" if body is not None else "the answer was cut off"))
    assert (exchange.result in {RequestResult.DONE, RequestResult.DONE_UNREAD}) <= (status < 300)
