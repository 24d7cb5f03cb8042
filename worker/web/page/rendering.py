"""Fills the templates of the status page: it escapes all values, and an undefined value is an error."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from worker import __version__
from worker.core.printable import printable
from worker.web.page import formatting
from worker.web.page.sessions import Session

CODE = re.compile("`([^`]+)`")
FOLDER = Path(__file__).parent
STATIC = {"page.css": "text/css", "live.js": "text/javascript", "htmx.min.js": "text/javascript", "icon.svg": "image/svg+xml"}


class Rendering:
    """`now`: returns seconds since 1970. `possible`: whether a token is set, so that viewers may act."""

    def __init__(self, now: Callable[[], float], *, possible: bool) -> None:
        self._now = now
        self.files = {name: (FOLDER / "static" / name).read_bytes() for name in STATIC}
        version = sha256(b"".join(self.files.values())).hexdigest()[:12]
        made = Environment(
            loader=FileSystemLoader(FOLDER / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            finalize=visible,
        )
        made.filters |= {name: getattr(formatting, name) for name in ("age", "moment", "iso", "number", "mark")}
        made.filters["code"] = with_code
        made.globals |= {
            "counted": formatting.with_noun,
            "link": link,
            "assets": {name: f"/static/{name}?v={version}" for name in STATIC},
            "version": __version__,
            "possible": possible,
            "remedies": formatting.REMEDIES,
        }
        self._environment = made

    def page(self, request: web.Request, session: Session | None, template: str, status: int = 200, **values: Any) -> web.Response:
        """Return the whole page, or only its live part for a request of htmx."""
        text = self._environment.get_template(template).render(
            fragment=request.headers.get("HX-Request") == "true",
            here=request.rel_url.path_qs,
            path=request.path,
            session=session,
            now=self._now(),
            **({"trouble": "", "read_at": None, "pending": False, "live": False} | values),
        )
        return web.Response(status=status, text=text, content_type="text/html", headers={"Vary": "HX-Request, Cookie"})

    async def static(self, request: web.Request) -> web.Response:
        """Return a file of the page itself; its address changes with its content."""
        name = request.match_info["name"]
        if name not in self.files:
            raise web.HTTPNotFound
        return web.Response(body=self.files[name], content_type=STATIC[name], charset="utf-8", headers={"Cache-Control": "max-age=86400"})


def visible(value: Any) -> Any:
    """Return a text with visible control characters, except line ends."""
    return printable(value) if type(value) is str else value


def with_code(text: str) -> Markup:
    """Return the escaped text, with the parts between backticks as code."""
    return Markup(CODE.sub(r"<code>\1</code>", str(escape(printable(text)))))  # noqa: S704 - escaped before


def link(path: str, parameters: Mapping[str, object] | None = None, /, **more: object) -> str:
    """Return an address of the page, without parameters that are None or empty."""
    given = {name: str(value) for name, value in ((dict(parameters) if parameters else {}) | more).items() if value not in {None, ""}}
    return f"{path}?{urlencode(given)}" if given else path
