"""The bodies of Halo's answers: JSON, the two forms of errors, the login page."""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import web

from worker.core.exact_numbers import fragment
from worker.sandbox.settings import Wrapper

LOGIN_PAGE = "<!DOCTYPE html><html><head><title>Log in</title></head><body><form method='post'><input name='username'></form></body></html>"
JSON_TYPE = "application/json"


def json_answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=orjson.dumps(value, fragment), status=status, headers=headers, content_type=JSON_TYPE, charset="utf-8")


def login_page(status: int = 200) -> web.Response:
    return web.Response(text=LOGIN_PAGE, status=status, content_type="text/html")


def error_body(text: str, wrapper: Wrapper) -> Any:
    """A JSON string, or a serialized .NET exception."""
    if wrapper is Wrapper.STRING:
        return text
    return {
        "ClassName": "System.Exception",
        "Message": text,
        "Data": None,
        "InnerException": None,
        "HelpURL": None,
        "StackTraceString": "   at Halo.Api.Controllers.BaseController",
        "RemoteStackTraceString": None,
        "RemoteStackIndex": 0,
        "ExceptionMethod": None,
        "HResult": -2146233088,
        "Source": "Halo.Api",
        "WatsonBuckets": None,
    }


def refusal_answer(text: str, wrapper: Wrapper, status: int = 400) -> web.Response:
    return json_answer(error_body(text, wrapper), status)
