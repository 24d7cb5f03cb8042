"""What happens in the demo, step by step; each step has an end that can be seen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from worker.cli.demo.environment import DemoEnvironment
from worker.sandbox.faults import Fault, FaultKind

UPDATED, CREATED = 7, 3
ASSETS, ALARMS, QUIET_ALARMS, NOTES, QUESTIONS = 12, 4, 2, 3, 2


@dataclass(frozen=True)
class DemoStep:
    """`act` makes it happen; `progress` tells how much of how many has arrived."""

    title: str
    act: Callable[[DemoEnvironment], Awaitable[None]]
    progress: Callable[[DemoEnvironment], tuple[int, int]]


async def no_action(_: DemoEnvironment) -> None:
    return


def first_events(scene: DemoEnvironment) -> tuple[int, int]:
    store = scene.halo.store
    there = sum(scene.events[queue] for queue in ("events.tickets", "events.assets", "events.agents"))
    return there, store.count("tickets") + store.count("asset") + store.count("agent")


async def people_work(scene: DemoEnvironment) -> None:
    """Others change tickets in Halo."""
    scene.events.clear()
    for number in range(1, UPDATED + 1):
        scene.halo.store.update("Tickets", number, {"summary": f"Printer {number} is on fire"})
    for number in range(CREATED):
        scene.halo.store.create("Tickets", {"summary": f"New colleague {number} needs a laptop", "tickettype_id": 1, "client_id": 1})


def ticket_events(scene: DemoEnvironment) -> tuple[int, int]:
    return scene.events["events.tickets"], UPDATED + CREATED


async def others_send(scene: DemoEnvironment) -> None:
    """Other systems put messages on queues."""
    for number in range(ASSETS):
        await scene.send("erp.assets", {"serial": f"SN-{number:04}", "type": {"halo_id": 1}, "customer": {"halo_id": 1}})
    for number in range(ALARMS + QUIET_ALARMS):
        severity = 4 if number < ALARMS else 1
        await scene.send("monitoring.alarms", {"severity": severity, "host": f"db{number}", "check": "disk full", "output": "98 %"})
    for number in range(NOTES):
        await scene.send("chat.notes", {"ticket": number + 1, "lines": [{"author": "Ada", "text": "I am on it."}]})


def messages_ended(scene: DemoEnvironment) -> tuple[int, int]:
    settled = scene.settled()
    return settled["done"] + settled["skipped"], ASSETS + ALARMS + QUIET_ALARMS + NOTES


async def connection_breaks(scene: DemoEnvironment) -> None:
    """Halo makes the ticket, and the answer is lost on the way."""
    scene.halo.fault(Fault(FaultKind.RESET, method="POST", path="/Tickets", executed=True))
    await scene.send("monitoring.alarms", {"severity": 5, "host": "mail1", "check": "queue is stuck", "output": "4711 waiting"})


def created_once(scene: DemoEnvironment) -> tuple[int, int]:
    return messages_ended(scene)[0] - messages_ended(scene)[1], 1


async def questions(scene: DemoEnvironment) -> None:
    """A note asks a question; Halo's journal has what the runbook does."""
    for number in range(QUESTIONS):
        note = {"ticket": {"id": number + 10}, "action": {"note": f"Why is printer {number} offline?"}}
        await scene.send("halo.actions.ask", note)


def answered(scene: DemoEnvironment) -> tuple[int, int]:
    return len(scene.halo.journal.created("/Actions")) - NOTES, QUESTIONS


async def nonsense(scene: DemoEnvironment) -> None:
    await scene.send("erp.assets", b"{not JSON at all")


def dead_lettered(scene: DemoEnvironment) -> tuple[int, int]:
    return scene.settled()["dead_decode"], 1


STEPS = (
    DemoStep("Every ticket, asset and agent of Halo becomes an event", no_action, first_events),
    DemoStep(f"People change {UPDATED} tickets and open {CREATED}: {UPDATED + CREATED} more events", people_work, ticket_events),
    DemoStep("Other systems send assets, alarms and notes: they become records in Halo", others_send, messages_ended),
    DemoStep("Halo makes a ticket but its answer is lost: looked up, not made twice", connection_breaks, created_once),
    DemoStep("Questions become prompts, the answers become notes: a runbook", questions, answered),
    DemoStep("A message that is no JSON goes to the dead queue, with its reason", nonsense, dead_lettered),
)
