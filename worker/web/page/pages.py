"""The pages without actions: each reads shared values from the backend, and fills a template."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web

from worker.core.errors import WorkerError
from worker.web.page.answers import answers_of
from worker.web.page.charts import chart_path
from worker.web.page.flow_svg import layout, visited_edges
from worker.web.page.formatting import urgency
from worker.web.page.lists import filter_letters, list_page, routes_named
from worker.web.page.model import CachedValue, LetterRow, Letters, Overview, PageBackend
from worker.web.page.rendering import Rendering
from worker.web.page.sessions import Session

SessionOf = Callable[[web.Request], Awaitable[Session | None]]
SHOWN = 20  # letters on the page of a route
EMPTY: dict[str, Any] = {"replicas": [], "routes": [], "unrouted": 0, "clients": [], "problems": []}


class StatusPages:
    """`session_of`: returns the session of a request; None if the viewer has not signed in."""

    def __init__(self, page_backend: PageBackend, rendering: Rendering, session_of: SessionOf) -> None:
        self._backend = page_backend
        self._rendering = rendering
        self._session_of = session_of

    async def overview(self, request: web.Request) -> web.Response:
        seen = await self._backend.overview()
        text, kind = request.query.get("q", ""), request.query.get("kind", "")
        found = (seen.value or Overview(EMPTY)).found
        routes = list_page(sorted(routes_named(found["routes"], text, kind), key=urgency), request.query.get("page", ""))
        failed = any(route["dead"] for route in found["routes"])
        letters = (await self._backend.letters(None)).value if failed else None
        answers = answers_of(seen.value, letters.rows if letters is not None else ()) if seen.value is not None else []
        late = seen.value.late if seen.value is not None else frozenset()
        return await self._page(
            request, "overview.html", seen, live=True, found=found, routes=routes, answers=answers, late=late, q=text, kind=kind, budgets=self._budgets(found)
        )

    async def route(self, request: web.Request) -> web.Response:
        name = request.query.get("name", "")
        seen = await self._backend.overview()
        route = next((each for each in seen.value.found["routes"] if each["name"] == name), None) if seen.value is not None else None
        if route is None and seen.value is not None:
            return await self._missing(request, f"There is no route {name}.")
        letters = (await self._letters(name)) if route is None or route["dead"] else Letters()
        runbook = route is not None and route["kind"] == "runbook"
        return await self._page(
            request,
            "route.html",
            seen,
            live=True,
            name=name,
            route=route,
            late=seen.value is not None and name in seen.value.late,
            client=self._backend.client_of(name),
            rate=chart_path(self._backend.rate(name)),
            lag=chart_path(self._backend.lag(name)),
            letters=letters.rows[:SHOWN],
            classes=Counter(row.dead_class for row in letters.rows).most_common(),
            **await self._flow(name, letters.rows, runbook=runbook),
        )

    async def dead(self, request: web.Request) -> web.Response:
        route, dead_class = request.query.get("route", ""), request.query.get("class", "")
        seen = await self._backend.letters(None)
        letters = seen.value or Letters()
        rows = filter_letters(letters.rows, route, dead_class)
        return await self._page(
            request,
            "dead.html",
            seen,
            live=True,
            letters=letters,
            rows=list_page(rows, request.query.get("page", "")),
            route=route,
            dead_class=dead_class,
            routes=Counter(row.route for row in letters.rows).most_common(),
            classes=Counter(row.dead_class for row in filter_letters(letters.rows, route, "")).most_common(),
        )

    async def letter(self, request: web.Request) -> web.Response:
        row = await self.row_of(request.query.get("queue", ""), request.query.get("key", ""))
        if row is None:
            return await self._missing(request, "The letter is not there any more: it was replayed, discarded or edited.")
        session = await self._session_of(request)
        content, trouble = None, ""
        if session is not None:
            try:
                content = await self._backend.letter(row)
            except WorkerError as error:
                trouble = str(error)
            else:
                if content is None:
                    return await self._missing(request, "The letter is not there any more: it was replayed, discarded or edited.")
        editing = bool(request.query.get("edit")) and content is not None and bool(content.editable)
        return self._rendering.page(request, session, "letter.html", row=row, content=content, trouble=trouble, editing=editing)

    async def runs(self, request: web.Request) -> web.Response:
        seen = await self._backend.overview()
        found = (seen.value or Overview(EMPTY)).found
        names = [route["name"] for route in found["routes"] if route["kind"] == "runbook"]
        name = request.query.get("runbook", "") or (names[0] if names else "")
        route = next((each for each in found["routes"] if each["name"] == name and each["kind"] == "runbook"), None)
        letters = (await self._letters(name)).rows if route is not None and route["dead"] else ()
        return await self._page(
            request, "runs.html", seen, live=True, names=names, name=name, route=route, **await self._flow(name, letters, runbook=route is not None)
        )

    async def run(self, request: web.Request) -> web.Response:
        name, wanted = request.query.get("runbook", ""), request.query.get("id", "")
        seen = await self._backend.runs(name)
        run = next((each for each in seen.value or () if each.id == wanted), None)
        chart = self._backend.chart(name)
        if run is None or chart is None:
            return await self._missing(request, "The trace holds no steps of this run: it is older than what is kept, or WORKER_TRACE is off.")
        ways = visited_edges(run.ways)
        return await self._page(request, "run.html", seen, live=True, name=name, run=run, chart=layout(chart), ways=ways, at={run.step: run.state})

    async def story(self, request: web.Request) -> web.Response:
        entity, wanted = request.query.get("entity", "").strip(), request.query.get("id", "").strip()
        notes: list[dict[str, Any]] = []
        trouble = ""
        if wanted:
            try:
                found = await (self._backend.story(entity, wanted) if entity else self._backend.story(wanted, None))
                notes = [dict(each) for each in found]
            except WorkerError as error:
                trouble = str(error)
            except TimeoutError:
                trouble = "the stream halo.trace could not be read in a minute"
        return self._rendering.page(request, await self._session_of(request), "story.html", entity=entity, wanted=wanted, notes=notes, trouble=trouble)

    async def clients(self, request: web.Request) -> web.Response:
        seen = await self._backend.overview()
        found = (seen.value or Overview(EMPTY)).found
        return await self._page(request, "clients.html", seen, live=True, found=found, budgets=self._budgets(found))

    async def row_of(self, queue: str, key: str) -> LetterRow | None:
        seen = await self._backend.letters(None)
        return next((row for row in (seen.value or Letters()).rows if row.key == key and row.queue == queue), None)

    def _budgets(self, found: Mapping[str, Any]) -> dict[str, Any]:
        return {client["name"]: chart_path(self._backend.budget(client["name"]), limit=client["budget_limit"]) for client in found["clients"]}

    async def _letters(self, route: str) -> Letters:
        return (await self._backend.letters(route)).value or Letters()

    async def _flow(self, name: str, letters: Any, *, runbook: bool) -> dict[str, Any]:
        """Return the flow chart of a runbook, with the number of waiting and of dead runs at each step."""
        chart = self._backend.chart(name) if runbook else None
        if chart is None:
            return {"chart": None, "steps": None, "runs": (), "waiting": {}, "dead_at": {}}
        runs = (await self._backend.runs(name)).value or ()
        waiting = Counter(run.step for run in runs if run.state == "waiting")
        return {"chart": layout(chart), "steps": chart, "runs": runs, "waiting": waiting, "dead_at": Counter(row.step for row in letters if row.step)}

    async def _page(self, request: web.Request, template: str, seen: CachedValue[Any], **values: Any) -> web.Response:
        about = {"trouble": seen.trouble, "read_at": seen.at or None, "pending": seen.pending}
        return self._rendering.page(request, await self._session_of(request), template, **(about | values))

    async def _missing(self, request: web.Request, text: str) -> web.Response:
        return self._rendering.page(request, await self._session_of(request), "told.html", 404, title="Not found", text=text, back="/")
