"""The webhook calls for a changed ticket: which webhooks are called, with which body and headers."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

import orjson

from worker.sandbox.dates import precise
from worker.sandbox.profiles import profile_of
from worker.sandbox.rendering import detail_row
from worker.sandbox.seeded_tenant import CLOSED
from worker.sandbox.store import RecordChange, Store
from worker.sandbox.table import Row

WEBHOOK, RUNBOOK = 0, 1
TICKET, ACTION = "tickets", "actions"
HEX = 1
LOGGED, TICKET_CLOSED, UPDATED, STATUS_CHANGED, DELETED = 3, 39, 61, 76, 1072
TEXTS = {
    LOGGED: ("new ticket logged", "A new Ticket has been logged with ID: {:07}."),
    TICKET_CLOSED: ("ticket closed", "Ticket ID: {:07} has been closed."),
    UPDATED: ("ticket updated", "Ticket ID: {:07} has been updated."),
    STATUS_CHANGED: ("ticket status changed", "The status has been changed for Ticket ID: {:07}."),
    DELETED: ("ticket deleted", "Ticket ID: {:07} has been deleted."),
}


@dataclass(frozen=True, slots=True)
class WebhookCall:
    """One call of a webhook."""

    webhook: Row
    notification: int
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        return {"Content-Type": str(self.webhook.get("content_type") or "application/json"), **auth_headers(self.webhook, self.body)}


def event_numbers(change: RecordChange) -> tuple[int, ...]:
    """The numbers of the events for a change of a ticket."""
    if change.before is None:
        return (LOGGED,)
    if change.row is None:
        return (DELETED,)
    before, now = change.before.get("status_id"), change.row.get("status_id")
    if before == now:
        return (UPDATED,)
    return (UPDATED, STATUS_CHANGED, TICKET_CLOSED) if now == CLOSED else (UPDATED, STATUS_CHANGED)


def webhook_calls_of(store: Store, change: RecordChange, moment: datetime, *, in_array: bool) -> Iterator[WebhookCall]:
    """One call for each active webhook and each of its notifications that names one of the events."""
    if change.entity != TICKET:
        return
    numbers = event_numbers(change)
    for notification in store.rows("notification"):
        webhook = store.get("webhook", str(notification.get("webhook_id") or ""))
        if notification.get("eventno") in numbers and webhook is not None and webhook.get("active") and webhook.get("type") == WEBHOOK:
            value = call_body(change, webhook, notification, moment)
            yield WebhookCall(webhook, notification["id"], orjson.dumps([value] if in_array else value))


def runbook_events_of(store: Store, change: RecordChange, moment: datetime) -> Iterator[tuple[Row, dict[str, Any]]]:
    """Yield the active runbooks that a change starts, each with its input: one for each of their notifications that names one of the events."""
    if change.entity != TICKET:
        return
    numbers = event_numbers(change)
    for notification in list(store.rows("notification")):
        runbook = store.get("webhook", str(notification.get("webhook_id") or ""))
        if notification.get("eventno") in numbers and runbook is not None and runbook.get("active") and runbook.get("type") == RUNBOOK:
            yield runbook, call_body(change, runbook, notification, moment)


def call_body(change: RecordChange, webhook: Mapping[str, Any], notification: Mapping[str, Any], moment: datetime) -> dict[str, Any]:
    ticket = change.row or change.before or {}
    event, message = TEXTS[notification["eventno"]]
    body = {
        "id": str(uuid4()),
        "webhook_id": webhook["id"],
        "notification_id": notification["id"],
        "escmsg_id": str(uuid4()),
        "event": event,
        "message": message.format(ticket["id"]),
        "object_id": ticket["id"],
        "agent_id": ticket.get("agent_id", 1),
        "timestamp": precise(moment),
        "ticket": detail_row(ticket, profile_of(TICKET), nested=True),
    }
    return body if change.action is None else body | {"action": detail_row(change.action, profile_of(ACTION), nested=True)}


def auth_headers(webhook: Mapping[str, Any], body: bytes) -> dict[str, str]:
    """None, basic, bearer, or an HMAC-SHA256 over the raw body in the header that the webhook names."""
    secret = str(webhook.get("basic_password") or "")
    match webhook.get("authentication_type"):
        case 1:
            pair = f"{webhook.get('basic_username') or ''}:{secret}"
            return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        case 2:
            return {"Authorization": f"Bearer {secret}"}
        case 3:
            digest = hmac.new(secret.encode(), body, hashlib.sha256).digest()
            text = digest.hex() if webhook.get("digest") == HEX else base64.b64encode(digest).decode()
            return {str(webhook.get("authentication_header") or "Token"): f"{webhook.get('signature_prefix') or ''}{text}"}
        case _:
            return {}
