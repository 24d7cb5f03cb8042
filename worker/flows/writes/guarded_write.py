"""Writes to Halo at most once, as far as can be known: looks a record up before a create is repeated, and returns the outcome."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from worker.catalogue.operation import Operation
from worker.catalogue.requests import build_request
from worker.config.compiled import Find
from worker.core.errors import ExpressionError, LookupUnanswered
from worker.core.exchange import Exchange, Priority, Request, RequestResult
from worker.core.outcome import Ambiguous, DeadClass, Done, NotSent, Outcome, Refused
from worker.core.ports import Evaluator, Halo
from worker.flows.writes.attempt import Attempt, Denial
from worker.flows.writes.lookup import AmbiguousMatch, LookupFailed, Match, NoMatch, lookup, match_of
from worker.flows.writes.write_request import Write

NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class GuardedWriter:
    """The writes of one route or step.

    `timeout`: seconds for each, where that is not the client's. `claim_all`: updates and deletions are begun in the ledger as creates are.
    """

    halo: Halo
    evaluator: Evaluator
    operation: Operation
    find: Find | None
    in_doubt: Literal["park", "repeat"]
    priority: Priority
    timeout: float | None = None
    claim_all: bool = False

    async def write(self, write: Write, context: Any, bindings: dict[str, Any], attempt: Attempt) -> Outcome:
        """Send the write, after a lookup where one is needed. Raises `RequestError`, `ExpressionError`."""
        return self._named(await attempt.with_history(await self._written(write, context, bindings, attempt)), write)

    def _named(self, outcome: Outcome, write: Write) -> Outcome:
        """Return the outcome with the record that was written: the id that Halo answered, or else the id in the request."""
        if not isinstance(outcome, Done):
            return outcome
        return replace(outcome, entity=self.operation.entity.partition("/")[0], record=record_id(outcome.body, write))

    async def _written(self, write: Write, context: Any, bindings: dict[str, Any], attempt: Attempt) -> Outcome:
        request = self._request(write)  # a mistake in it must not cost a lookup
        find = self.find if write.creates and write.single is not None else None
        try:
            wanted = (
                {} if find is None else await match_of(find, context, bindings, self.evaluator)
            )  # also before the first attempt: once sent, the write would be in doubt
        except ExpressionError as error:
            if not attempt.doubtful:
                raise
            return Refused(DeadClass.IN_DOUBT, f"an earlier attempt may have created it; {error}")
        if find is not None and (attempt.suspect or find.use == "always"):
            remaining = await self._looked_up(find, wanted, write, context, bindings, attempt)
            if not isinstance(remaining, Write):
                return remaining
            write, request = remaining, self._request(remaining)
        parks = write.creates > 0 and find is None and self.in_doubt == "park"
        if parks and attempt.doubtful:
            return Refused(DeadClass.IN_DOUBT, "an earlier attempt may have created it, and there is no `find` to look it up")
        if not (write.creates or self.claim_all):
            attempt.note_attempted()
            return outcome_of(await self.halo.send(request, priority=self.priority), write, repeatable=True)
        sent = await attempt.send(partial(self.halo.reserve, request, priority=self.priority), without_lookup=parks)
        if isinstance(sent, Denial):
            return await attempt.denied(sent, self.timeout or self.halo.timeout, park=parks)
        return outcome_of(sent, write, repeatable=not parks)

    def _request(self, write: Write) -> Request:
        return build_request(self.operation, write.path, write.query, write.payload, self.timeout)

    async def _looked_up(self, find: Find, wanted: dict[str, Any], write: Write, context: Any, bindings: dict[str, Any], attempt: Attempt) -> Write | Outcome:
        """Return the write that remains after a lookup, or the outcome if none remains."""
        match await lookup(self.halo, find, wanted, context, bindings, self.evaluator, priority=self.priority, timeout=self.timeout):
            case Match(record_id):
                return write.updating(record_id) if find.then == "update" else Done("found: it is there already", body={"id": record_id})
            case NoMatch():
                return attempt.retry_lookup() if attempt.doubtful and not attempt.waited else write
            case AmbiguousMatch(reason):
                return Refused(DeadClass.IN_DOUBT, reason)
            case LookupFailed(exchange):
                return failed_lookup(exchange)


def record_id(body: Any, write: Write) -> str | int | None:
    """Return the id of the one record that was written; None where the write has several, or nothing names it."""
    answered = body[0] if isinstance(body, list) and len(body) == 1 else body
    candidates = (answered, write.single, write.path)
    found = next((each["id"] for each in candidates if isinstance(each, dict) and each.get("id") not in (None, "", 0)), None) if answers_one(write) else None
    return found if isinstance(found, (str, int)) else None


def answers_one(write: Write) -> bool:
    return write.payload is None or write.single is not None


def outcome_of(exchange: Exchange, write: Write, *, repeatable: bool) -> Outcome:
    """Return the outcome of a write for this exchange. Total over the results of requests."""
    status, reason = exchange.status, exchange.reason
    deletes = write.payload is None
    match exchange.result:
        case RequestResult.DONE | RequestResult.DONE_UNREAD:
            return Done(reason or "sent", status, exchange.body)
        case RequestResult.NOT_SENT | RequestResult.THROTTLED:
            return NotSent(reason, status, counted=False)
        case RequestResult.AMBIGUOUS:
            return Ambiguous(reason, repeatable or deletes, status, counted=not exchange.down)
        case RequestResult.REJECTED if deletes and status == NOT_FOUND:
            return Done("it was gone already", status)
        case RequestResult.REJECTED if write.creates > 1:
            return Refused(DeadClass.IN_DOUBT, f"{reason}; Halo may have stored some of the {write.creates} records before it refused", status)
        case RequestResult.REJECTED:
            return Refused(DeadClass.REJECTED, reason, status)
        case RequestResult.AUTH:
            return Refused(DeadClass.AUTH, reason, status)


def failed_lookup(exchange: Exchange) -> Outcome:
    """Return the outcome of a lookup that failed. Nothing was written, so the worker looks again later, unless Halo refuses the lookup itself."""
    match exchange.result:
        case RequestResult.REJECTED:
            return Refused(DeadClass.IN_DOUBT, f"the lookup was refused: {exchange.reason}", exchange.status)
        case RequestResult.AUTH:
            return Refused(DeadClass.AUTH, f"the lookup was refused: {exchange.reason}", exchange.status)
        case _:
            return NotSent(
                f"the lookup failed: {exchange.reason}",
                exchange.status,
                counted=not exchange.down and exchange.result not in {RequestResult.NOT_SENT, RequestResult.THROTTLED},
            )


def unanswered(error: LookupUnanswered, *, doubtful: bool) -> Outcome:
    """Return the outcome of a message whose `$id` Halo did not answer, as after a failed `find`.

    If Halo refuses the lookup, the message is in doubt only if it was in doubt before.
    """
    outcome = failed_lookup(error.exchange)
    if isinstance(outcome, Refused) and outcome.dead_class is DeadClass.IN_DOUBT and not doubtful:
        outcome = replace(outcome, dead_class=DeadClass.REJECTED)
    return replace(outcome, reason=str(error)) if isinstance(outcome, (Refused, NotSent)) else outcome
