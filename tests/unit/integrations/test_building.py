"""What a method sends for the values of a run, and what it refuses to send."""

import asyncio
import string
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from tests.tools.evaluating import InProcess, now
from worker.config.automation import Integration, IntegrationAuth, Method
from worker.config.run_templates import compile_json_text, compile_run_template
from worker.config.run_values import Values
from worker.config.source_location import NO_LOCATION
from worker.core.errors import CallRefused, ExpressionError
from worker.integrations.request_builder import build_call

PLAIN = frozenset(string.ascii_letters)


def build(path=("/",), base="https://api.example.com/v1", values=None, auth=None, **parts):
    fillers = {name: {key: compile_run_template(value) for key, value in parts.pop(name, {}).items()} for name in ("query", "headers")}
    body = compile_run_template(parts.pop("body")) if "body" in parts else None
    pieces = tuple(compile_run_template(piece) if "<<" in piece else piece for piece in path)
    method = Method("list", "api", parts.pop("verb", "POST"), pieces, body=body, **fillers, **parts)
    integration = Integration("api", base, auth or IntegrationAuth(), {"list": method})
    return asyncio.run(build_call(integration, method, Values(variables=values or {}, plain=PLAIN), InProcess()))


def url(*path, base="https://api.example.com/v1", **values):
    return str(build(path, base, values).url)


def test_the_path_follows_the_prefix_of_the_base_url():
    assert url("/users/", "<<a>>", "/notes", a=7) == "https://api.example.com/v1/users/7/notes"
    assert url("/users", base="https://api.example.com") == "https://api.example.com/users"
    assert url("/users", base="https://api.example.com:8443/v1/") == "https://api.example.com:8443/v1/users"


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("a b", "a%20b"),
        ("ü", "%C3%BC"),
        ("50%", "50%25"),
        ("a?b#c", "a%3Fb%23c"),
        ("a;b=c&d", "a%3Bb%3Dc%26d"),
        ("user@host:80", "user%40host%3A80"),
        ("..a", "..a"),
        (3.0, "3"),
        (3.5, "3.5"),
        (True, "true"),
    ],
)
def test_a_variable_is_one_segment_of_the_path(value, sent):
    assert url("/x/", "<<a>>", "/y", a=value) == f"https://api.example.com/v1/x/{sent}/y"


@pytest.mark.parametrize(
    "value",
    [
        "", " ", ".", "..", "...", "../..", "../../admin", "a/b", "/", "//evil.example", "\\", "..\\..", "a\\b", "%2e%2e", "%2E%2e", ".%2e", "%252e%252e", "%2f", "a%2Fb",
        "%5c", "%252f", "a\r\nb", "a\nHost: evil", "\x00", "a%00b", "a%0d%0ab", "\x7f", "\x85", "\t", "\ud800", None, [], ["a"], {}, {"a": 1},
    ],
)  # fmt: skip
def test_a_variable_that_could_lead_elsewhere_is_refused(value):
    with pytest.raises(CallRefused, match="variable of the path"):
        url("/x/", "<<a>>", a=value)


@pytest.mark.parametrize(
    "path", [("@evil.example/",), (".evil.example/",), (":80/x",), ("evil",), ("/..",), ("/a/../b",), ("/%2e%2e/b",), ("/.",), ("/.", "<<a>>")]
)
def test_a_path_that_leaves_the_base_url_is_refused(path):
    with pytest.raises(CallRefused):
        url(*path, base="https://api.example.com", a=".")
    with pytest.raises(CallRefused):
        url(*path, a=".")


def test_a_path_without_its_first_slash_is_told_as_that():
    with pytest.raises(CallRefused, match=r"api\.list: the path must start with a slash"):
        url("users")


@given(
    st.text(min_size=1, max_size=30) | st.sampled_from(["..", "%2e", "/", "\\", "@", "//", "?", "#", ";"]),
    st.sampled_from([("/x/", "<<a>>"), ("/x-", "<<a>>", "/y")]),
)
def test_no_value_gets_out_of_its_segment(value, path):
    try:
        built = URL(url(*path, a=value), encoded=True)
    except CallRefused:
        return
    assert str(built.origin()) == "https://api.example.com"
    assert built.raw_path.startswith("/v1/x")
    assert built.raw_path.count("/") == 1 + sum(piece.count("/") for piece in path)
    assert not built.raw_query_string
    assert value in built.path


def test_query_parameters_are_encoded_left_out_when_null_and_repeated_for_lists():
    call = build(
        query={"q": "<<a>>", "none": "<<b>>", "list": "<<c>>", "object": "<<d>>", "text": "is <<a>>"}, values={"a": "x&y=z ü", "c": [1, "two"], "d": {"k": [1]}}
    )
    assert list(call.url.query.items()) == [("q", "x&y=z ü"), ("list", "1"), ("list", "two"), ("object", '{"k":[1]}'), ("text", "is x&y=z ü")]
    assert call.url.raw_query_string.startswith("q=x%26y%3Dz%20%C3%BC") or call.url.raw_query_string.startswith("q=x%26y%3Dz+%C3%BC")


def test_a_line_break_in_a_query_value_stays_inside_it():
    assert "%0D%0A" in build(query={"q": "<<a>>"}, values={"a": "a\r\nHost: evil"}).url.raw_query_string


def test_headers_are_text_and_left_out_when_null():
    call = build(headers={"X-One": "<<a>>", "X-None": "<<b>>", "X-Number": "<<c>>"}, values={"a": "é", "c": 7})
    assert call.headers == {"X-One": "é", "X-Number": "7"}


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\rb", "a\x00b", "\x7f"])
def test_a_header_that_would_become_two_is_refused_without_its_value(value):
    with pytest.raises(CallRefused) as refused:
        build(headers={"X-One": "<<a>>"}, values={"a": "marker" + value})
    assert "X-One" in str(refused.value)
    assert "marker" not in str(refused.value)


@pytest.mark.parametrize(
    "name",
    [
        *("Host", "content-length", "Transfer-Encoding", "Transfer_Encoding", "Connection", "Keep-Alive", "TE", "Trailer", "Upgrade", "HTTP2-Settings"),
        *("Proxy-Authorization", "Proxy-Connection", "Proxy-Authenticate", "Accept-Encoding", "Expect", "X\r\nEvil", "X:", ""),
    ],
)
def test_headers_of_the_connection_are_not_the_methods(name):
    with pytest.raises(CallRefused, match="cannot be set"):
        build(headers={name: "x"})


@pytest.mark.parametrize("name", ["AUTHORIZATION", "Cookie"])
def test_headers_with_credentials_are_the_methods_only_where_nothing_else_sends_any(name):
    assert build(headers={name: "x"}).headers == {name: "x"}
    with pytest.raises(CallRefused, match="cannot be set"):
        build(headers={name: "x"}, auth=IntegrationAuth("bearer", token="t"))


def test_a_file_is_sent_as_its_bytes_or_as_a_part_of_a_form():
    encoded = b64encode(b"\x00\xff\r\n").decode()
    sent = build(body_kind="base64", body="<<a>>", values={"a": encoded})
    assert (sent.data, sent.headers) == (b"\x00\xff\r\n", {"Content-Type": "application/octet-stream"})
    parts = {"file": {"base64": "<<a>>", "filename": "<<n>>", "content_type": "image/png"}, "note": "hi <<n>>", "count": 3, "none": "<<nothing>>"}
    sent = build(body_kind="multipart", body=parts, values={"a": encoded, "n": 'a".png\r\nX: 1'})
    assert sent.headers["Content-Type"].startswith("multipart/form-data; boundary=")
    assert b'name="file"; filename="a%22.png%0D%0AX: 1"' in sent.data
    assert b"\r\n\r\n\x00\xff\r\n\r\n" in sent.data
    assert b'name="count"\r\n\r\n3\r\n' in sent.data.replace(b"Content-Type: text/plain; charset=utf-8\r\n", b"").replace(b"Content-Length: 1\r\n", b"")
    assert b"none" not in sent.data


@pytest.mark.parametrize(
    ("kind", "body", "values"),
    [
        ("base64", "<<a>>", {"a": "not base64!"}),
        ("base64", "<<a>>", {"a": 7}),
        ("base64", "<<a>>", {"a": "A" * (12 * 1024 * 1024)}),
        ("multipart", {"file": {"base64": "<<a>>"}}, {"a": "%"}),
        ("multipart", {"file": {"base64": "", "content_type": "<<a>>"}}, {"a": "text/plain\r\nX-Evil: 1"}),
        ("multipart", "<<a>>", {"a": ["x"]}),
    ],
)
def test_files_that_are_none_or_too_large_are_not_sent(kind, body, values):
    with pytest.raises(CallRefused) as refused:
        build(body_kind=kind, body=body, values=values)
    assert "evil" not in str(refused.value).lower()


@pytest.mark.parametrize(
    ("kind", "body", "content_type", "data"),
    [
        ("json", {"n": "<<a>>", "t": "say <<b>>"}, "application/json", b'{"n":7,"t":"say hi"}'),
        ("json", "<<a>>", "application/json", b"7"),
        ("json", ["<<b>>"], "application/json", b'["hi"]'),
        ("text", "n is <<a>>", "text/plain; charset=utf-8", b"n is 7"),
        ("text", "<<a>>", "text/plain; charset=utf-8", b"7"),
        ("form", {"n": "<<a>>", "none": "<<z>>", "many": ["<<b>>", 2], "t": "ü &"}, "application/x-www-form-urlencoded", b"n=7&many=hi&many=2&t=%C3%BC+%26"),
    ],
)
def test_bodies(kind, body, content_type, data):
    call = build(body=body, body_kind=kind, values={"a": 7, "b": "hi"})
    assert (call.headers, call.data) == ({"Content-Type": content_type}, data)


def test_a_body_that_is_null_is_none():
    call = build(body="<<a>>")
    assert (call.headers, call.data) == ({}, None)


def test_the_methods_own_content_type_stands():
    assert build(body={"a": 1}, headers={"content-type": "application/vnd.api+json"}).headers == {"content-type": "application/vnd.api+json"}


@pytest.mark.parametrize("value", ["x", ["x"], 7, {"\ud800": 1}])
def test_a_form_of_something_else_is_refused(value):
    with pytest.raises(CallRefused, match="a form must be a mapping"):
        build(body="<<a>>", body_kind="form", values={"a": value})


def test_a_value_that_json_cannot_hold_is_refused():
    with pytest.raises(CallRefused, match="the body"):
        build(body={"n": "<<a>>"}, values={"a": "\ud800"})


@pytest.mark.parametrize(
    "parts", [{}, {"body": "<<Missing>>"}, {"headers": {"Content-Type": "application/json"}}, {"headers": {"content-type": "<<a>>"}, "body": None}]
)
def test_without_a_body_there_is_no_content_type(parts):
    call = build(values={"a": "application/json"}, **parts)
    assert (call.data, call.headers) == (None, {})


@pytest.mark.parametrize(
    ("kind", "content_type", "body"),
    [
        ("json", "text/xml", {"a": 1}),
        ("json", "application/x-www-form-urlencoded", {"a": 1}),
        ("json", "application/json; charset=latin1", {"a": 1}),
        ("form", "application/json", {"a": 1}),
        ("text", "multipart/form-data", "a"),
    ],
)
def test_a_content_type_that_contradicts_the_body_is_not_sent(kind, content_type, body):
    with pytest.raises(CallRefused, match="Content-Type"):
        build(body_kind=kind, headers={"Content-Type": "<<a>>"}, body=body, values={"a": content_type})


@pytest.mark.parametrize(("content_type", "sent"), [("application/vnd.api+json", b'{"a":12}'), ("application/json; charset=UTF-8", b'{"a":12}')])
def test_other_names_of_json_go_with_a_mapping_and_whole_floats_go_as_integers(content_type, sent):
    call = build(headers={"Content-Type": content_type}, body={"a": "<<a>>"}, values={"a": 12.0})
    assert (call.data, call.headers) == (sent, {"Content-Type": content_type})


def test_a_text_that_is_to_be_json_and_is_none_is_not_sent():
    with pytest.raises(CallRefused, match=r"the text that is to go out as JSON is none once it is filled in: .* write the body as a mapping"):
        build(body_kind="text", headers={"Content-Type": "application/json"}, body='{"a": <<a>>}', values={"a": "x"})


@pytest.mark.parametrize("value", ['say "no"', "two\nlines", "back\\slash", '", "admin": "yes'])
def test_a_value_within_the_quotes_of_a_json_text_cannot_change_the_json(value):
    template = compile_json_text('{"prompt": "<<a>>", "n": <<b>>}', NO_LOCATION)
    assert now(template.fill(Values({"a": "plain ü", "b": {"c": [1]}}, PLAIN), InProcess())) == '{"prompt": "plain ü", "n": {"c":[1]}}'
    with pytest.raises(ExpressionError, match="write the body as a mapping"):
        now(template.fill(Values({"a": value, "b": 1}, PLAIN), InProcess()))
