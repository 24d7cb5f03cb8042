"""The steps of the demo; each has a visible end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from worker.cli.demo.context import DemoContext
from worker.sandbox.faults import Fault, FaultKind

UPDATED, CREATED = 7, 3
ASSETS, ALARMS, QUIET_ALARMS, NOTES, QUESTIONS = 12, 4, 2, 3, 2


@dataclass(frozen=True)
class DemoStep:
    """A step of the demo. `act` starts it. `progress`: returns how many items have arrived, and how many are expected."""

    title: str
    act: Callable[[DemoContext], Awaitable[None]]
    progress: Callable[[DemoContext], tuple[int, int]]


async def no_action(_: DemoContext) -> None:
    return


def first_events(context: DemoContext) -> tuple[int, int]:
    store = context.halo.store
    arrived = sum(context.events[queue] for queue in ("events.tickets", "events.assets", "events.agents"))
    return arrived, store.count("tickets") + store.count("asset") + store.count("agent")


async def people_work(context: DemoContext) -> None:
    """Other users change tickets in Halo."""
    context.events.clear()
    for number in range(1, UPDATED + 1):
        context.halo.store.update("Tickets", number, {"summary": f"Printer {number} is on fire"})
    for number in range(CREATED):
        context.halo.store.create("Tickets", {"summary": f"New colleague {number} needs a laptop", "tickettype_id": 1, "client_id": 1})


def ticket_events(context: DemoContext) -> tuple[int, int]:
    return context.events["events.tickets"], UPDATED + CREATED


async def others_send(context: DemoContext) -> None:
    """Other systems publish messages."""
    for number in range(ASSETS):
        await context.send("erp.assets", {"serial": f"SN-{number:04}", "type": {"halo_id": 1}, "customer": {"halo_id": 1}})
    for number in range(ALARMS + QUIET_ALARMS):
        severity = 4 if number < ALARMS else 1
        await context.send("monitoring.alarms", {"severity": severity, "host": f"db{number}", "check": "disk full", "output": "98 %"})
    for number in range(NOTES):
        await context.send("chat.notes", {"ticket": number + 1, "lines": [{"author": "Ada", "text": "I am on it."}]})


def messages_ended(context: DemoContext) -> tuple[int, int]:
    settled = context.results()
    return settled["done"] + settled["skipped"], ASSETS + ALARMS + QUIET_ALARMS + NOTES


async def connection_breaks(context: DemoContext) -> None:
    """Halo creates the ticket, and its answer is lost."""
    context.halo.fault(Fault(FaultKind.RESET, method="POST", path="/Tickets", executed=True))
    await context.send("monitoring.alarms", {"severity": 5, "host": "mail1", "check": "queue is stuck", "output": "4711 waiting"})


def created_once(context: DemoContext) -> tuple[int, int]:
    return messages_ended(context)[0] - messages_ended(context)[1], 1


async def questions(context: DemoContext) -> None:
    """Users ask questions in notes; the runbook's answers are in Halo's journal."""
    for number in range(QUESTIONS):
        note = {"ticket": {"id": number + 10}, "action": {"note": f"Why is printer {number} offline?"}}
        await context.send("halo.actions.ask", note)


def answered(context: DemoContext) -> tuple[int, int]:
    return len(context.halo.journal.created("/Actions")) - NOTES, QUESTIONS


async def nonsense(context: DemoContext) -> None:
    await context.send("erp.assets", b"{not JSON at all")


def dead_lettered(context: DemoContext) -> tuple[int, int]:
    return context.results()["dead_decode"], 1


STEPS = (
    DemoStep("Every ticket, asset and agent of Halo becomes an event", no_action, first_events),
    DemoStep(f"People change {UPDATED} tickets and open {CREATED}: {UPDATED + CREATED} more events", people_work, ticket_events),
    DemoStep("Other systems send assets, alarms and notes: they become records in Halo", others_send, messages_ended),
    DemoStep("Halo makes a ticket but its answer is lost: looked up, not made twice", connection_breaks, created_once),
    DemoStep("Questions become prompts, the answers become notes: a runbook", questions, answered),
    DemoStep("A message that is no JSON goes to the dead queue, with its reason", nonsense, dead_lettered),
)
