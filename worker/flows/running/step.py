"""One step of a runbook: its method or action is called once, as far as can be known, and its variables are taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from worker.catalogue.actions import Action
from worker.catalogue.catalogue import load
from worker.catalogue.requests import build_request
from worker.config.automation import Integration, Method, Runbook, Step
from worker.config.method_caller import Caller
from worker.config.run_values import Values
from worker.core.errors import Undecodable
from worker.core.exchange import Exchange, Priority, RequestResult
from worker.core.outcome import Ambiguous, DeadClass, Done, NotSent, Outcome, Refused
from worker.core.ports import Evaluator, Halo
from worker.flows.running.variables import with_variables
from worker.flows.writes.attempt import Attempt, Denial
from worker.flows.writes.guarded_write import NOT_FOUND, GuardedWriter
from worker.flows.writes.write_request import Write, payload_of

REPEATABLE = frozenset({"GET", "PUT", "DELETE"})


@dataclass(frozen=True, slots=True)
class StepResult:
    """The outcome of a step, and the values after it (with the answer, if there was one)."""

    outcome: Outcome
    values: Values


class StepExecutor:
    """Performs the methods and actions of one runbook's steps."""

    def __init__(self, caller: Caller, clients: Mapping[str, Halo], evaluators: Mapping[str, Evaluator]) -> None:
        """`evaluators`: by client; `$id` finds the records of that client."""
        self._caller = caller
        self._clients = clients
        self._evaluators = evaluators
        self._catalogue = load()

    async def perform(self, step: Step, values: Values, attempt: Attempt) -> StepResult:
        """Call the method or the action of a step.

        Raises `ExpressionError`, `EvaluatorUnavailable`, `LookupUnanswered`, `RequestError`, `CallRefused`, `Undecodable`.
        """
        if step.method is not None:
            return await self._method(step, step.method, values, attempt)
        outcome = await self._action(step, values, attempt)
        answered = replace(values, status=getattr(outcome, "status", None), response=getattr(outcome, "body", None))
        return self._with_output(step, outcome, answered)

    async def _method(self, step: Step, method: Method, values: Values, attempt: Attempt) -> StepResult:
        repeatable = method.verb in REPEATABLE or step.in_doubt == "repeat"
        if attempt.doubtful and not repeatable:
            reason = f"{method.full_name} may have been called before, and calling a {method.verb} twice may show (`in_doubt: repeat` accepts that)"
            return StepResult(Refused(DeadClass.IN_DOUBT, reason), values)
        if repeatable:
            exchange = await self._caller.call(method, values, timeout=step.timeout)
        else:
            sent = await attempt.send(partial(self._caller.reserve, method, values, timeout=step.timeout), without_lookup=True)
            if isinstance(sent, Denial):
                return StepResult(await attempt.with_history(await attempt.denied(sent, 0.0, park=True)), values)
            exchange = sent
        answered = replace(values, status=exchange.status, response=exchange.body)
        outcome = with_requested_delays(method_outcome(exchange, repeatable=repeatable), step)
        performed = self._with_output(step, outcome, answered, method.output, exchange.documents)
        return replace(performed, outcome=await attempt.with_history(performed.outcome))

    def _with_output(
        self, step: Step, outcome: Outcome, values: Values, output: Mapping[str, Any] | None = None, answer: Mapping[str, Any] | None = None
    ) -> StepResult:
        """`answer`: the documents of a method's answer, where it has more than a response."""
        if not isinstance(outcome, Done):
            return StepResult(outcome, values)
        documents = {"response": values.response, "status": values.status, **(answer or {}), "request": values.request}
        return StepResult(outcome, with_variables(values, {**(output or {}), **step.output}, documents))

    async def _action(self, step: Step, values: Values, attempt: Attempt) -> Outcome:
        action, halo, evaluator = step.action, self._clients[step.client or ""], self._evaluators[step.client or ""]
        if action is None:
            raise Undecodable(f"step {step.name!r} has neither a method nor an action")
        operation = step.operation or self._catalogue.find(action.entity, action.method)
        path = {name: await filler.fill(values, evaluator) for name, filler in step.path.items()}
        query = {name: await filler.fill(values, evaluator) for name, filler in step.query.items()}
        if operation.method == "GET":
            request = build_request(operation, path, query, timeout=step.timeout)
            return read_outcome(await halo.send(request, priority=Priority.RUNBOOK))
        body = await step.body.fill(values, evaluator) if step.body is not None else None
        write = Write(path, query, payload_of(operation, body))
        step.required.check(write.payload, "body.")
        if lacking := action.missing(write.single or {}):
            return Refused(DeadClass.REJECTED, f"not sent: {action.name} needs {', '.join(lacking)}")
        kept = await self._kept(halo, step, action, write.single or {})
        if not isinstance(kept, dict):
            return kept
        write = replace(write, payload=kept | (write.single or {}))
        writer = GuardedWriter(halo, evaluator, operation, step.find, step.in_doubt, Priority.RUNBOOK, step.timeout)
        return await writer.write(write, values.context(), {}, attempt)

    async def _kept(self, halo: Halo, step: Step, action: Action, record: Mapping[str, Any]) -> dict[str, Any] | Outcome:
        """Return the members that an update must send back to Halo, read from the record; or the outcome if it cannot be read."""
        wanted = [name for name in action.keeps if name not in record]
        if not wanted:
            return {}
        details = self._catalogue.find(f"{action.entity}/{{id}}", "GET")
        request = build_request(details, {"id": record["id"]}, timeout=step.timeout)
        exchange = await halo.send(request, priority=Priority.RUNBOOK)
        if exchange.ok and isinstance(exchange.body, dict):
            return {name: exchange.body[name] for name in wanted if exchange.body.get(name) is not None}
        if exchange.status == NOT_FOUND:
            return Refused(DeadClass.REJECTED, f"there is no {action.entity} with this id", exchange.status)
        return failed_read(replace(exchange, result=RequestResult.DONE_UNREAD, reason="the answer is no record") if exchange.ok else exchange)


def clients_of(runbook: Runbook, integrations: Mapping[str, Integration]) -> set[str]:
    """Return the Halo clients of a runbook's actions, and of methods whose integrations use Halo's own authorization."""
    actions = {step.client for step in runbook.steps.values() if step.action is not None}
    called = {step.method.integration for step in runbook.steps.values() if step.method is not None}
    return {name for name in actions | {integrations[name].auth.client for name in called} if name is not None}


def method_outcome(exchange: Exchange, *, repeatable: bool) -> Outcome:
    """Return the outcome of a step for this exchange. Total over the results of requests."""
    status, reason = exchange.status, exchange.reason
    match exchange.result:
        case RequestResult.DONE | RequestResult.DONE_UNREAD:
            return Done(reason or "sent", status, exchange.body)
        case RequestResult.THROTTLED if exchange.retry_after:  # the API says when: the run is not at fault
            return NotSent(reason, status, counted=False, after=exchange.retry_after)
        case RequestResult.NOT_SENT | RequestResult.THROTTLED:
            return NotSent(reason, status, counted=not exchange.down)
        case RequestResult.AMBIGUOUS:
            return Ambiguous(reason, repeatable, status, counted=not exchange.down)
        case RequestResult.REJECTED:
            return Refused(DeadClass.REJECTED, reason, status)
        case RequestResult.AUTH:
            return Refused(DeadClass.AUTH, reason, status)


def with_requested_delays(outcome: Outcome, step: Step) -> Outcome:
    """Return the outcome with the delays of the step's wait queues: the step waits for as long as the other API asked."""
    if isinstance(outcome, NotSent) and outcome.after:
        return replace(outcome, delays=step.waits, after=min(outcome.after, step.waits[-1]))
    return outcome


def read_outcome(exchange: Exchange) -> Outcome:
    """Return the outcome of a read from Halo."""
    return Done("read", exchange.status, exchange.body) if exchange.ok else failed_read(exchange)


def failed_read(exchange: Exchange) -> Outcome:
    """Return the outcome of a read that failed. The read changed nothing, so it may be repeated."""
    match exchange.result:
        case RequestResult.REJECTED:
            return Refused(DeadClass.REJECTED, exchange.reason, exchange.status)
        case RequestResult.AUTH:
            return Refused(DeadClass.AUTH, exchange.reason, exchange.status)
        case RequestResult.NOT_SENT | RequestResult.THROTTLED:
            return NotSent(exchange.reason, exchange.status, counted=False)
        case _:
            return NotSent(exchange.reason, exchange.status, counted=not exchange.down)
