"""Answers the status page: implements `worker.web.page.model.PageBackend` over the running service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

from worker.app.letters.context import LettersContext
from worker.app.on_demand_broker import Attach
from worker.app.overview import overview
from worker.app.page.attachment import PageBroker
from worker.app.page.cached_read import CachedRead
from worker.app.page.history import History
from worker.app.page.late_routes import late_routes
from worker.app.page.letter_content import read_letter_content
from worker.app.page.letter_index import LetterIndex, holding
from worker.app.page.operator import Operator
from worker.app.page.run_list import runs_of
from worker.app.route_queues import queues_by_route
from worker.config.flow_outline import edges, starts, step_label
from worker.config.routes import Routes
from worker.core.header_codec import HeaderCodec
from worker.core.ports import Broker, Clock
from worker.flows.dead.letter import UNROUTED, all_dead_queues
from worker.flows.story import StorySubject, story_of
from worker.settings import Settings
from worker.state.trace_stream import read_notes
from worker.web.page.model import CachedValue, FlowChart, FlowChartStep, LetterContent, LetterRow, Letters, Overview, RunView, Series

OVERVIEW_EVERY = 2.0  # seconds
LETTERS_EVERY = 5.0
TRACE_EVERY = 10.0
TRACE_BYTES = 16 * 1024 * 1024
"""Limits the newest stages of the trace that the page searches; `halo-worker trace` searches all."""


class RunningService(Protocol):
    """The parts of the running worker that the page needs."""

    @property
    def routes(self) -> Routes: ...
    @property
    def history(self) -> History: ...
    @property
    def stop(self) -> asyncio.Event: ...


class ServicePageBackend:
    """Answers the status page. One lock guards the reads of counts and letters: a count would miss letters that a scan holds."""

    def __init__(self, service: RunningService, settings: Settings, attach: Attach, clock: Clock) -> None:
        self._service = service
        self._settings = settings
        self._clock = clock
        self._codec = HeaderCodec()
        self._page_broker = PageBroker(attach, clock)
        self._index = LetterIndex(clock, self._codec)
        self._lock, self._trace_lock, self._story_lock = asyncio.Lock(), asyncio.Lock(), asyncio.Lock()
        self._overview = CachedRead(self._read_overview, clock, every=OVERVIEW_EVERY)
        self._letters = CachedRead(self._read_letters, clock, every=LETTERS_EVERY, rest=20.0)
        self._notes: tuple[float, list[bytes]] = (float("-inf"), [])
        self._runs: dict[str, CachedRead[Sequence[RunView]]] = {}
        self._operator = Operator(self.context, self._attached, self._lock, service.stop, clock)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Answer until the end of the block."""
        serving = asyncio.create_task(self._page_broker.serve(), name="broker of the status page")
        try:
            yield
        finally:
            for close in (self._overview.close, self._letters.close, *(each.close for each in self._runs.values())):
                await close()
            serving.cancel()
            await asyncio.wait([serving])

    async def overview(self) -> CachedValue[Overview]:
        return await self._overview.get()

    async def letters(self, route: str | None) -> CachedValue[Letters]:
        seen = await self._letters.get()
        if route is None or seen.value is None:
            return seen
        rows = [row for row in seen.value.rows if row.route == route]
        return CachedValue(Letters(rows, len(rows), [note for note in seen.value.notes if route in note]), seen.at, seen.trouble)

    async def letter(self, row: LetterRow) -> LetterContent | None:
        broker = await self._attached()
        async with self._lock:
            content = await read_letter_content(broker, self._clock, self.context(row.queue), row)
        if content is None:
            self._index.forget(row.queue)
            await self._letters.refresh()
        return content

    async def story(self, subject: str, record: str | None) -> Sequence[Mapping[str, Any]]:
        wanted = StorySubject.of(subject, record)
        async with self._story_lock:  # every viewer may ask; several searches together would leave the event loop little processor time
            return await asyncio.to_thread(story_of, await self._batches(), wanted)

    async def runs(self, runbook: str) -> CachedValue[Sequence[RunView]]:
        if runbook not in self._service.routes.runbooks:
            return CachedValue(())
        if runbook not in self._runs:

            async def read() -> Sequence[RunView]:
                return await asyncio.to_thread(runs_of, await self._batches(), runbook)

            self._runs[runbook] = CachedRead(read, self._clock, every=LETTERS_EVERY)
        return await self._runs[runbook].get()

    def chart(self, runbook: str) -> FlowChart | None:
        found = self._service.routes.runbooks.get(runbook)
        if found is None:
            return None
        steps = tuple(FlowChartStep(step.name, step_label(step), step.kind, tuple(edges(step))) for step in found.steps.values())
        return FlowChart(found.first, tuple(starts(found)), steps)

    def client_of(self, route: str) -> str:
        routes = self._service.routes
        found = routes.subscribers.get(route) or routes.publishers.get(route)
        return found.client if found is not None else ""

    def rate(self, route: str) -> Series:
        return self._service.history.of("rate", route)

    def lag(self, route: str) -> Series:
        return self._service.history.of("lag", route)

    def budget(self, client: str) -> Series:
        return self._service.history.of("budget", client)

    async def replay(self, rows: Sequence[LetterRow], verdict: str | None) -> str:
        return await self._acted(await self._operator.replay(rows, verdict, await self._superseded()), rows)

    async def discard(self, rows: Sequence[LetterRow]) -> str:
        return await self._acted(await self._operator.discard(rows), rows)

    async def edit(self, row: LetterRow, text: str) -> str:
        return await self._acted(await self._operator.edit(row, text), [row])

    async def pause(self, route: str, reason: str, by: str) -> str:
        return await self._acted(await self._operator.pause(route, reason, by, await self._kinds()))

    async def resume(self, route: str) -> str:
        return await self._acted(await self._operator.resume(route, await self._kinds()))

    async def _superseded(self) -> frozenset[str]:
        """Return the letters whose edited copies are in the same queue."""
        seen = await self._letters.get()
        return frozenset(row.edit_of for row in seen.value.rows if row.edit_of) if seen.value is not None else frozenset()

    async def _kinds(self) -> dict[str, str]:
        """Return the kinds of all routes that any replica runs, by name."""
        seen = await self._overview.get()
        reported = {route["name"]: route["kind"] for route in seen.value.found["routes"]} if seen.value is not None else {}
        return reported | {place.name: place.kind for place in queues_by_route(self._service.routes)}

    async def _acted(self, sentence: str, rows: Sequence[LetterRow] = ()) -> str:
        """Return `sentence`, and make the page read counts and letters again: the shown values are out of date."""
        for row in rows:
            self._index.forget(row.queue)
        if rows:
            await self._letters.refresh()
        await self._overview.refresh()
        return sentence

    async def _attached(self) -> Broker:
        """Return the attached broker. Raises `BrokerError`."""
        broker = await self._page_broker.broker()
        self._codec.key = self._page_broker.key
        return broker

    def context(self, queue: str | None = None) -> LettersContext:
        """Return the context of all dead queues, or of the route that has this dead queue."""
        routes: Routes = self._service.routes
        queues = all_dead_queues(routes)
        if queue is not None:
            route = next((each.route for each in queues if each.name == queue), None)
            queues = tuple(each for each in queues if each.route == route)
        return LettersContext(self._settings, routes, queues, self._clock, self._codec)

    async def _read_overview(self) -> Overview:
        broker = await self._attached()
        async with self._lock:
            found = await overview(broker, self._clock, self._codec.key, queues_by_route(self._service.routes))
        return Overview(found, late_routes(found, self._service.routes, self._clock.now()))

    async def _read_letters(self) -> Letters:
        broker = await self._attached()
        seen = await self._overview.get()
        depths: dict[str, int] = {}
        if seen.value is not None and not seen.trouble:
            depths = {route["name"]: route["dead"] for route in seen.value.found["routes"]} | {UNROUTED: seen.value.found["unrouted"]}
        async with self._lock:
            return await self._index.read(broker, tuple(holding(self.context().dead_queues, depths)))

    async def _batches(self) -> list[bytes]:
        """Return the newest stages of the trace; viewers within some seconds share one read. Raises `WorkerError`."""
        async with self._trace_lock:
            read_at, batches = self._notes
            if self._clock.monotonic() - read_at > TRACE_EVERY:
                batches = await read_notes(await self._attached(), self._codec, TRACE_BYTES)
                self._notes = (self._clock.monotonic(), batches)
                asyncio.get_running_loop().call_later(TRACE_EVERY, self._forget_notes)
            return batches

    def _forget_notes(self) -> None:
        self._notes = (float("-inf"), [])
