"""Safeguards taken out one at a time, each with the tests that must then turn red: `python -m tests.chaos.broken [--jobs N] [WORDS]` prints the table of broken.md."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).parents[2]
LIMIT = 900  # seconds for one try
ONE_TEST = 60  # seconds; a test that waits for what a broken worker never does is red after that
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
        "worker/flows/consuming/runner.py",
        "                execution.settlement = await job.place(",
        "                await job.ack()\n                execution.settlement = await job.place(",
        (f"{END}/matrix/test_process.py::test_a_worker_that_dies_while_it_puts_a_message_aside_leaves_it_whole",),
    ),
    Break(
        "the worker keeps a message while the queue for its copy is full or missing",
        "worker/flows/consuming/settlement_executor.py",
        "                pause = min(LONGEST_PAUSE, pause * 2)\n",
        "                return\n",
        (f"{JOB}/test_missing_queues.py::test_a_retry_queue_that_was_deleted_is_made_again_for_the_message_that_needs_it",),
    ),
    Break(
        "a copy whose queue takes none waits again and holds up no others",
        "worker/flows/consuming/returning.py",
        "            except (Unroutable, PublishRefused) as error:\n                self._held(home, str(error))\n",
        "            except (Unroutable, PublishRefused) as error:\n                self._held(home, str(error))\n                raise\n",
        (
            "tests/brokers/test_returning.py::test_copies_for_a_queue_that_is_missing_hold_up_no_others_and_return_when_it_is_there",
            "tests/brokers/test_returning.py::test_copies_for_a_queue_that_is_full_hold_up_no_others_and_none_is_lost",
        ),
    ),
    Break(
        "a worker that stops finishes the copy that it is returning",
        "worker/flows/consuming/returning.py",
        "            await returning  # a copy",
        "            returning.cancel()  # a copy",
        ("tests/brokers/test_returning.py::test_a_worker_that_stops_in_the_middle_leaves_the_rest_and_returns_nothing_twice",),
    ),
    Break(
        "a doubtful create is looked up",
        "worker/flows/writes/guarded_write.py",
        'if find is not None and (attempt.suspect or find.use == "always"):',
        'if find is not None and find.use == "always":',
        (f"{JOB}/test_find.py::test_whatever_halo_leaves_open_ends_in_one_record_when_it_can_be_found",),
    ),
    Break(
        "a look that finds nothing is made again before the create is",
        "worker/flows/writes/guarded_write.py",
        "attempt.retry_lookup() if attempt.doubtful and not attempt.waited else write",
        "write",
        (f"{END}/matrix/test_halo.py::test_a_lookup_that_lags_behind_the_create_is_waited_for",),
    ),
    Break(
        "of all copies of a message one makes an attempt: the claim",
        "worker/flows/writes/attempt.py",
        "        if Claim.TAKEN in answers:\n",
        "        if False:\n",
        (f"{END}/test_once_only.py::test_a_post_under_way_in_a_replica_that_lost_the_broker_is_waited_for_by_the_one_that_got_its_message",),
    ),
    Break(
        "a replica that finds an attempt begun waits until it must have ended",
        "worker/flows/writes/attempt.py",
        "wait = SEND_WITHIN + limit + LIST_LAG",
        "wait = 0.0",
        (f"{END}/test_once_only.py::test_a_post_under_way_in_a_replica_that_lost_the_broker_is_waited_for_by_the_one_that_got_its_message",),
    ),
    Break(
        "what was claimed leaves soon or never",
        "worker/halo/transport.py",
        "if self.not_after is not None and asyncio.get_running_loop().time() > self.not_after:",
        "if False:",
        ("tests/flows/halo/test_slots.py", f"{END}/test_once_only.py"),
    ),
    Break(
        "handlers outlive their channel, and the copy waits for their result",
        "worker/flows/consuming/runner.py",
        "execution = self.in_flight.join_execution(job.key, job.session) if job.may_join else None",
        "execution = None",
        (f"{END}/test_outages.py::test_a_connection_to_the_broker_that_is_cut_during_a_post_costs_no_second_post",),
    ),
    Break(
        "of several batons the furthest counts: its generation",
        "worker/state/baton.py",
        "return max(batons, key=lambda baton: baton.rank)",
        "return min(batons, key=lambda baton: baton.rank)",
        (f"{UNIT}/state/test_baton.py", f"{UNIT}/state/test_baton_lease.py"),
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
        "a permit that was delivered before is discarded",
        "worker/state/permits.py",
        "if delivery.redelivered or ",
        "if ",
        (f"{UNIT}/halo/test_permits.py", "tests/brokers/test_permits.py"),
    ),
    Break(
        "what a sender sends twice is dropped",
        "worker/flows/writes/deduplicator.py",
        "if not succeeded and not await self.ledger.knows(once_released(self.route, number, key)):\n                return None\n",
        "if not succeeded and not await self.ledger.knows(once_released(self.route, number, key)):\n                return number\n",
        (f"{JOB}/test_sent_twice.py::test_of_messages_with_the_same_key_one_is_sent_and_the_others_count_as_skipped",),
    ),
    Break(
        "only the first of a key runs",
        "worker/flows/ordered/lanes.py",
        "return entry.place if entry.keys.order is None else entry.keys.order",
        "return entry.place",
        ("tests/unit/flows/test_lanes.py", "tests/flows/order/test_order.py"),
    ),
    Break(
        "another writer's change beside our own write is no echo of it",
        "worker/flows/echoes/filter.py",
        "else is_echo(row, footprints)",
        "else True",
        ("tests/flows/echo/test_somebody_else.py::test_after_ours_and_before_the_poll",),
    ),
    Break(
        "of two own writes the second must have found what the first one left",
        "worker/flows/echoes/footprints.py",
        "        stamp = footprint.before\n        if stamp is not None and (",
        "        stamp = footprint.before\n        if stamp is not None or (",
        ("tests/flows/echo/test_somebody_else.py::test_between_two_of_ours_and_as_near_as_halos_clock_can_tell",),
    ),
    Break(
        "the events of a turn that died come again under the same keys",
        "worker/flows/polling/processing.py",
        "base = turn.dedupe_base(key, previous, digest)",
        "base = previous",
        (f"{UNIT}/changes/test_polls.py::test_what_a_turn_that_dies_told_of_a_record_that_kept_changing_comes_again_under_the_same_key",),
    ),
    Break(
        "a copy carries nothing of its sender's by which the broker routes",
        "worker/core/header_codec.py",
        "kept = {header: value for header, value in sent.items() if not is_reserved(header)}",
        "kept = dict(sent)",
        (f"{UNIT}/core/test_header_codec.py::test_what_routes_or_is_ours_stands_under_its_own_name_on_no_copy",),
    ),
    Break(
        "no message that the worker publishes carries CC or BCC",
        "worker/broker/amqp_types.py",
        " and name not in ROUTING",
        "",
        ("tests/flows/attacks/test_borrowed_rights.py::test_what_the_port_publishes_never_carries_a_header_by_which_the_broker_routes",),
    ),
    Break(
        "the worker's headers are trusted only where they are proven",
        "worker/core/header_codec.py",
        "        return compare_digest(",
        "        return True or compare_digest(",
        ("tests/flows/attacks/test_forged_headers.py::test_a_proof_that_was_read_elsewhere_proves_no_other_message_and_no_other_queue",),
    ),
    Break(
        "a proof is good for one queue",
        "worker/core/header_codec.py",
        "told = ascii((VERSION, home, ",
        "told = ascii((VERSION, ",
        (f"{UNIT}/core/test_header_codec.py::test_what_was_proven_for_one_queue_proves_nothing_in_another",),
    ),
    Break(
        "a count of deliveries that only the sender can have written slows nothing",
        "worker/flows/consuming/plain_job.py",
        " if delivery.redelivered else None",
        "",
        (f"{UNIT}/flows/test_handling.py::test_a_count_that_only_a_sender_can_have_written_makes_nothing_wait",),
    ),
    Break(
        "the worker ignores what a sender says of a message that the broker dead-lettered",
        "worker/flows/dead/letter.py",
        "codec.is_proven(message, home, content_digest) or not death",
        "True",
        (f"{UNIT}/flows/test_dead_letter.py::test_what_a_sender_says_of_a_message_that_the_broker_buried_counts_for_nothing",),
    ),
    Break(
        "two runs with different starts are different, also under one id",
        "worker/flows/running/run_message.py",
        'f"{message_id}\\n{content.hex()}"',
        "message_id",
        ("tests/flows/attacks/test_identity.py::test_two_starts_of_a_runbook_under_one_id_are_two_runs_and_a_copy_is_none",),
    ),
    Break(
        "a letter without room is shortened",
        "worker/flows/consuming/settlement_executor.py",
        "        except HeadersTooLarge:\n",
        "        except ZeroDivisionError:\n",
        ("tests/flows/attacks/test_no_room.py::test_a_letter_without_room_is_buried_with_its_reason_and_the_route_goes_on",),
    ),
    Break(
        "a copy that no broker takes is not tried for ever",
        "worker/flows/consuming/settlement_executor.py",
        "if isinstance(error, Unpublishable) and not last:",
        "if False:",
        ("tests/flows/attacks/test_no_room.py::test_what_cannot_be_tried_again_for_want_of_room_is_buried_and_says_so",),
    ),
    Break(
        "a baton that becomes due while its wait queue is read is forwarded",
        "worker/state/baton_lease.py",
        "    async with broker.channel(prefetch=1) as channel:\n        await channel.consume(wait_queue(",
        "    return\n    async with broker.channel(prefetch=1) as channel:\n        await channel.consume(wait_queue(",
        ("tests/brokers/test_due_batons.py::test_a_baton_that_becomes_due_while_somebody_looks_at_it_arrives",),
    ),
    Break(
        "every channel that the broker closes is confirmed",
        "worker/broker/rabbitmq/connection.py",
        "NO_LIMIT_OF_FRAMES = 0",
        "NO_LIMIT_OF_FRAMES = 10",
        ("tests/brokers/test_many_channels.py::test_a_channel_that_the_broker_closes_is_free_again_while_much_is_written",),
    ),
    Break(
        "a close of a connection that is cancelled is waited for",
        "worker/broker/rabbitmq/connection.py",
        "            await asyncio.wait([closing], timeout=CLOSE_TIMEOUT)",
        "            await asyncio.sleep(0)",
        ("tests/unit/broker/test_connection.py::test_who_is_cancelled_while_leaving_tears_the_socket_too_and_leaves_no_close_behind",),
    ),
    Break(
        "nothing is written on a channel that the broker is closing",
        "worker/broker/rabbitmq/turn_writer.py",
        "    return not channel.is_closed and channel._close_exception is None",
        "    return not channel.is_closed",
        ("tests/brokers/test_acks.py::test_acks_while_the_broker_closes_their_channel_end_neither_the_connection_nor_another_channel",),
    ),
    Break(
        "a baton that no worker can have written moves nothing",
        "worker/state/baton_lease.py",
        "if reason := baton.implausible(self._clock.now()):",
        "if reason := None:",
        (f"{UNIT}/state/test_baton_lease.py::test_a_baton_that_no_worker_can_have_written_moves_nothing_and_is_told_counted_and_kept",),
    ),
    Break(
        "a wrong clock of Halo's moves the cursor by a day at most",
        "worker/flows/polling/plan.py",
        "min(position.reached, latest)",
        "position.reached",
        (f"{UNIT}/flows/test_plan.py::test_a_clock_of_halos_that_is_wrong_by_years_moves_the_cursor_by_a_day_at_most",),
    ),
    Break(
        "a stream that keeps our message back is read again",
        "worker/state/stream_follower.py",
        "                    self._require_ours(broker)\n",
        "                    continue\n",
        ("tests/brokers/test_stream_follower.py::test_a_stream_that_keeps_our_message_back_is_read_again",),
    ),
    Break(
        "a node that keeps our messages back is left",
        "worker/state/stream_follower.py",
        "            broker.lose(why)\n",
        "            pass\n",
        ("tests/brokers/test_stream_follower.py::test_a_node_that_keeps_our_messages_back_twice_in_a_row_is_left",),
    ),
    Break(
        "known records that a node keeps back are not lost",
        "worker/state/known_stream.py",
        "            await self._require_lost(ref.last)\n",
        "",
        ("tests/unit/state/test_known_stream.py::test_a_stream_that_keeps_back_what_it_holds_is_not_taken_for_lost",),
    ),
    Break(
        "a claim from the future holds no key",
        "worker/state/stream_ledger.py",
        "            if entry.at > ",
        "            if False and entry.at > ",
        ("tests/brokers/test_claims.py::test_a_claim_that_is_dated_ahead_holds_no_key_and_is_counted",),
    ),
    Break(
        "a write notice from the future hides nothing",
        "worker/state/write_notices.py",
        "        if notice.at > ",
        "        if False and notice.at > ",
        ("tests/brokers/test_write_notices.py::test_a_write_notice_that_is_dated_ahead_hides_no_change_and_is_counted",),
    ),
    Break(
        "a permit that no worker can have made allows nothing",
        "worker/state/permits.py",
        "if not 0 < requests <= self._allowance.most:",
        "if False:",
        ("tests/brokers/test_permits.py::test_a_permit_that_no_worker_can_have_made_is_good_for_nothing_and_is_counted",),
    ),
    Break(
        "a sender's user may write to its exchange and to nothing else",
        "worker/app/permissions.py",
        "write=whole_name_pattern(names=[exchange])",
        'write=whole_name_pattern([".*"])',
        (f"{END}/test_permissions.py::test_a_sender_may_do_nothing_with_any_queue_and_publish_nowhere_else",),
    ),
    Break(
        "a reader's own queue is no way into the worker's queues",
        "worker/app/permissions.py",
        "whole_name_pattern([mine]), whole_name_pattern([mine]), whole_name_pattern([mine], sources)",
        "whole_name_pattern([mine]), whole_name_pattern([mine, DEFAULT_EXCHANGE]), whole_name_pattern([mine], sources)",
        (f"{END}/test_permissions.py::test_a_readers_own_queue_is_no_way_into_the_queues_of_the_worker",),
    ),
    Break(
        "the worker's user may not read, declare or delete queues of others",
        "worker/app/permissions.py",
        "whole_name_pattern([OWN], {exchange for _, exchange in served} | inlets(routes), work)",
        'whole_name_pattern([".*"])',
        (f"{END}/test_permissions.py::test_the_worker_may_not_touch_queues_of_others_and_this_is_where_its_rights_end",),
    ),
    Break(
        "a permission is for whole names",
        "worker/app/permissions.py",
        """return f"^({'|'.join(parts)})$\"""",
        """return f"({'|'.join(parts)})\"""",
        (f"{UNIT}/app/test_permissions.py::test_the_worker_may_not_read_what_only_looks_like_its_own",),
    ),
    Break(
        "a call without credentials is answered before its body is read",
        "worker/web/public.py",
        "        if evidence is Evidence.NOTHING:\n",
        "        if False:\n",
        ("tests/flows/public/test_strangers.py::test_without_credentials_a_call_is_answered_401_before_its_body_comes",),
    ),
    Break(
        "the oldest call whose body has not come gives way",
        "worker/web/admission.py",
        "        oldest = next((admission for admission in in_the_way if not admission.pinned), None)\n",
        "        oldest = None\n",
        ("tests/flows/public/test_strangers.py::test_two_hundred_calls_whose_bodies_do_not_come_keep_nobody_out",),
    ),
    Break(
        "known peers have room of their own",
        "worker/web/public.py",
        "stranger = evidence is Evidence.SIGNATURE and not self._known.knows(peer)",
        "stranger = evidence is Evidence.SIGNATURE",
        ("tests/flows/public/test_strangers.py::test_strangers_in_any_number_leave_the_calls_of_known_peers_alone",),
    ),
    Break(
        "a call that is being stored does not give way",
        "worker/web/public.py",
        "        self.connections.pin(request.transport, pinned=True)\n",
        "",
        ("tests/flows/public/test_strangers.py::test_a_call_that_is_being_stored_gives_way_to_nobody",),
    ),
    Break(
        "connections are bounded for each peer",
        "worker/web/connections.py",
        "        if self._connections.admit(self._transport):\n",
        "        if True:\n",
        ("tests/flows/public/test_strangers.py::test_a_peer_has_its_share_of_connections_and_displaces_its_own",),
    ),
    Break(
        "a stranger's body keeps a pace",
        "worker/web/bodies.py",
        "return min(BODY_SECONDS, GRACE_SECONDS + size / MIN_BYTES_PER_SECOND) if self._paced else BODY_SECONDS",
        "return BODY_SECONDS",
        ("tests/flows/public/test_strangers.py::test_a_stranger_s_body_must_keep_a_pace",),
    ),
    Break(
        "only a trusted proxy may name the caller",
        "worker/web/peers.py",
        "        if not self.trusts(host):\n",
        "        if False:\n",
        ("tests/unit/web/test_peers.py::test_a_trusted_proxy_names_the_caller_and_nobody_else_does",),
    ),
    Break(
        "a refusal costs the same for every address",
        "worker/web/authentication.py",
        "for _ in range(count - (len(auth.secrets) if algorithm == auth.algorithm else 0)):",
        "for _ in range(0):",
        ("tests/flows/public/test_strangers.py::test_a_refusal_costs_the_same_digests_whatever_the_address",),
    ),
    Break(
        "no two doors have a secret in common",
        "worker/config/callers.py",
        "            if owner is not auth:\n",
        "            if False:\n",
        ("tests/unit/config/test_broken_route_files.py::test_check_prints_exactly_this",),
    ),
    Break(
        "a door's secret has a least length",
        "worker/config/callers.py",
        "        if len(secret.strip()) < MIN_SECRET:\n",
        "        if False:\n",
        ("tests/unit/config/test_broken_route_files.py::test_check_prints_exactly_this",),
    ),
    Break(
        "route files cannot read the worker's settings",
        "worker/config/interpolation.py",
        "        if name.startswith(WORKER_PREFIX):\n",
        "        if False:\n",
        ("tests/unit/config/test_interpolation.py::test_the_settings_of_the_worker_are_none_of_a_route_and_no_name_is_betrayed",),
    ),
    Break(
        "route files cannot read the file of the broker's address",
        "worker/config/interpolation.py",
        "            if where == own or same_file(where, own):\n",
        "            if False:\n",
        ("tests/unit/config/test_interpolation.py::test_the_worker_s_own_secret_is_none_of_a_route_although_it_lies_among_them",),
    ),
    Break(
        "a pipe among the secrets is not waited for",
        "worker/core/text_files.py",
        "    if not stat.S_ISREG(mode):\n",
        "    if False:\n",
        ("tests/unit/config/test_interpolation.py::test_what_is_no_file_is_refused_without_waiting_for_it",),
    ),
    Break(
        "an address whose password is not encoded is not taken apart",
        "worker/core/url_credentials.py",
        "    return in_one_way and ",
        "    return True or in_one_way and ",
        ("tests/unit/test_settings.py::test_a_password_that_is_not_encoded_is_told_so_and_no_part_of_it_is_quoted",),
    ),
    Break(
        "control characters of data do not reach a terminal",
        "worker/core/printable.py",
        "    return text if text.isprintable() else text.translate(LINES if lines else ONE_LINE)",
        "    return text",
        ("tests/unit/test_console.py::test_data_does_not_steer_the_terminal_in_whatever_form_it_is_printed",),
    ),
    Break(
        "`call` masks the key that an API quotes",
        "worker/cli/call.py",
        '"body": known.hide_in(exchange.body)',
        '"body": exchange.body',
        ("tests/flows/integrations/test_call.py::test_an_api_that_quotes_the_key_does_not_get_it_onto_the_screen",),
    ),
    Break(
        "Halo's refusals are shown without our secrets",
        "worker/halo/slot.py",
        "            result = self._without_our_secrets(await self._source.send(",
        "            result = (await self._source.send(",
        ("tests/flows/halo/test_requests.py::test_a_refusal_that_quotes_what_proves_who_we_are_is_told_without_it",),
    ),
    Break(
        "an evaluation ends after its CPU time, also when the worker is gone",
        "worker/evaluator/child.py",
        "        signal.setitimer(signal.ITIMER_PROF, limit * HARD_FACTOR)\n",
        "",
        ("tests/evaluator/test_processes.py::test_they_end_when_the_worker_is_killed_in_the_midst_of_an_endless_evaluation",),
    ),
    Break(
        "an evaluation has a limit of memory",
        "worker/evaluator/child.py",
        "            resource.setrlimit(resource.RLIMIT_AS, (self._base + mebibytes * MIB, hard))\n",
        "",
        ("tests/evaluator/test_processes.py::test_what_ends_a_process_is_told_in_a_sentence_of_its_own_and_counted",),
    ),
    Break(
        "what is slow is evaluated apart from the others",
        "worker/evaluator/child.py",
        "limit = QUICK if quick else self._limits.seconds",
        "limit = self._limits.seconds",
        ("tests/evaluator/test_processes.py::test_what_needs_more_than_the_quick_lane_gives_is_answered_on_the_slow_one",),
    ),
    Break(
        "questions of a process that ended because of another one are asked again",
        "worker/evaluator/lane.py",
        "        self._requeue(others)\n",
        "",
        ("tests/evaluator/test_processes.py::test_those_in_the_same_batch_as_what_ends_the_process_get_their_answers",),
    ),
    Break(
        "evaluators know no secrets",
        "worker/evaluator/process.py",
        "if name in os.environ}",
        "if name in os.environ} | dict(os.environ)",
        ("tests/evaluator/test_processes.py::test_its_environment_holds_no_secret",),
    ),
    Break(
        "a message is not dead-lettered because an evaluator is missing",
        "worker/flows/consuming/runner.py",
        "        return unevaluated(error)\n",
        "        raise\n",
        (f"{UNIT}/flows/test_unevaluated.py::test_a_step_that_was_not_begun_is_tried_again_uncounted",),
    ),
    Break(
        "a step that was done is not done again because an evaluator is missing",
        "worker/flows/running/runbook.py",
        "return await once_evaluated(lambda: when.holds(values.context(), {}, self._evaluator), self._clock)",
        "return await when.holds(values.context(), {}, self._evaluator)",
        (f"{UNIT}/flows/test_unevaluated.py::test_a_step_that_was_done_waits_for_its_next_one_and_is_not_done_again",),
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
        "worker/core/json_codec.py",
        "and count_values(body, max_values) > max_values:",
        "and count_values(body, max_values) < 0:",
        (f"{UNIT}/core/test_jsontext_values.py::test_small_values_in_great_number_are_refused_before_they_are_made",),
    ),
    Break(
        "prose is not counted as values",
        "worker/core/json_codec.py",
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
        "what went back to the queue comes again before what is behind it",
        "worker/flows/ordered/returned_messages.py",
        "        return PAUSES[self._held - 1] if self._held <= len(PAUSES) else 0.0\n",
        "        return 0.0\n",
        ("tests/flows/memory/test_too_large.py::test_large_messages_keep_their_order_though_a_closed_channel_returns_what_it_held_late",),
    ),
    Break(
        "the work on a message waits for memory",
        "worker/flows/consuming/memory.py",
        "    share = memory.work_now(needed)\n",
        "    share = Share()\n",
        (f"{UNIT}/flows/test_memory.py::test_the_work_on_a_message_waits_for_memory_with_a_receipt_that_was_left_before",),
    ),
    Break(
        "what waited for memory left a receipt, and is not in doubt",
        "worker/flows/consuming/memory.py",
        "return replace(state, remembered=True)",
        "return state",
        (f"{END}/test_memory.py::test_what_waited_for_memory_when_its_worker_was_killed_is_done_and_not_in_doubt",),
    ),
    Break(
        "memory is given in turn: no message overtakes a heavier one",
        "worker/flows/consuming/memory.py",
        "if self.waiting or not self._fits(weight):",
        "if not self._fits(weight):",
        (f"{UNIT}/flows/test_memory.py::test_what_is_heavier_than_the_whole_pool_has_its_turn_alone",),
    ),
    Break(
        "a too large message is rejected only where that loses nothing",
        "worker/flows/consuming/dropped_body.py",
        "if self.rejectable and not died_before(delivery):",
        "if not died_before(delivery):",
        ("tests/flows/memory/test_too_large.py::test_a_queue_that_the_worker_did_not_declare_keeps_it_and_readiness_says_what_to_do",),
    ),
    Break(
        "customers take turns",
        "worker/flows/ordered/customer_round_robin.py",
        "            self._line.append(customer)\n",
        "            self._line.appendleft(customer)\n",
        (f"{UNIT}/flows/test_lanes.py::test_a_free_place_goes_to_the_customer_that_has_waited_longest",),
    ),
    Break(
        "a customer whose requests hang leaves a place to the others",
        "worker/flows/ordered/consumer.py",
        "max(1, route.concurrency - 1)",
        "route.concurrency",
        ("tests/flows/order/test_fair.py::test_a_customer_whose_requests_hang_leaves_a_place_to_the_others",),
    ),
    Break(
        "what a worker moved before it died is not moved again",
        "worker/flows/ordered/intake.py",
        "if self._recent.has_copy_of(delivery):",
        "if False:",
        (
            "tests/flows/order/test_intake.py::test_every_message_of_a_key_is_applied_once_and_in_order_whenever_workers_die",
            "tests/flows/order/test_keeping.py::test_what_was_moved_last_and_comes_from_the_queue_again_is_not_moved_twice",
        ),
    ),
    Break(
        "no copy is started while its original is in the queue",
        "worker/flows/ordered/moves.py",
        "memory_of(delivery.message), moving=True)",
        "memory_of(delivery.message))",
        ("tests/flows/order/test_intake.py::test_every_message_of_a_key_is_applied_once_and_in_order_whenever_workers_die",),
    ),
    Break(
        "two messages of one key are not under way together",
        "worker/flows/ordered/moves.py",
        "            if earlier is not None:\n",
        "            if False:\n",
        ("tests/flows/order/test_intake.py::test_every_message_of_a_key_is_applied_once_and_in_order_whenever_workers_die",),
    ),
    Break(
        "originals are acknowledged once their own copies are confirmed",
        "worker/flows/ordered/moves.py",
        "takewhile(lambda move: move.stored, self._moves)",
        "self._moves",
        ("tests/flows/order/test_intake.py",),
    ),
    Break(
        "the order is kept though only a few large messages fit",
        "worker/flows/ordered/intake.py",
        "            if left or not await self._accept(delivery, moves, ahead, arrivals):\n",
        "            if not await self._accept(delivery, moves, ahead, arrivals):\n",
        ("tests/flows/memory/test_too_large.py::test_large_messages_of_an_ordered_route_keep_their_order_though_few_of_them_fit",),
    ),
    Break(
        "the broker is not asked to dead-letter a message with `x-death`",
        "worker/flows/consuming/dropped_body.py",
        'return "x-death" in delivery.message.headers',
        "return False",
        ("tests/flows/attacks/test_broker_deaths.py::test_a_too_large_message_that_tells_of_deaths_is_buried_as_a_copy_and_the_broker_goes_on_burying",),
    ),
    Break(
        "headers with too many values are not read",
        "worker/broker/rabbitmq/lenient_decoding.py",
        "if count > MAX_VALUES:",
        "if False:",
        ("tests/flows/attacks/test_broker_deaths.py::test_headers_with_too_many_values_are_not_read_and_their_message_is_buried",),
    ),
    Break(
        "headers that are nested too deep are not read",
        "worker/broker/rabbitmq/lenient_decoding.py",
        "if self._depth == MAX_DEPTH:",
        "if False:",
        ("tests/flows/attacks/test_broker_deaths.py::test_headers_that_are_nested_too_deep_are_not_read_and_their_message_is_buried",),
    ),
    Break(
        "a time of death lies within the calendar",
        "worker/core/header_fields.py",
        " or not EARLIEST <= found.year <= LATEST:",
        ":",
        ("tests/flows/attacks/test_broker_deaths.py::test_a_forged_time_of_death_does_not_take_the_status_page_from_the_other_letters",),
    ),
    Break(
        "the number of a holder is one of its own key",
        "worker/flows/writes/deduplicator.py",
        "if number and not await",
        "if False and not await",
        ("tests/flows/job/test_sent_twice.py::test_a_letter_that_was_edited_to_a_key_that_is_taken_is_the_copy_whichever_holder_of_its_own_key_it_was",),
    ),
    Break(
        "a direct reply goes to an address that RabbitMQ made",
        "worker/core/results.py",
        'return "" if is_direct(address) else "RabbitMQ makes no such address for a direct reply"',
        'return ""',
        ("tests/flows/attacks/test_reply_addresses.py::test_a_direct_reply_address_that_a_sender_made_up_costs_nobody_the_connection",),
    ),
    Break(
        "direct replies have a connection of their own",
        "worker/flows/consuming/answering.py",
        "elif reply_to.startswith(DIRECT):",
        "elif False:",
        ("tests/flows/attacks/test_reply_addresses.py::test_a_direct_reply_to_a_node_that_is_gone_costs_nobody_the_connection",),
    ),
    Break(
        "headers count as memory",
        "worker/core/message.py",
        "return len(message.body) + weight_of_value(message.headers)",
        "return len(message.body)",
        ("tests/flows/attacks/test_broker_deaths.py::test_headers_count_as_memory",),
    ),
    Break(
        "slow expressions take turns",
        "worker/evaluator/fair_queue.py",
        "            self._queues[key] = queue\n",
        "            self._queues = {key: queue} | self._queues\n",
        (f"{UNIT}/test_fair_queue.py::test_an_expression_with_a_backlog_lets_another_one_in_after_one_of_its_own",),
    ),
    Break(
        "an event that no broker takes is parked",
        "worker/flows/polling/emit.py",
        "            except Unpublishable:\n                raise\n",
        "",
        (f"{UNIT}/flows/test_unpublishable.py::test_an_event_that_is_too_large_is_parked_with_its_key_and_the_others_are_published",),
    ),
    Break(
        "a letter that is not whole is not replayed",
        "worker/flows/dead/plan.py",
        "letter.state.death is not None and letter.state.death.left_out:",
        "False:",
        (f"{UNIT}/flows/test_dead_plan.py::test_a_letter_that_is_not_whole_is_left_whatever_is_said_of_it",),
    ),
    Break(
        "strict data: what is missing fails the message",
        "worker/config/mappings.py",
        '        elif missing == "fail" and not optional:\n            gaps += gaps_of(result)\n',
        "",
        (f"{UNIT}/config/test_missing.py::test_a_publisher_fails_where_a_subscriber_leaves_out",),
    ),
    Break(
        "strict data: a gap in a longer text fails the message",
        "worker/config/mappings.py",
        "if whole and (gaps",
        "if not texts and (gaps",
        (f"{UNIT}/config/test_missing.py::test_fail_names_every_member_that_is_missing_and_no_data",),
    ),
    Break(
        "strict data: `required` is checked before anything is sent",
        "worker/flows/writes/write_request.py",
        '        route.required.check(payload, "payload.")\n',
        "        pass\n",
        (f"{JOB}/test_names_to_ids.py::test_what_cannot_be_found_or_is_missing_is_dead_lettered_before_anything_is_sent",),
    ),
    Break(
        "strict data: a message that cannot be looked up later is not sent",
        "worker/flows/writes/guarded_write.py",
        "{} if find is None else await match_of(",
        "{} if find is None or not attempt.suspect else await match_of(",
        (f"{JOB}/test_names_to_ids.py::test_a_message_that_cannot_be_looked_up_later_is_refused_before_it_is_sent",),
    ),
    Break(
        "strict data: `$id` with a missing member asks nothing",
        "worker/evaluator/functions.py",
        " or len(members) < len(written):",
        ":",
        (f"{UNIT}/config/test_functions.py::test_a_missing_member_asks_nothing_since_the_others_would_find_another_record",),
    ),
    Break(
        "strict data: a computed text of `$fail` is not shown",
        "worker/evaluator/functions.py",
        "if isinstance(reason, str) and reason in self._literals:",
        "if isinstance(reason, str):",
        (f"{UNIT}/config/test_functions.py::test_a_text_that_the_author_wrote_out_is_told_and_a_computed_one_is_not",),
    ),
    Break(
        "strict data: no message can hold what stands for an answer",
        "worker/evaluator/functions.py",
        "{randbelow(10**18):018}",
        "1",
        ("tests/evaluator/test_lookups.py::test_a_message_cannot_pretend_to_be_an_answer",),
    ),
    Break(
        "strict data: two records of one name are refused",
        "worker/flows/lookups/ids.py",
        "    if len(ids) > 1:\n",
        "    if len(ids) > 2:\n",
        (f"{UNIT}/flows/test_ids.py::test_two_of_one_name_are_refused_and_more_members_tell_them_apart",),
    ),
    Break(
        "strict data: messages that ask at the same time share a lookup",
        "worker/flows/lookups/ids.py",
        "        asking = self._asking.get(search.key)\n",
        "        asking = None\n",
        (f"{UNIT}/flows/test_ids.py::test_10_000_messages_with_200_names_take_200_lookups",),
    ),
    Break(
        "strict data: an id is looked for again after its time",
        "worker/flows/lookups/ids.py",
        "HIT_TTL if answer.found else MISS_TTL",
        "1e9",
        (f"{UNIT}/flows/test_ids.py::test_a_renamed_client_is_found_after_its_time",),
    ),
    Break(
        "strict data: an unanswered lookup is no fault of the message",
        "worker/flows/lookups/ids.py",
        "            raise LookupUnanswered(entity, found.exchange)\n",
        "            return ListedRows((), at)\n",
        (f"{UNIT}/flows/test_ids.py::test_a_failed_lookup_is_not_remembered_and_is_no_fault_of_the_message",),
    ),
    Break(
        "the status page: a form belongs to its session",
        "worker/web/page/actions.py",
        "            self._require_own(session, form)\n",
        "            pass\n",
        ("tests/flows/web/test_page_attacks.py::test_the_session_is_http_only_strict_limited_and_fits_its_own_forms_only",),
    ),
    Break(
        "the status page: a form comes from the page itself",
        "worker/web/page/security.py",
        'if request.method not in {"GET", "HEAD"} and is_cross_site(request):',
        "if False:",
        ("tests/flows/web/test_page_attacks.py::test_a_form_of_another_site_does_nothing_although_it_has_everything_else",),
    ),
    Break(
        "the status page: only under names that are known",
        "worker/web/page/security.py",
        'if not is_known_host(request.headers.get("Host", ""), known):',
        "if False:",
        ("tests/flows/web/test_page_attacks.py::test_no_page_answers_under_a_name_that_an_attacker_may_have_resolved_to_this_port",),
    ),
    Break(
        "a sender's reply address is no queue of the worker, the broker or a route",
        "worker/core/results.py",
        "if address.startswith(RESERVED):",
        "if False:",
        (f"{UNIT}/core/test_results.py", "tests/flows/attacks/test_reply_addresses.py::test_no_result_goes_to_a_queue_that_a_sender_may_not_write_to"),
    ),
    Break(
        "a list that hides records deletes none",
        "worker/changes/mass_loss.py",
        "return percent < 100 and missing > allowed",
        "return False",
        (f"{UNIT}/changes/test_mass_loss.py::test_deletions_are_held_when_so_many_are_missing_at_once",),
    ),
    Break(
        "a method calls its integration's own address only",
        "worker/integrations/guard.py",
        "if not same_place(url, origin) or url.raw_user is not None:",
        "if False:",
        ("tests/flows/integrations/test_audit.py", "tests/flows/integrations/test_pages.py", "tests/flows/integrations/test_connections.py"),
    ),
    Break(
        "customers: a key that is no row is never another customer's",
        "worker/integrations/customers.py",
        '        raise ExpressionError(f"{method.full_name}: the table `{customers.table}` has no such row")',
        "        return next(iter(customers.rows.values()))",
        ("tests/flows/runbooks/test_customers.py::test_a_customer_that_is_no_row_is_a_dead_letter_that_names_the_table_and_not_the_value",),
    ),
    Break(
        "customers: each has its own connection and token",
        "worker/integrations/pool.py",
        "    return integration.name, integration.customer\n",
        '    return integration.name, ""\n',
        ("tests/flows/runbooks/test_customers.py::test_a_run_over_all_customers_calls_each_of_them_once",),
    ),
    Break(
        "customers: a login sends the credentials of its own customer",
        "worker/integrations/caller.py",
        "customer.own(method)",
        "method",
        ("tests/flows/runbooks/test_customers.py::test_a_login_sends_the_credentials_of_its_own_customer_also_where_a_step_calls_it",),
    ),
    Break(
        "customers: a customer whose API hangs takes only its own places",
        "worker/integrations/customers.py",
        "            if left <= 0:\n                return False\n",
        "            if left <= 0:\n                left = 3600.0\n",
        ("tests/flows/runbooks/test_customers.py::test_a_customer_whose_api_hangs_takes_only_its_own_places",),
    ),
    Break(
        "customers: a connection that a reload leaves as it is keeps its token",
        "worker/integrations/pool.py",
        "if wanted is None or wanted != lease.connection.integration:",
        "if True:",
        ("tests/flows/runbooks/test_customers.py::test_a_reload_leaves_the_tokens_and_the_flows_of_others_as_they_are",),
    ),
    Break(
        "customers: a row names a secret of one folder only",
        "worker/config/row_texts.py",
        "    if not FILE.fullmatch(cell):",
        "    if False:",
        (f"{UNIT}/config/test_customers.py::test_a_wrong_row_is_told_by_its_line_and_its_column",),
    ),
    Break(
        "customers: a cell is a value and no expression or variable",
        "worker/config/row_texts.py",
        "    if UNSAFE.search(cell):",
        "    if False:",
        (f"{UNIT}/config/test_customers.py::test_a_wrong_row_is_told_by_its_line_and_its_column",),
    ),
    Break(
        "customers: keys that people take for one are refused",
        "worker/config/customer_rows.py",
        "            if first != key:",
        "            if False:",
        (f"{UNIT}/config/test_customers.py::test_keys_that_people_take_for_one_are_refused",),
    ),
    Break(
        "customers: a retry cannot choose another one",
        "worker/config/customers.py",
        "    for name, offset in varying(row.value):",
        "    for name, offset in varying(''):",
        (f"{UNIT}/config/test_customers.py::test_a_wrong_definition_is_told_at_its_place_once",),
    ),
    Break(
        "a long key of a message that waits takes little memory",
        "worker/flows/ordered/messages.py",
        "return key if len(key) <= MAX_KEY else",
        "return key if key else",
        (f"{UNIT}/flows/test_waiting_keys.py::test_a_long_key_out_of_a_small_compressed_body_takes_little_memory_and_is_one_with_its_equals",),
    ),
    Break(
        "a worker that takes over reads what waits within its memory",
        "worker/flows/ordered/waiting_queue.py",
        "async with self._memory.reading(item.message):",
        "if True:",
        ("tests/flows/order/test_hostile_bodies.py::test_a_worker_that_takes_over_reads_no_more_of_what_waits_than_has_room_in_its_memory",),
    ),
    Break(
        "what the message of a run carries packed counts as memory",
        "worker/core/compressed_content.py",
        "return said if said > LIGHT else 0",
        "return 0",
        (f"{UNIT}/flows/test_iteration.py::test_what_a_small_message_of_a_run_carries_packed_waits_for_the_memory_that_it_takes_unpacked",),
    ),
    Break(
        "names of charsets leave nothing behind",
        "worker/core/bodies.py",
        "if READ_CHARSETS.fullmatch(module) is None:",
        "if not module:",
        (f"{UNIT}/core/test_bodies.py::test_names_of_charsets_leave_nothing_behind_in_memory",),
    ),
    Break(
        "the right admin token takes as long as a guess",
        "worker/web/page/sign_in_limiter.py",
        "        if held:\n",
        "        if held and not right:\n",
        (
            "tests/flows/web/test_page_attacks.py::test_after_wrong_tokens_of_a_stranger_behind_the_same_proxy_the_right_one_still_gets_in_after_as_long_as_a_guess",
        ),
    ),
    Break(
        "on ordered routes `when` comes before a missing key",
        "worker/flows/ordered/lane_runner.py",
        "            work = partial(refused_unless_left_out,",
        "            return refused\n            work = partial(refused_unless_left_out,",
        ("tests/flows/order/test_stuck.py::test_what_when_leaves_out_is_skipped_although_it_has_no_key_and_what_when_takes_is_buried",),
    ),
    Break(
        "no connection to a customer's row that a reload has removed",
        "worker/integrations/pool.py",
        "if (wanted := self._wanted.get(key)) is None:",
        "if (wanted := self._wanted.get(key, integration)) is None:",
        ("tests/flows/integrations/test_pool.py::test_a_call_that_a_reload_overtakes_opens_no_connection_to_a_row_that_is_gone",),
    ),
    Break(
        "the secret files that a definition names are part of what it says",
        "worker/config/loader.py",
        "    content = {reference: variables.known(reference) for",
        "    content = {reference: reference for",
        ("tests/flows/control/test_reloading.py::test_a_webhook_and_a_transform_take_the_content_that_their_secret_files_have_now",),
    ),
    Break(
        "a message that is too large and has `x-death` is read alone, and stops no ordered route",
        "worker/flows/ordered/intake.py",
        "            if self._bodyless.is_buried_as_copy(delivery):\n",
        "            if False:\n",
        ("tests/flows/attacks/test_broker_deaths.py::test_a_too_large_message_that_tells_of_deaths_stops_no_route_that_keeps_an_order",),
    ),
    Break(
        "a round without a node is followed by a pause, also after a loss",
        "worker/app/attachments.py",
        "            self._losses = 0  # no node is left that may be tried at once\n",
        "",
        (f"{UNIT}/app/test_attachments.py::test_while_no_node_is_there_each_round_is_followed_by_a_longer_pause_also_after_a_loss",),
    ),
)


def turned_red(breaking: Break) -> list[str]:
    """The tests of `make test` that failed with the safeguard taken out, in a copy of the project."""
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
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-m", "not long", f"--timeout={ONE_TEST}", *tests]
        try:
            done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False, timeout=LIMIT)
        except subprocess.TimeoutExpired:
            return ["(no end within the time limit)"]
        assert done.returncode in {0, 1}, f"{breaking.safeguard}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return [line.partition(" ")[2].partition(" - ")[0] for line in done.stdout.splitlines() if line.startswith("FAILED ")]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.broken")
    parser.add_argument("--jobs", type=int, default=1, help="tries at once; each starts a broker of its own")
    parser.add_argument("words", nargs="*", help="part of a safeguard's text, for that one alone")
    asked = parser.parse_args()
    tried = [each for each in BREAKS if " ".join(asked.words) in each.safeguard]
    still_green = 0
    print("| Safeguard taken out | Where | Turned red |\n|---|---|---|")
    with ThreadPoolExecutor(asked.jobs) as jobs:
        for breaking, red in zip(tried, jobs.map(turned_red, tried), strict=True):
            still_green += not red
            shown = ", ".join(f"`{test.partition('[')[0]}`" for test in dict.fromkeys(red)) or "**nothing**"
            print(f"| {breaking.safeguard} | `{breaking.file}` | {shown} |", flush=True)
    return 1 if still_green else 0


if __name__ == "__main__":
    sys.exit(main())
