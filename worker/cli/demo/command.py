"""The demo's command: starts everything, plays the steps, and prints a summary."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from rich.console import Console

from worker.cli.console import output, table
from worker.cli.demo.environment import DemoEnvironment, open_environment
from worker.cli.demo.steps import ALARMS, ASSETS, NOTES, QUESTIONS, STEPS, DemoStep
from worker.cli.demo.view import DemoView, LogFeed
from worker.logs import configure
from worker.settings import Settings, load_settings

EMBEDDED_BROKER = "memory://"
STEP_TIMEOUT = 40.0
POLL_INTERVAL = 0.1


def demo(environment: Mapping[str, str]) -> int:
    """Run the demo. 0 when everything arrived exactly once, 1 when not. `WORKER_AMQP_URL` names a real broker; default: the embedded one."""
    named = {name: value for name, value in environment.items() if name in {"WORKER_AMQP_URL", "WORKER_AMQP_URL_FILE"} and value}
    settings, feed, console = load_settings(named or {"WORKER_AMQP_URL": EMBEDDED_BROKER}), LogFeed(), output()
    configure("info", "json", feed)
    embedded = settings.amqp_url.get_secret_value().startswith("memory:")
    where = "the embedded broker (WORKER_AMQP_URL names a real one)" if embedded else "your broker, under names of its own that are deleted at the end"
    console.print(f"A simulated HaloITSM, the sample routes, and {where}.\n")
    started = time.monotonic()
    good = asyncio.run(play(settings, console, feed, embedded=embedded))
    verdict = "Nothing lost, nothing doubled" if good else "The demo FAILED: something did not arrive, or arrived twice"
    console.print(f"\n{verdict}. {time.monotonic() - started:.0f} s.")
    return 0 if good else 1


async def play(settings: Settings, console: Console, feed: LogFeed, *, embedded: bool) -> bool:
    async with open_environment(settings, embedded=embedded) as scene:
        with DemoView(console, feed) as view:
            arrived = [await play_step(scene, view, step) for step in STEPS]
        await sum_up(scene, console)
        return all(arrived) and exactly_once(scene)


async def play_step(scene: DemoEnvironment, view: DemoView, step: DemoStep) -> bool:
    """Play a step and watch until everything has arrived; False when it does not in time."""
    await step.act(scene)
    patience = time.monotonic() + STEP_TIMEOUT
    while time.monotonic() < patience:
        there, wanted = step.progress(scene)
        view.update(step, (there, wanted))
        if there >= wanted:
            break
        await asyncio.sleep(POLL_INTERVAL)
    there, wanted = step.progress(scene)
    view.ended(step, good=there == wanted)
    return there == wanted


def exactly_once(scene: DemoEnvironment) -> bool:
    """Compare the other system's keys with Halo's own journal."""
    journal = scene.halo.journal
    made = [len(journal.created(path)) for path in ("/Asset", "/Tickets", "/Actions")]
    return max(scene.keys.values()) == 1 and made == [ASSETS, ALARMS + 1, NOTES + QUESTIONS]


async def sum_up(scene: DemoEnvironment, console: Console) -> None:
    journal = scene.halo.journal
    summary = table(console, "what", "how many")
    summary.add_row("events that other systems received", str(sum(scene.keys.values())))
    summary.add_row("of those, received twice", str(sum(count - 1 for count in scene.keys.values())))
    summary.add_row("messages that other systems sent", str(sum(scene.sent.values())))
    for path, what in (("/Asset", "assets"), ("/Tickets", "tickets"), ("/Actions", "notes")):
        summary.add_row(f"{what} that Halo made of them", str(len(journal.created(path))))
    summary.add_row("requests to Halo in total", str(len(journal.requests)))
    console.print(summary)
    letter = await scene.dead_letter("erp.assets")
    if letter is not None:
        console.print(f"The dead letter says: {letter.message.headers['dead-class']}: {letter.message.headers['dead-reason']}")
