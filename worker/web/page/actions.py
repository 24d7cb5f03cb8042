"""The forms of actions: sign in and out, replay, discard, edit, pause and resume. They need a session, and a page of this worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import structlog
from aiohttp import web

from worker.core.errors import WorkerError
from worker.web.page.lists import filter_letters
from worker.web.page.model import LetterRow, Letters, PageBackend
from worker.web.page.pages import StatusPages
from worker.web.page.rendering import Rendering
from worker.web.page.sessions import COOKIE, LIFE, Session, Sessions
from worker.web.serving import answer

logger = structlog.get_logger()
BULK = 500
"""Maximum letters of one click: some seconds of work."""
VERDICTS = frozenset({"sent", "not-sent", "look"})
NO_TOKEN = "no viewer may act here: set WORKER_ADMIN_TOKEN or WORKER_ADMIN_TOKEN_FILE, and start the worker again"  # noqa: S105 - a sentence
SIGN_IN = "sign in with the admin token first"
FIELDS = ("action", "back", "body", "class", "csrf", "key", "queue", "reason", "route", "until", "verdict")
UNNAMED = "name the letter by `queue` and `key`, as the address of its page has them; for several, `route`, `class` and `until` (seconds since 1970)"
OLD_FORM = "the form is old or was not made for this session; nothing was done: open the page again"
FORM, UTF8 = "application/x-www-form-urlencoded", "utf-8"
Form = Mapping[str, str]


class NotDone(WorkerError):
    """The action was refused; the text is a sentence with the reason."""

    def __init__(self, reason: str, status: int = 409) -> None:
        super().__init__(reason)
        self.status = status


class Actions:
    """Answers the forms. `pages`: finds the row of a letter."""

    def __init__(self, page_backend: PageBackend, pages: StatusPages, rendering: Rendering, sessions: Sessions) -> None:
        self._backend = page_backend
        self._pages = pages
        self._rendering = rendering
        self._sessions = sessions

    async def sign_in_page(self, request: web.Request) -> web.Response:
        return self._rendering.page(request, await session_of(self._sessions, request), "login.html", next=local(request.query.get("next", "")), wrong="")

    async def sign_in(self, request: web.Request) -> web.Response:
        form = await form_of(request)
        onward = local(form.get("next", ""))
        cookie = await self._sessions.begin(form.get("token", "").strip(), request.remote or "")
        if cookie is None:
            logger.warning("operator.refused", peer=request.remote)
            wrong = "the token is wrong" if self._sessions.possible else NO_TOKEN
            return self._rendering.page(request, None, "login.html", 403, next=onward, wrong=wrong)
        response = web.Response(status=303, headers={"Location": onward})
        response.set_cookie(COOKIE, cookie, max_age=LIFE, path="/", httponly=True, samesite="Strict", secure=is_encrypted(request))
        return response

    async def sign_out(self, _: web.Request) -> web.Response:
        response = web.Response(status=303, headers={"Location": "/"})
        response.del_cookie(COOKIE, path="/", httponly=True, samesite="Strict")
        return response

    async def confirm(self, request: web.Request) -> web.Response:
        """Ask before letters are discarded, or many are replayed."""
        session = await session_of(self._sessions, request)
        action = request.query.get("action", "")
        try:
            self._required(session)
            rows = await self._selected_rows(action, request.query)
        except NotDone as refused:
            return self._refuse(request, session, refused)
        newest = max((row.at or 0.0 for row in rows), default=0.0)
        return self._rendering.page(request, session, "confirm.html", action=action, rows=rows, until=newest, given=dict(request.query), bulk=BULK)

    async def act(self, request: web.Request) -> web.Response:
        session = None
        try:
            session = self._required(await session_of(self._sessions, request))
            form = await form_of(request)
            self._require_own(session, form)
            require_known(form)
            sentence = await self._done(form, request.remote or "unknown")
        except NotDone as refused:
            return self._refuse(request, session, refused)
        except (WorkerError, TimeoutError) as error:
            return self._refuse(request, session, NotDone(str(error) or "the broker did not answer in time"))
        if wants_json(request):
            return answer(200, {"outcome": sentence})
        return self._rendering.page(request, session, "told.html", title="Done", text=f"{sentence}.", back=local(form.get("back", "/")))

    def _require_own(self, session: Session, form: Form) -> None:
        if not self._sessions.fits(session, form.get("csrf", "")):
            raise NotDone(OLD_FORM, 403)

    async def _selected_rows(self, action: str, given: Mapping[str, str]) -> Sequence[LetterRow]:
        if action not in {"replay", "discard"}:
            raise NotDone("there is no such action", 404)
        return await self._rows({**given, "until": given.get("until") or "inf"})

    def _required(self, session: Session | None) -> Session:
        if session is None:
            raise NotDone(SIGN_IN if self._sessions.possible else NO_TOKEN, 403)
        return session

    async def _done(self, form: Form, peer: str) -> str:
        match form.get("action"):
            case "pause":
                return await self._backend.pause(form.get("route", ""), form.get("reason", "").strip(), f"the status page, from {peer}")
            case "resume":
                return await self._backend.resume(form.get("route", ""))
            case "replay":
                verdict = form.get("verdict") or None
                if verdict is not None and verdict not in VERDICTS:
                    raise NotDone("there is no such verdict", 400)
                return await self._backend.replay(await self._rows(form), verdict)
            case "discard":
                return await self._backend.discard(await self._rows(form))
            case "edit":
                return await self._backend.edit((await self._rows(form, one=True))[0], form.get("body", ""))
            case _:
                raise NotDone("there is no such action", 404)

    async def _rows(self, given: Mapping[str, str], *, one: bool = False) -> Sequence[LetterRow]:
        """Return one letter by its queue and key, or the letters of a route and a class that were dead at the time `until`; the oldest first. Never empty.

        A request without `key` and without `until` is refused: a program that forgets to name the letter does not mean all letters.
        """
        if not given.get("key") and (one or seconds_of(given.get("until", "")) is None):
            raise NotDone(UNNAMED, 400)
        if given.get("key"):
            row = await self._pages.row_of(given.get("queue", ""), given["key"])
            rows = [] if row is None else [row]
        else:
            seen = await self._backend.letters(None)
            until = seconds_of(given.get("until", ""))
            rows = filter_letters((seen.value or Letters()).rows, given.get("route", ""), given.get("class", ""), until)[::-1][:BULK]
        if not rows:
            raise NotDone("nothing was done: no such letter is there. It may have gone, or died in the last seconds: look again", 404)
        return rows

    def _refuse(self, request: web.Request, session: Session | None, refused: NotDone) -> web.Response:
        if wants_json(request):
            return answer(refused.status, {"error": str(refused)})
        back = "/login" if session is None and self._sessions.possible else "/"
        return self._rendering.page(request, session, "told.html", refused.status, title="Not done", text=f"Not done: {refused}.", back=back)


async def session_of(sessions: Sessions, request: web.Request) -> Session | None:
    """Return the session of a request; None without a session."""
    return await sessions.of(request.cookies, request.headers.get("Authorization", ""), request.remote or "")


async def form_of(request: web.Request) -> Form:
    """Return the text fields of a form. Raises `web.HTTPBadRequest` for any other content.

    Multipart forms are refused: each of their files would be written to the disk, without a token. Unknown charsets are refused too: Python remembers each
    one that it looks up.
    """
    if request.content_type != FORM or (request.charset or UTF8).lower() != UTF8:
        raise web.HTTPBadRequest
    try:
        fields = await request.post()
    except ValueError:  # bytes that are not UTF-8
        raise web.HTTPBadRequest from None
    return {name: value for name, value in fields.items() if isinstance(value, str)}


def require_known(form: Form) -> None:
    """Refuse unknown fields: with a misspelt field an action would cover more letters. Raises `NotDone`."""
    if unknown := sorted(form.keys() - set(FIELDS)):
        raise NotDone(f"nothing was done: there is no field {unknown[0][:60]!r}; valid are {', '.join(FIELDS)}", 400)


def seconds_of(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def local(address: str) -> str:
    """Return an address of this page; for any other address the start page."""
    return address if address.startswith("/") and not address.startswith("//") and "\\" not in address and address.isprintable() else "/"


def wants_json(request: web.Request) -> bool:
    return "application/json" in request.headers.get("Accept", "")


def is_encrypted(request: web.Request) -> bool:
    """Whether the browser uses TLS, to the worker or to a proxy. A program that claims this falsely only locks itself out."""
    return request.secure or request.headers.get("X-Forwarded-Proto", "") == "https"
