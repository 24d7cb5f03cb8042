"""Writing to Halo at most once, as far as can be known: look before a create is repeated, and say what came of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from worker.catalogue.operation import Operation
from worker.catalogue.requests import build_request
from worker.config.compiled import Find
from worker.core.exchange import Exchange, Fate, Priority
from worker.core.outcome import DeadClass, Done, Doubtful, Outcome, Refused, Unsent
from worker.core.ports import Halo
from worker.flows.find import Found, LookupFailed, NotFound, Unclear, look
from worker.flows.writing import Write

NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class Once:
    """The writes of one route or step. `timeout`: seconds for each, where that is not the client's."""

    halo: Halo
    operation: Operation
    find: Find | None
    in_doubt: Literal["park", "repeat"]
    priority: Priority
    timeout: float | None = None

    async def write(self, write: Write, context: Any, bindings: dict[str, Any], *, doubtful: bool, may_wait: bool = False) -> Outcome:
        """Send it, after a look where that is needed. Raises `RequestError`, `ExpressionError`.

        `doubtful`: an earlier attempt may have had its effect. `may_wait`: it may still be under way, and we can look again later.
        """
        request = build_request(self.operation, write.path, write.query, write.payload)  # a mistake in it must not cost a lookup
        find = self.find
        if write.creates and find is not None and write.single is not None and (doubtful or find.use == "always"):
            match await look(self.halo, find, context, bindings):
                case Found(record_id) if find.then == "update":
                    write = write.updating(record_id)
                    request = build_request(self.operation, write.path, write.query, write.payload)
                case Found(record_id):
                    return Done("found: it is there already", body={"id": record_id})
                case Unclear(reason):
                    return Refused(DeadClass.IN_DOUBT, reason)
                case LookupFailed(exchange):
                    return failed_lookup(exchange)
                case NotFound() if doubtful and may_wait:
                    return Unsent("looked for and not there; whoever had this message before may still be sending it, so it is looked for again")
                case NotFound():
                    pass
        elif write.creates and doubtful and self.in_doubt == "park":
            return Refused(DeadClass.IN_DOUBT, "an earlier attempt may have created it, and there is no `find` to look it up")
        exchange = await self.halo.send(replace(request, timeout=self.timeout), priority=self.priority)
        return outcome_of(exchange, write, repeatable=self._repeatable(write))

    def _repeatable(self, write: Write) -> bool:
        """Whether a doubtful attempt may be made again: updates and deletions show no second time, creates can be looked up or copies are accepted."""
        return not write.creates or self.in_doubt == "repeat" or (self.find is not None and write.single is not None)


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
