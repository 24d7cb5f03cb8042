"""All metrics of the worker, on a separate registry. Labels are names from configuration, never data."""

from __future__ import annotations

from contextlib import suppress
from time import monotonic

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from worker.core.due_counts import DueCounts

__all__ = ["Gauge", "Metrics"]

BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """All metrics, in `registry`. `/metrics` shows the descriptions in the constructor."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.messages = self._counter("messages", "Messages that a publisher or a runbook settled, by result", "route", "result")
        self.results = self._counter(
            "results", "Results for senders, by fate: sent, unrouted, refused (their reply_to is not allowed), failed", "route", "result"
        )
        self.events = self._counter("events", "Events of a subscriber that the broker confirmed", "route", "change")
        self.echoes = self._counter("echoes", "Changes that a subscriber did not publish, since the worker made them itself", "route")
        self.parked = self._counter("parked_records", "Records that a subscriber put into its dead queue", "route")
        self.unrouted = self._counter("unrouted_events", "Events that no queue took", "route")
        self.polls = self._counter("polls", "Polls, by result: complete, incomplete, failed", "route", "result")
        self.pages = self._counter("pages", "Pages that a subscriber read", "route")
        self.polled = self._gauge("last_complete_poll_timestamp_seconds", "When a subscriber's last complete poll ended, seconds since 1970", "route")
        self.failed_polls = self._gauge("failed_polls_in_a_row", "Polls of a subscriber that failed since the last one that did not", "route")
        self.ambiguous_keys = self._counter("ambiguous_keys", "Polls that published nothing: the key does not identify a record", "route", "key")
        self.deletes_held = self._gauge("deletes_held", "1 while a subscriber reports no deletions, since too many records are missing at once", "route")
        self.known = self._gauge("known_records", "Records that a subscriber knows", "route")
        self.cursor_lost = self._gauge("cursor_lost", "1 when a subscriber has no baton although one was created", "route")
        self.refused_state = self._counter(
            "refused_state", "Batons, claims, permits, write notices, lists of paused routes and results of lanes that no worker can have written", "kind"
        )
        self.trace_dropped = self._counter("trace_dropped", "Stages of records and messages that the broker did not take for `halo-worker trace`")
        self.deliveries = self._counter(
            "deliveries",
            "Deliveries to webhooks and to endpoints of runbooks, by result: accepted, known, skipped, parked, held (its webhook is paused)",
            "route",
            "result",
        )
        self.refused_calls = self._counter("refused_calls", "Refused calls of the public port, by status", "status")
        self.cut_connections = self._counter("cut_connections", "Connections of the public port that the worker closed at a limit")
        self._show_routes()
        self._show_waiting_queues()
        self.consuming = self._gauge("consuming", "1 while a route's consumer gets deliveries", "route")
        self.in_flight = self._gauge("messages_in_hand", "Messages in flight", "route")
        self.memory_used = self._gauge("memory_used_bytes", "Memory of messages in flight, by kind: bodies, and work on them (estimated)", "kind")
        self.memory_waiting = self._gauge("memory_waiting", "Messages that wait for memory, by kind", "kind")
        self.expressions_stopped = self._counter("expressions_stopped", "Evaluations that ended early, by reason: time, memory, failed, killed", "reason")
        self.evaluator_restarts = self._counter(
            "evaluator_restarts", "Replaced processes for expressions, by cause: time, memory, failed, killed, retired", "cause"
        )
        self._show_clients()
        self.broker_up = Gauge("halo_worker_broker_up", "1 while attached to the broker", registry=self.registry)

    def _show_routes(self) -> None:
        """Make the metrics that `status` shows of routes, beside their counts."""
        self.paused = self._gauge("paused", "1 while an operator has paused the route", "route")
        self.waiting = self._gauge(
            "waiting",
            "Messages and polls that have waited for more than 5 s in all, by cause: budget, token, halo, claim, memory, retry, list, expressions",
            "route",
            "cause",
        )
        self.succeeded = self._gauge("last_success_timestamp_seconds", "When a publisher's or runbook's last message was done, seconds since 1970", "route")
        self.retrying = self._gauge("retrying", "Copies that this replica has put into retry queues and that are not due yet", "route")
        self._retries = DueCounts()
        self.unrouted_waiting = Gauge("halo_worker_unrouted_waiting", "Events in halo.unrouted, which no queue took", registry=self.registry)
        self.route_problems = Gauge("halo_worker_route_problems", "Mistakes in route files that the worker does not run", registry=self.registry)

    def _show_waiting_queues(self) -> None:
        """Make the metrics of routes with `order_by` or `fair_by`."""
        self.ordered_waiting = self._gauge(
            "ordered_waiting", "Messages in the waiting queue of a route with order_by or fair_by, as the replica that applies it counts them", "route"
        )
        self.keys_held_up = self._gauge("keys_held_up", "Keys of a route with order_by that wait for the retry of a failed message", "route")
        self.customers_waiting = self._gauge("customers_waiting", "Customers with messages in the waiting queue of a route with fair_by", "route")

    def _show_clients(self) -> None:
        """Make the metrics of requests, budgets and tokens."""
        self.requests = self._counter("halo_requests", "Requests to Halo, by fate", "client", "method", "fate")
        self.request_seconds = self._histogram("halo_request_seconds", "Duration of requests to Halo", "client")
        self.integration_requests = self._counter("integration_requests", "Calls of integrations, by fate", "integration", "method", "fate")
        self.budget_used = self._gauge("budget_used", "Requests sent in the current window", "client")
        self.budget_limit = self._gauge("budget_limit", "Requests of a window that this client may send; 0: no limit", "client")
        self.budget_waiting = self._gauge("budget_waiting", "Requests that wait for budget", "client")
        self.permits_minted = self._counter("permits_minted", "Permits that this replica issued for all replicas", "client")
        self.permits_taken = self._counter("permits_taken", "Permits that this replica took", "client")
        self.minting = self._gauge("minting", "1 while this replica issues the permits for all replicas", "client")
        self.tokens = self._counter("token_calls", "Calls of the token endpoint, by result", "client", "result")
        self.client_up = self._gauge("client_up", "1 while Halo answers and gives tokens", "client")

    def forget_route(self, route: str) -> None:
        """Remove the gauges of a route that no longer exists. Its counters stay."""
        for gauge in (
            self.polled,
            self.succeeded,
            self.failed_polls,
            self.deletes_held,
            self.known,
            self.cursor_lost,
            self.consuming,
            self.paused,
            self.in_flight,
            self.retrying,
        ):
            with suppress(KeyError):
                gauge.remove(route)

    def retry_in(self, route: str, seconds: float) -> None:
        """Count a copy that waits in a retry queue for these seconds."""
        self._retries.add(route, monotonic() + seconds)
        self.retrying.labels(route).set_function(lambda: self._retries.count(route, monotonic()))

    def _counter(self, name: str, sentence: str, *labels: str) -> Counter:
        return Counter(f"halo_worker_{name}", sentence, labels, registry=self.registry)

    def _histogram(self, name: str, sentence: str, *labels: str) -> Histogram:
        return Histogram(f"halo_worker_{name}", sentence, labels, registry=self.registry, buckets=BUCKETS)

    def _gauge(self, name: str, sentence: str, *labels: str) -> Gauge:
        return Gauge(f"halo_worker_{name}", sentence, labels, registry=self.registry)


def values_of(gauge: Gauge | Counter) -> dict[tuple[str, ...], float]:
    """The values by their labels, in the metric's order of labels."""
    return {tuple(sample.labels.values()): sample.value for metric in gauge.collect() for sample in metric.samples if not sample.name.endswith("_created")}
