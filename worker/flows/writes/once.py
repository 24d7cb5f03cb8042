"""Writing to Halo at most once, as far as can be known: look before a create is repeated, and say what came of it."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, Literal

from worker.catalogue.operation import Operation
from worker.catalogue.requests import build_request
from worker.config.compiled import Find
from worker.core.exchange import Exchange, Fate, Priority, Request
from worker.core.outcome import DeadClass, Done, Doubtful, Outcome, Refused, Unsent
from worker.core.ports import Evaluator, Halo
from worker.flows.writes.fence import Attempt, Bar
from worker.flows.writes.find import Found, LookupFailed, NotFound, Unclear, look
from worker.flows.writes.writing import Write

NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class Once:
    """The writes of one route or step. `timeout`: seconds for each, where that is not the client's. `every`: updates and deletions pass the fence as well."""

    halo: Halo
    evaluator: Evaluator
    operation: Operation
    find: Find | None
    in_doubt: Literal["park", "repeat"]
    priority: Priority
    timeout: float | None = None
    every: bool = False

    async def write(self, write: Write, context: Any, bindings: dict[str, Any], attempt: Attempt) -> Outcome:
        """Send it, after a look where that is needed; a create once `attempt` is ours. Raises `RequestError`, `ExpressionError`."""
        return await attempt.told(await self._written(write, context, bindings, attempt))

    async def _written(self, write: Write, context: Any, bindings: dict[str, Any], attempt: Attempt) -> Outcome:
        request = self._request(write)  # a mistake in it must not cost a lookup
        find = self.find if write.creates and write.single is not None else None
        if find is not None and (attempt.suspect or find.use == "always"):
            looked = await self._looked(find, write, context, bindings, attempt)
            if not isinstance(looked, Write):
                return looked
            write, request = looked, self._request(looked)
        parks = write.creates > 0 and find is None and self.in_doubt == "park"
        if parks and attempt.doubtful:
            return Refused(DeadClass.IN_DOUBT, "an earlier attempt may have created it, and there is no `find` to look it up")
        fenced = write.creates > 0 or self.every
        request = replace(request, gate=attempt.gate if fenced else None)
        async with attempt.unlooked() if parks else nullcontext():
            exchange = await self.halo.send(request, priority=self.priority)
        if attempt.bar is not Bar.NONE:
            return await attempt.left(self.timeout or self.halo.timeout, park=parks)
        return outcome_of(exchange, write, repeatable=not parks)

    def _request(self, write: Write) -> Request:
        return replace(build_request(self.operation, write.path, write.query, write.payload), timeout=self.timeout)

    async def _looked(self, find: Find, write: Write, context: Any, bindings: dict[str, Any], attempt: Attempt) -> Write | Outcome:
        """What is left to write after a look, or what became of the message without a write."""
        match await look(self.halo, find, context, bindings, self.evaluator):
            case Found(record_id):
                return write.updating(record_id) if find.then == "update" else Done("found: it is there already", body={"id": record_id})
            case NotFound():
                return attempt.looked_in_vain() if attempt.doubtful and not attempt.waited else write
            case Unclear(reason):
                return Refused(DeadClass.IN_DOUBT, reason)
            case LookupFailed(exchange):
                return failed_lookup(exchange)


def outcome_of(exchange: Exchange, write: Write, *, repeatable: bool) -> Outcome:
    """What an exchange means for the message. Total over the fates."""
    status, reason = exchange.status, exchange.reason
    deletes = write.payload is None
    match exchange.fate:
        case Fate.DONE | Fate.DONE_UNREAD:
            return Done(reason or "sent", status, exchange.body)
        case Fate.NOT_SENT | Fate.THROTTLED:
            return Unsent(reason, status, counted=False)
        case Fate.AMBIGUOUS:
            return Doubtful(reason, repeatable or deletes, status, counted=not exchange.down)
        case Fate.REJECTED if deletes and status == NOT_FOUND:
            return Done("it was gone already", status)
        case Fate.REJECTED if write.creates > 1:
            return Refused(DeadClass.IN_DOUBT, f"{reason}; Halo may have stored some of the {write.creates} records before it refused", status)
        case Fate.REJECTED:
            return Refused(DeadClass.REJECTED, reason, status)
        case Fate.AUTH:
            return Refused(DeadClass.AUTH, reason, status)


def failed_lookup(exchange: Exchange) -> Outcome:
    """Nothing was written: look again later, unless Halo refuses the question itself."""
    match exchange.fate:
        case Fate.REJECTED:
            return Refused(DeadClass.IN_DOUBT, f"the lookup was refused: {exchange.reason}", exchange.status)
        case Fate.AUTH:
            return Refused(DeadClass.AUTH, f"the lookup was refused: {exchange.reason}", exchange.status)
        case _:
            return Unsent(
                f"the lookup failed: {exchange.reason}", exchange.status, counted=not exchange.down and exchange.fate not in {Fate.NOT_SENT, Fate.THROTTLED}
            )
