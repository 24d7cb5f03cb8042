"""Logs: one line per event, in both forms, without secrets, whatever is logged and by whom."""

import io
import logging
import sys
import warnings
from datetime import UTC, date, datetime
from uuid import UUID

import orjson
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.every import every
from worker.core.redaction import MASK, is_secret_name, redact, redact_text
from worker.logs import configure

PLANTED = "Hunter2planted"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"


@pytest.fixture(autouse=True)
def _logging_as_before():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    logging.captureWarnings(capture=False)
    root.handlers[:], root.level = handlers, level


def lines(stream: io.StringIO) -> list[dict]:
    return [orjson.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_json_line_with_utc_time_level_and_fields():
    stream = io.StringIO()
    configure("info", "json", stream)
    structlog.get_logger().info("message.done", route="assets", status=201)
    (line,) = lines(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "message.done", "level": "info", "route": "assets", "status": 201}


def test_without_a_terminal_logs_are_json():
    stream = io.StringIO()
    configure(stream=stream)
    structlog.get_logger().info("page.read")
    assert lines(stream)[0]["event"] == "page.read"


def test_on_a_terminal_logs_are_coloured_lines():
    stream = io.StringIO()
    stream.isatty = lambda: True
    configure(stream=stream)
    structlog.get_logger().info("page.read", rows=3)
    assert "page.read" in stream.getvalue()
    assert "\x1b[" in stream.getvalue()


def test_context_variables_follow_into_every_line():
    stream = io.StringIO()
    configure("info", "json", stream)
    with structlog.contextvars.bound_contextvars(correlation_id="c1", route="tickets"):
        structlog.get_logger().info("page.read")
        logging.getLogger("library").warning("said")
    assert [(line["correlation_id"], line["route"]) for line in lines(stream)] == [("c1", "tickets")] * 2


def test_events_below_the_level_are_not_written():
    stream = io.StringIO()
    configure("warning", "json", stream)
    structlog.get_logger().info("page.read")
    logging.getLogger("library").info("said")
    assert stream.getvalue() == ""


def test_libraries_speak_through_the_same_lines_and_the_talkative_only_from_warning_on():
    stream = io.StringIO()
    configure("debug", "json", stream)
    logging.getLogger("library").debug("said %s", "this")
    for name in ("aio_pika.connection", "aiormq.channel", "aiohttp.access"):
        logging.getLogger(name).info("frames")
    logging.getLogger("aiormq.connection").error("what we tell ourselves, with what to do")
    logging.getLogger("aiormq.channel").warning("lost amqp://user:%s@host/", PLANTED, extra={"password": PLANTED})
    said, lost = lines(stream)
    assert (said["event"], said["logger"], said["level"]) == ("said this", "library", "debug")
    assert (lost["event"], lost["logger"], lost["password"]) == ("lost amqp://***@host/", "aiormq.channel", MASK)


def test_python_warnings_are_lines_too():
    stream = io.StringIO()
    configure("info", "json", stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old way", DeprecationWarning, stacklevel=1)
    assert "old way" in lines(stream)[0]["event"]


@pytest.mark.parametrize("form", ["json", "console"])
def test_an_exception_is_told_without_the_values_of_local_variables(form):
    stream = io.StringIO()
    configure("info", form, stream)

    def connect(password):
        local = password * 2
        raise ValueError(f"no connection to amqp://user:{password}@host/ ({len(local)})")

    try:
        connect(PLANTED)
    except ValueError:
        structlog.get_logger().exception("broker.lost")
        logging.getLogger("library").exception("lost")
    written = stream.getvalue()
    assert written.count("no connection to amqp://***@host/") >= 2
    assert PLANTED not in written
    assert "connect" in written


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_planted_secret_is_written_wherever_it_stands(form):
    stream = io.StringIO()
    configure("debug", form, stream)
    structlog.get_logger().info(
        f"called https://user:{PLANTED}@host/",
        client_secret=PLANTED,
        headers={"Authorization": f"Bearer {PLANTED}", "X-Api-Key": PLANTED, "Set-Cookie": [PLANTED]},
        nested=[{"deep": ({"accessToken": PLANTED}, f"Bearer {PLANTED}")}],
        url=f"https://host/auth/token?client_secret={PLANTED}&x=1",
        form=f"grant_type=password&password={PLANTED}",
        body=f'{{"access_token": "{PLANTED}", "refresh_token":"{PLANTED}"}}',
        raw=PLANTED.encode(),
        jwt=f"got {JWT}",
        error=ValueError(f"amqp://user:{PLANTED}@host/"),
        errors=[KeyError(f"Bearer {PLANTED}")],
        unencoded=[f"amqp://user:p@{PLANTED}/word@host", f"amqps://user:/{PLANTED}@host", f"amqp://user:#{PLANTED}@host/v"],
    )
    written = stream.getvalue()
    assert PLANTED not in written
    assert JWT not in written
    assert "x=1" in written


@every("value", [2**80, "\ud800", object(), {1: "a", (1, 2): "b"}, {"a": {1, 2}}, float("nan"), b"\xff", ValueError("x"), [[[[[[[[[[[1]]]]]]]]]]]])
def test_no_value_makes_a_log_line_fail(value):
    stream = io.StringIO()
    configure("info", "json", stream)
    structlog.get_logger().info("message.done", value=value)
    assert lines(stream)[0]["event"] == "message.done"


@every("name", ["password", "Client-Secret", "access_token", "accessToken", "X-API-Key", "Authorization", "Proxy-Authorization", "cookie", "private_key"])
def test_names_of_secrets_are_recognised(name):
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["token_url", "secretary", "password_set", "key", "tokens_used", "client_id", "author"])
def test_other_names_are_left_alone(name):
    assert not is_secret_name(name)


@every(
    "text",
    [
        "basic authentication failed",
        "no token: connection refused",
        "https://acme.haloitsm.com/api/Tickets?page_no=2&order=id",
        "the bearer of news",
        "mail me@example.org",
        "status=200",
        "2026-11-22T12:00:00Z",
        "Basic authorization was refused",
    ],
)
def test_sentences_without_secrets_stay_as_they_are(text):
    assert redact_text(text) == text


@pytest.mark.parametrize("value", [None, True, 3, 1.5, date(2026, 1, 2), datetime(2026, 1, 2, tzinfo=UTC), UUID(int=1)])
def test_plain_values_stay_as_they_are(value):
    assert redact({"status": value}) == {"status": value}


def test_a_structure_that_holds_itself_ends():
    value: dict = {}
    value["again"] = value
    assert "…" in str(redact(value))


@given(st.text())
def test_redacting_twice_changes_nothing_more(text):
    assert redact_text(redact_text(text)) == redact_text(text)


def test_standard_error_is_where_logs_go_by_default(capsys):
    configure("info", "json")
    structlog.get_logger().info("worker.started")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert orjson.loads(captured.err)["event"] == "worker.started"
    assert sys.stderr is not None


def raised(text):
    with pytest.raises(ValueError) as caught:
        int(f"no number {text}")
    return caught.value


@every("form", ["json", "console"])
@every("bad", ["\x1b[2J", "\x9b2J", "\u202egnp", "\x07", "\x7f"])
def test_nothing_that_an_id_holds_steers_the_terminal(form, bad):
    stream = io.StringIO()
    configure("info", form, stream)
    structlog.contextvars.bind_contextvars(message=f"id{bad}")
    structlog.get_logger().info("message.done", key=f"k{bad}", nested={f"n{bad}": [f"v{bad}"]}, **{f"name{bad}": 1})
    logging.getLogger("library").warning("from %s", bad)
    structlog.get_logger().error("route.failed", exc_info=raised(bad))
    assert bad not in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_a_line_break_in_data_begins_no_line_of_a_console_log_and_a_traceback_keeps_its_own():
    stream = io.StringIO()
    configure("info", "console", stream)
    structlog.get_logger().info("message.done", id="m1\n2026-01-01", reason="a b\n2026 [error] forged")
    logging.getLogger("library").warning("one\n2026 [error] forged")
    assert len(stream.getvalue().splitlines()) == 2
    structlog.get_logger().error("route.failed", exc_info=raised("x"))
    assert "\nTraceback (most recent call last):\n" in stream.getvalue()


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_known_secret_is_masked_in_a_line_whatever_it_is_called(form):
    stream = io.StringIO()
    configure("info", form, stream, hide=lambda text: text.replace("swordfish-7f3a", MASK))
    structlog.get_logger().info("run.failed", reason="the API said: key swordfish-7f3a is not valid", **{"swordfish-7f3a": 1})
    logging.getLogger("library").warning("sent swordfish-7f3a")
    assert "swordfish" not in stream.getvalue()
    assert stream.getvalue().count(MASK) == 3
