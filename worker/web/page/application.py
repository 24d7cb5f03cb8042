"""The addresses of the status page, on the application of the admin port."""

from __future__ import annotations

from functools import partial

from aiohttp import web

from worker.core.ports import Clock
from worker.web.page.actions import Actions, session_of
from worker.web.page.model import PageBackend
from worker.web.page.pages import StatusPages
from worker.web.page.rendering import Rendering
from worker.web.page.sessions import Sessions


def add_page(served: web.Application, page_backend: PageBackend, token: str | None, clock: Clock) -> None:
    """Add the page. `token`: lets a viewer act; None: no viewer may act."""
    sessions, rendering = Sessions(token, clock), Rendering(clock.now, possible=token is not None)
    pages = StatusPages(page_backend, rendering, partial(session_of, sessions))
    actions = Actions(page_backend, pages, rendering, sessions)
    shown = {
        "/": pages.overview,
        "/route": pages.route,
        "/dead": pages.dead,
        "/letter": pages.letter,
        "/runs": pages.runs,
        "/run": pages.run,
        "/story": pages.story,
        "/clients": pages.clients,
        "/confirm": actions.confirm,
        "/login": actions.sign_in_page,
        "/static/{name}": rendering.static,
    }
    for path, show in shown.items():
        served.router.add_get(path, show)
    for path, act in {"/login": actions.sign_in, "/logout": actions.sign_out, "/act": actions.act}.items():
        served.router.add_post(path, act)
