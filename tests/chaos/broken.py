"""Safeguards taken out one at a time, each with the tests that must then turn red: `python -m tests.chaos.broken [WORDS]` tries it and prints the table of broken.md."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).parents[2]
LIMIT = 300  # seconds for one try
JOB, END, UNIT = "tests/flows/job", "tests/end", "tests/unit"


@dataclass(frozen=True)
class Break:
    """In `file` the one place that reads `old` becomes `new`; `tests` hold the worker to what is lost by it, one of them is enough."""

    safeguard: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


BREAKS = (
    Break(
        "a message is acked only once its copy is confirmed",
        "worker/flows/consuming/consumer.py",
        "await settler.place(delivery, envelope, settlement)\n",
        "await delivery.ack()\n                    await settler.place(delivery, envelope, settlement)\n",
        (f"{END}/matrix/test_process.py::test_a_worker_that_dies_while_it_puts_a_message_aside_leaves_it_whole",),
    ),
    Break(
        "a full or missing queue is waited for with the message in hand",
        "worker/flows/consuming/settling.py",
        "                pause = min(LONGEST_PAUSE, pause * 2)\n",
        "                return\n",
        (f"{JOB}/test_missing_queues.py::test_a_retry_queue_that_was_deleted_is_made_again_for_the_message_that_needs_it",),
    ),
    Break(
        "a doubtful create is looked up",
        "worker/flows/writes/once.py",
        'if find is not None and (attempt.suspect or find.use == "always"):',
        'if find is not None and find.use == "always":',
        (f"{JOB}/test_find.py::test_whatever_halo_leaves_open_ends_in_one_record_when_it_can_be_found",),
    ),
    Break(
        "a look that finds nothing is made again before the create is",
        "worker/flows/writes/once.py",
        "attempt.looked_in_vain() if attempt.doubtful and not attempt.waited else write",
        "write",
        (f"{END}/matrix/test_halo.py::test_a_lookup_that_lags_behind_the_create_is_waited_for",),
    ),
    Break(
        "of all copies of a message one makes an attempt: the claim",
        "worker/flows/writes/fence.py",
        "        if claim is Claim.TAKEN:\n",
        "        if False:\n",
        (f"{END}/test_once_only.py::test_a_post_under_way_in_a_replica_that_lost_the_broker_is_waited_for_by_the_one_that_got_its_message",),
    ),
    Break(
        "whoever finds an attempt begun waits until it must have come to its end",
        "worker/flows/writes/fence.py",
        "after=NOT_AFTER + limit + LAG",
        "after=0.0",
        (f"{END}/test_once_only.py::test_a_post_under_way_in_a_replica_that_lost_the_broker_is_waited_for_by_the_one_that_got_its_message",),
    ),
    Break(
        "what was claimed leaves soon or never",
        "worker/halo/transport.py",
        "if mark.not_after is not None and time.monotonic() > mark.not_after:",
        "if False:",
        ("tests/flows/halo/test_gate.py", f"{END}/test_once_only.py"),
    ),
    Break(
        "handlers outlive their channel, and the copy waits for their result",
        "worker/flows/consuming/consumer.py",
        "work = self._in_hand.adopt(key, session) if delivery.redelivered else None",
        "work = None",
        (f"{END}/test_outages.py::test_a_connection_to_the_broker_that_is_cut_during_a_post_costs_no_second_post",),
    ),
    Break(
        "of several batons the furthest counts: its generation",
        "worker/state/baton.py",
        "return max(batons, key=lambda baton: baton.rank)",
        "return min(batons, key=lambda baton: baton.rank)",
        (f"{UNIT}/state/test_baton.py", f"{UNIT}/state/test_holder.py"),
    ),
    Break(
        "the cursor moves only after the broker confirmed the events",
        "worker/flows/polling/emit.py",
        '                raise EmitStopped(f"the broker refuses events: {error}") from error\n',
        "                return\n",
        (f"{END}/matrix/test_broker.py::test_a_queue_that_is_full_holds_the_poll_back_until_somebody_reads_it",),
    ),
    Break(
        "an event that no queue takes is no success: mandatory",
        "worker/broker/rabbitmq/channel.py",
        "mandatory=True",
        "mandatory=False",
        ("tests/brokers/test_messages.py::test_an_unroutable_message_is_an_error_not_a_success",),
    ),
    Break(
        "a redirect of a POST is not followed",
        "worker/halo/transport.py",
        "allow_redirects=False",
        "allow_redirects=True",
        ("tests/flows/halo/test_faults.py::test_a_redirect_of_a_post_is_not_followed",),
    ),
    Break(
        "an end without a reason is a lost connection",
        "worker/broker/rabbitmq/failures.py",
        "        if type(error) is not Exception:\n            raise\n",
        "        raise\n",
        (f"{UNIT}/broker/test_failures.py",),
    ),
    Break(
        "a permit that was handed out before is thrown away",
        "worker/state/permits.py",
        "if delivery.redelivered or not permit.requests",
        "if not permit.requests",
        (f"{UNIT}/halo/test_permits.py", "tests/brokers/test_permits.py"),
    ),
    Break(
        "what a sender sends twice is dropped",
        "worker/flows/writes/inbox.py",
        "if not succeeded and not await self.claims.seen(self._buried(key, number)):\n                return None\n",
        "if not succeeded and not await self.claims.seen(self._buried(key, number)):\n                return number\n",
        (f"{JOB}/test_sent_twice.py::test_of_messages_with_the_same_key_one_is_sent_and_the_others_count_as_skipped",),
    ),
    Break(
        "only the first of a key runs",
        "worker/flows/ordered/lanes.py",
        "return entry.place if entry.key is None else entry.key",
        "return entry.place",
        ("tests/unit/flows/test_lanes.py", "tests/flows/order/test_order.py"),
    ),
    Break(
        "what somebody else changed beside our own write is no echo of it",
        "worker/flows/echoes/check.py",
        "return is_echo(Met(change.record, trace, settled, self._route.ignore), trails)",
        "return True",
        ("tests/flows/echo/test_somebody_else.py::test_after_ours_and_before_the_poll",),
    ),
    Break(
        "of two own writes the second must have found what the first one left",
        "worker/flows/echoes/trails.py",
        "else _meets(trail, later, ignored))",
        "else True)",
        ("tests/flows/echo/test_somebody_else.py::test_between_two_of_ours_and_as_near_as_halos_clock_can_tell",),
    ),
    Break(
        "the events of a turn that died come again under the same keys",
        "worker/flows/polling/poll.py",
        "told = turn.leads_from(key, previous, digest)",
        "told = previous",
        (f"{UNIT}/changes/test_polls.py::test_what_a_turn_that_dies_told_of_a_record_that_kept_changing_comes_again_under_the_same_key",),
    ),
    Break(
        "a body that is not wanted is not collected",
        "worker/broker/rabbitmq/content.py",
        "if not size or self._is_kept(frame, header, size):",
        "if self._is_kept(frame, header, size) or size:",
        (f"{END}/test_memory.py::test_messages_of_100_megabytes_pass_through_unread",),
    ),
    Break(
        "values are counted before they are made",
        "worker/core/jsontext.py",
        "if count_values(body, max_values) > max_values:",
        "if count_values(body, max_values) < 0:",
        (f"{UNIT}/core/test_jsontext_values.py::test_small_values_in_great_number_are_refused_before_they_are_made",),
    ),
    Break(
        "prose is not counted as values",
        "worker/core/jsontext.py",
        "return estimate if estimate <= enough else count_outside_texts(body, enough)",
        "return estimate",
        (f"{UNIT}/core/test_jsontext_values.py::test_prose_is_not_refused_for_its_commas",),
    ),
    Break(
        "no body is kept for which there is no room",
        "worker/flows/consuming/memory.py",
        "return Share() if size <= FREE else self._bodies.of(size).take_now(size)",
        "return Share()",
        ("tests/flows/memory/test_in_flight.py::test_more_than_fits_is_done_once_each_and_never_more_than_fits_is_in_hand",),
    ),
    Break(
        "the work on a message waits for memory",
        "worker/flows/consuming/with_memory.py",
        "    share = memory.work_now(weight)\n",
        "    share = Share()\n",
        (f"{END}/test_memory.py::test_what_waited_for_memory_when_its_worker_was_killed_is_done_and_not_in_doubt",),
    ),
    Break(
        "what waited for memory left a receipt, and is not in doubt",
        "worker/flows/consuming/receipts.py",
        "return replace(envelope, remembered=True)",
        "return envelope",
        (f"{END}/test_memory.py::test_what_waited_for_memory_when_its_worker_was_killed_is_done_and_not_in_doubt",),
    ),
    Break(
        "memory is given in turn: nobody overtakes what is heavier",
        "worker/flows/consuming/memory.py",
        "if self.waiting or not self._fits(weight):",
        "if not self._fits(weight):",
        (f"{UNIT}/flows/test_memory.py::test_what_is_heavier_than_the_whole_pool_has_its_turn_alone",),
    ),
    Break(
        "a too large message is rejected only where that loses nothing",
        "worker/flows/consuming/unread.py",
        "if self.rejectable:",
        "if self.rejectable or True:",
        ("tests/flows/memory/test_too_large.py::test_a_queue_that_the_worker_did_not_declare_keeps_it_and_readiness_says_what_to_do",),
    ),
    Break(
        "the order is kept though only a few large messages fit",
        "worker/flows/ordered/moving.py",
        "            if left or not await self._taken(channel, delivery, ahead, arrivals):\n",
        "            if not await self._taken(channel, delivery, ahead, arrivals):\n",
        ("tests/flows/memory/test_too_large.py::test_large_messages_of_an_ordered_route_keep_their_order_though_few_of_them_fit",),
    ),
)


def turned_red(breaking: Break) -> list[str]:
    """The tests that failed with the safeguard taken out, in a copy of the project."""
    with tempfile.TemporaryDirectory(prefix="broken-") as folder:
        copy = Path(folder)
        for name in ("worker", "tests", "routes", "docker"):
            shutil.copytree(TOP / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "README.md", "Makefile"):
            shutil.copy(TOP / name, copy / name)
        file = copy / breaking.file
        text = file.read_text("utf-8")
        assert text.count(breaking.old) == 1, f"{breaking.file} holds {breaking.old!r} {text.count(breaking.old)} times"
        file.write_text(text.replace(breaking.old, breaking.new), "utf-8")
        tests = [test for test in breaking.tests if (TOP / test.partition("::")[0]).exists()]
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
        try:
            done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False, timeout=LIMIT)
        except subprocess.TimeoutExpired:
            return ["(no end within the time limit)"]
        assert done.returncode in {0, 1}, done.stdout[-2000:] + done.stderr[-2000:]
        return [line.partition(" ")[2].partition(" - ")[0] for line in done.stdout.splitlines() if line.startswith("FAILED ")]


def main() -> int:
    wanted = " ".join(sys.argv[1:])
    still_green = 0
    print("| Safeguard taken out | Where | Turned red |\n|---|---|---|")
    for breaking in (each for each in BREAKS if wanted in each.safeguard):
        red = turned_red(breaking)
        still_green += not red
        shown = ", ".join(f"`{test.partition('[')[0]}`" for test in dict.fromkeys(red)) or "**nothing**"
        print(f"| {breaking.safeguard} | `{breaking.file}` | {shown} |", flush=True)
    return 1 if still_green else 0


if __name__ == "__main__":
    sys.exit(main())
