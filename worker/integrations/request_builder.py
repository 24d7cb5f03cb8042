"""Builds the request of a method: fills path, query, headers and body, and refuses values that would change its destination."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote, unquote, urlencode

from yarl import URL

from worker.catalogue.errors import RequestError
from worker.catalogue.values import is_text, segment_problem
from worker.config.automation import Integration, Method
from worker.config.run_values import Values
from worker.core.errors import CallRefused, Undecodable
from worker.core.exact_numbers import may_have_fractions
from worker.core.header_names import header_problem, is_credential_header
from worker.core.json_codec import decode, encode, encode_draft
from worker.core.media_types import disagreement, is_json
from worker.core.ports import Evaluator
from worker.core.url_paths import MAX_DECODINGS
from worker.halo.forms import encode_form, file_bytes
from worker.halo.transport import Call
from worker.threads import finish_draft_in_thread, in_thread_if_large

PATH_SAFE = "/:@!$&'()*+,;=~%-._"
MAX_FILE_BODY = 8 * 1024 * 1024


async def build_call(integration: Integration, method: Method, values: Values, evaluator: Evaluator, timeout: float | None = None) -> Call:  # noqa: ASYNC109 - part of the call
    """Build the call without its authorization. Raises `ExpressionError`, `EvaluatorUnavailable`, or `CallRefused` for values that cannot be sent."""
    values = replace(values, customer=integration.values) if integration.customer else values
    try:
        url = await build_url(integration, method, values, evaluator)
        kind, data = await fill_body(method, values, evaluator)
        headers = await fill_headers(method, values, evaluator, credentials=integration.sets_credentials(method.name))
    except RequestError as error:
        raise CallRefused(f"{method.full_name}: {error}") from None
    try:
        return Call(
            method.verb,
            url,
            with_content_type(headers, kind, data, method),
            data,
            timeout or method.timeout,
            name=method.full_name,
            customer=integration.customer,
        )
    except RequestError as error:
        raise CallRefused(f"{method.full_name}: {error}") from None


def with_content_type(headers: dict[str, str], kind: str, data: bytes | None, method: Method) -> dict[str, str]:
    """Return the headers with the content type of the body; without a body, without a content type. Raises `RequestError` if the two contradict."""
    given = next((name for name in headers if name.lower() == "content-type"), None)
    if data is None:
        return {name: value for name, value in headers.items() if name != given}
    if given is None:
        return headers | {"Content-Type": kind}
    if problem := disagreement(headers[given], method.body_kind):
        raise RequestError(problem)
    if method.body_kind == "text" and is_json(headers[given]):
        try:
            decode(data)
        except Undecodable as error:
            raise RequestError(f"the text that is to go out as JSON is none once it is filled in: {error}; write the body as a mapping") from None
    return headers


async def build_url(integration: Integration, method: Method, values: Values, evaluator: Evaluator) -> URL:
    base = URL(integration.base_url)
    prefix = base.raw_path.rstrip("/")
    path = "".join([quote(part, safe=PATH_SAFE) if isinstance(part, str) else filled_segment(await part.fill(values, evaluator)) for part in method.path])
    if path and not path.startswith("/"):
        raise RequestError("the path must start with a slash")
    if any(unquote(piece) in {".", ".."} for piece in path.split("/")):
        raise RequestError("the path holds a segment of dots")
    url = URL(f"{base.origin()}{prefix}{path}", encoded=True)
    if url.origin() != base.origin() or url.raw_user is not None or not f"{url.raw_path}/".startswith(f"{prefix}/"):
        raise RequestError("the path leads away from the base_url")
    return url.with_query(await fill_query(method, values, evaluator))


def filled_segment(value: Any) -> str:
    """Return a path segment or a part of one, encoded. Refuse text that a server could read as a path separator or as `..` after repeated decoding."""
    if isinstance(value, dict | list):
        raise RequestError("a variable of the path is neither a text nor a number")
    text = parameter_text("a variable of the path", value)
    if not text:
        raise RequestError("a variable of the path is empty")
    decoded = text
    for _ in range(MAX_DECODINGS):
        if problem := segment_problem(decoded):
            raise RequestError(f"a variable of the path {problem}")
        decoded = unquote(decoded)
    return quote(text, safe="")


async def fill_query(method: Method, values: Values, evaluator: Evaluator) -> list[tuple[str, str]]:
    """Return the query parameters: null omits a parameter; a list repeats it."""
    return [
        (name, text) for name, filler in method.query.items() for text in parameter_texts(f"the query parameter {name}", await filler.fill(values, evaluator))
    ]


async def fill_headers(method: Method, values: Values, evaluator: Evaluator, *, credentials: bool = False) -> dict[str, str]:
    """Return the headers. `credentials`: whether the method may set headers that carry credentials."""
    filled = {name: parameter_text(f"the header {name}", await filler.fill(values, evaluator)) for name, filler in method.headers.items()}
    return {name: checked_header(name, text, credentials=credentials) for name, text in filled.items() if text is not None}


def checked_header(name: str, text: str, *, credentials: bool = False) -> str:
    """Return the value without surrounding spaces. Raises `RequestError`, which names the header and never its value."""
    if is_credential_header(name) and not credentials:
        raise RequestError(f"the header {name!r} cannot be set by a method: it belongs to `auth`")
    if problem := header_problem(name, text):
        raise RequestError(problem)
    return text.strip()


async def fill_body(method: Method, values: Values, evaluator: Evaluator) -> tuple[str, bytes | None]:
    """Return the content type and the bytes; null means no body."""
    body = None if method.body is None else await method.body.fill(values, evaluator)
    if body is None:
        return "", None
    if method.body_kind in {"multipart", "base64"}:
        return await fill_file_body(body, method.body_kind)
    if method.body_kind == "text":
        return "text/plain; charset=utf-8", (parameter_text("the body", body) or "").encode()
    if method.body_kind == "form":
        if not isinstance(body, Mapping) or not all(map(is_text, body)):
            raise RequestError("a form must be a mapping from names to values")
        fields = [(name, text) for name, value in body.items() for text in parameter_texts(f"the field {name}", value)]
        size = sum(len(text) for _, text in fields)
        return "application/x-www-form-urlencoded", await in_thread_if_large(size, lambda: urlencode(fields).encode())
    try:
        text = encode_draft(body)
        return "application/json", await finish_draft_in_thread(text) if may_have_fractions(text) else text
    except Undecodable as error:
        raise RequestError(f"the body: {error}") from None


async def fill_file_body(body: Any, kind: str) -> tuple[str, bytes]:
    """Return a form with files, or the bytes of one file. Raises `RequestError`."""
    try:
        if kind == "base64":
            if not isinstance(body, str):
                raise RequestError("the body is no text: a file is written in Base64")
            content_type, data = "application/octet-stream", await in_thread_if_large(len(body), lambda: file_bytes("body", body, "base64"))
        else:
            parts = {name: part for name, part in body.items() if part is not None} if isinstance(body, Mapping) else body
            data, content_type = await encode_form(parts, "base64")
    except Undecodable as error:
        raise RequestError(f"the body: {error}") from None
    if len(data) > MAX_FILE_BODY:
        raise RequestError(f"the body has {len(data):,} bytes; at most {MAX_FILE_BODY:,} are sent with files")
    return content_type, data


def parameter_texts(name: str, value: Any) -> list[str]:
    texts = [parameter_text(name, item) for item in (value if isinstance(value, list) else [value])]
    return [text for text in texts if text is not None]


def parameter_text(name: str, value: Any) -> str | None:
    """Return a scalar as text, an object or list as JSON, None for null."""
    if value is None:
        return None
    if isinstance(value, str):
        if not is_text(value):
            raise RequestError(f"{name} contains half of a surrogate pair")
        return value
    try:
        return encode(value).decode()
    except Undecodable:
        raise RequestError(f"{name} contains a value that JSON cannot represent") from None
