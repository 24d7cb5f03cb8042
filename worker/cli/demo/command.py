"""The `demo` command: starts everything, runs the steps, and prints a summary."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from rich.console import Console

from worker.cli.console import output, table
from worker.cli.demo.context import DemoContext, open_demo
from worker.cli.demo.steps import ALARMS, ASSETS, NOTES, QUESTIONS, STEPS, DemoStep
from worker.cli.demo.view import DemoView, LogFeed
from worker.logs import configure
from worker.settings import Settings, load_settings

EMBEDDED_BROKER = "memory://"
STEP_TIMEOUT = 40.0
POLL_INTERVAL = 0.1


def demo(environment: Mapping[str, str]) -> int:
    """Returns the exit code: 0 if everything arrived exactly once, otherwise 1. `WORKER_AMQP_URL` names a real broker; default: the embedded one."""
    named = {name: value for name, value in environment.items() if name in {"WORKER_AMQP_URL", "WORKER_AMQP_URL_FILE"} and value}
    settings, feed, console = load_settings(named or {"WORKER_AMQP_URL": EMBEDDED_BROKER}), LogFeed(), output()
    configure("info", "json", feed)
    embedded = settings.amqp_url.get_secret_value().startswith("memory:")
    where = (
        "the embedded broker (WORKER_AMQP_URL names a real one)"
        if embedded
        else "your broker (its queues and exchanges have names of their own, and are deleted at the end)"
    )
    console.print(f"A simulated HaloITSM, the sample routes, and {where}.\n")
    started = time.monotonic()
    good = asyncio.run(run_demo(settings, console, feed, embedded=embedded))
    verdict = "Nothing lost, nothing doubled" if good else "The demo FAILED: something did not arrive, or arrived twice"
    console.print(f"\n{verdict}. {time.monotonic() - started:.0f} s.")
    return 0 if good else 1


async def run_demo(settings: Settings, console: Console, feed: LogFeed, *, embedded: bool) -> bool:
    async with open_demo(settings, embedded=embedded) as context:
        with DemoView(console, feed) as view:
            arrived = [await run_step(context, view, step) for step in STEPS]
        await print_summary(context, console)
        return all(arrived) and verify_exactly_once(context)


async def run_step(context: DemoContext, view: DemoView, step: DemoStep) -> bool:
    """Start the step, and wait until everything has arrived. False after `STEP_TIMEOUT`."""
    await step.act(context)
    deadline = time.monotonic() + STEP_TIMEOUT
    while time.monotonic() < deadline:
        arrived, wanted = step.progress(context)
        view.update(step, (arrived, wanted))
        if arrived >= wanted:
            break
        await asyncio.sleep(POLL_INTERVAL)
    arrived, wanted = step.progress(context)
    view.ended(step, good=arrived == wanted)
    return arrived == wanted


def verify_exactly_once(context: DemoContext) -> bool:
    """Checks the dedupe keys that the other system received, and Halo's journal."""
    journal = context.halo.journal
    made = [len(journal.created(path)) for path in ("/Asset", "/Tickets", "/Actions")]
    return max(context.keys.values()) == 1 and made == [ASSETS, ALARMS + 1, NOTES + QUESTIONS]


async def print_summary(context: DemoContext, console: Console) -> None:
    journal = context.halo.journal
    summary = table(console, "what", "how many")
    summary.add_row("events that other systems received", str(sum(context.keys.values())))
    summary.add_row("of those, received twice", str(sum(count - 1 for count in context.keys.values())))
    summary.add_row("messages that other systems sent", str(sum(context.sent.values())))
    for path, what in (("/Asset", "assets"), ("/Tickets", "tickets"), ("/Actions", "notes")):
        summary.add_row(f"{what} that Halo made of them", str(len(journal.created(path))))
    summary.add_row("requests to Halo", str(len(journal.requests)))
    console.print(summary)
    letter = await context.dead_letter("erp.assets")
    if letter is not None:
        console.print(f"The dead letter says: {letter.message.headers['dead-class']}: {letter.message.headers['dead-reason']}")
