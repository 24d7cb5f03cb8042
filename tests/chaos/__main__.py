"""`python -m tests.chaos`: faults at random from a seed, and a verdict over the journal of what Halo really executed."""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
import sys
import tempfile
from pathlib import Path

from tests.chaos import away, cluster, fuzz, reloads, rounds, schedule, soak
from tests.chaos.screen import Screen
from tests.tools.invariants import Verdict
from tests.tools.rabbitmq import rabbitmq
from tests.tools.rabbitmq_cluster import rabbitmq_cluster
from worker.garbage import shorten_pauses


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="of what is random: the same seed, the same faults")
    parser.add_argument("--minutes", type=float, default=5, help="how long faults are injected")
    parser.add_argument("--replicas", type=int, default=3)
    parser.add_argument("--gap", type=float, default=1.5, help="seconds between two faults, on average")
    parser.add_argument("--pace", type=float, default=1.0, help="how much there is to do, as a multiple of about 20 things a second")
    parser.add_argument("--without", default="", help=f"faults to leave out, with commas between them: {', '.join(schedule.KINDS)}")
    parser.add_argument("--kills", type=int, default=0, help="instead of everything: so many SIGKILLs during creates")
    parser.add_argument("--messages", type=int, default=2000, help="with --kills or --cluster: how many creates")
    parser.add_argument(
        "--cluster", type=int, default=0, help="instead of everything: so many faults of the nodes of a cluster of three, during --messages creates"
    )
    parser.add_argument("--reloads", type=int, default=0, help="instead of faults: so many changes of a route file under load, of one replica")
    parser.add_argument("--failing", action="store_true", help="with --kills: Halo executes and then resets, cuts, answers 500 or HTML")
    parser.add_argument("--soak", type=int, default=0, help="instead of faults: so many messages, with --reconnects, and whether memory stays flat")
    parser.add_argument("--reconnects", type=int, default=500)
    parser.add_argument("--fuzz", type=int, default=0, help="instead of faults: so many messages of a hostile sender, with headers and bodies of every kind")
    parser.add_argument("--away", type=float, default=0, help="instead of everything: so many minutes without Halo, and whether all is done afterwards")
    parser.add_argument("--rate-limit", type=int, default=None, help="requests in five minutes that Halo allows; without it there is no limit")
    parser.add_argument("--folder", type=Path, default=None, help="where the logs are kept")
    return parser.parse_args()


def main() -> int:
    asked = arguments()
    seed = random.randrange(1_000_000) if asked.seed is None else asked.seed
    folder = asked.folder or Path(tempfile.mkdtemp(prefix=f"chaos-{seed}-"))
    folder.mkdir(parents=True, exist_ok=True)
    print(f"seed {seed}, {asked.replicas} replicas, logs in {folder}", flush=True)

    shorten_pauses()  # Halo is simulated in this process, and what stops it here looks like a silent worker
    say = Screen()
    for library in ("aio_pika", "aiormq"):
        logging.getLogger(library).setLevel(logging.CRITICAL)  # what they say of outages is what we make
    if asked.cluster:
        with rabbitmq_cluster() as (broker, nodes):
            verdict = asyncio.run(cluster.cluster_faults(broker, nodes, folder, seed, asked.cluster, asked.messages, asked.replicas, say))
        return report(verdict, seed, folder)
    with rabbitmq() as broker:
        if asked.soak:
            soaked = asyncio.run(soak.soak(broker, folder, asked.soak, asked.reconnects, say))
            print(soaked)
            return 0 if soaked.flat else 1
        if asked.fuzz:
            fuzzed = asyncio.run(fuzz.fuzz(broker, folder, seed, asked.fuzz, say))
            print(f"seed {seed}: {fuzzed}", *fuzzed.broken, sep="\nBROKEN ")
            print(*(f"/livez answered at {late}" for late in fuzzed.late), sep="\n")
            print(f"the worker itself held up {fuzzed.held} of them for longer than it may")
            return 1 if fuzzed.broken or fuzzed.held else 0
        if asked.kills:
            running = rounds.kills(broker, folder, seed, asked.kills, asked.messages, asked.replicas, say, failing=asked.failing)
        elif asked.reloads:
            running = reloads.reloads(broker, folder, seed, asked.reloads, say)
        elif asked.away:
            running = away.away(broker, folder, seed, asked.away, asked.replicas, say)
        else:
            without = {kind.strip() for kind in asked.without.split(",") if kind.strip()}
            running = rounds.everything(
                broker, folder, seed, asked.minutes * 60, asked.replicas, say, gap=asked.gap, pace=asked.pace, without=without, rate_limit=asked.rate_limit
            )
        verdict = asyncio.run(running)
    return report(verdict, seed, folder)


def report(verdict: Verdict, seed: int, folder: Path) -> int:
    print()
    print(f"seed {seed}: {verdict.tally}")
    for letters in verdict.parked:
        print(f"parked: {letters}")
    for sentence in verdict.broken:
        print(f"BROKEN {sentence}")
    print("every invariant holds" if verdict.good else f"the logs are in {folder}")
    return 0 if verdict.good else 1


sys.exit(main())
