"""Registers a webhook in Halo: finds or creates the webhook and one notification per event, and corrects differences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from worker.catalogue.catalogue import load
from worker.catalogue.requests import build_request
from worker.changes.pages import rows_of
from worker.config.automation import CallerAuth, Webhook
from worker.config.events import event_name
from worker.core.errors import WorkerError
from worker.core.exchange import Priority, Request
from worker.core.ports import Halo

BASIC, SIGNATURE = 1, 3  # Halo's numbers for authentication types
OUTGOING, POST = 0, 0
SHA256, BASE64 = 0, 0
NEW = "<id of the new webhook>"
NOTIFICATION = {"type": -2, "delivery_method": 6, "name": "", "agent_id": 0, "filter_type": 2, "interval": "0", "useworkinghours": "0", "conditions": []}


class CannotRegister(WorkerError):
    """The webhook cannot be registered; the text says why."""


@dataclass(frozen=True, slots=True)
class RegisteredWebhook:
    """The registration in Halo: the webhook, or None, and its notifications."""

    webhook: Mapping[str, Any] | None = None
    notifications: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class RegistrationCall:
    """One request and its description. `removes`: it deletes a notification that a person may have added."""

    sentence: str
    method: str
    entity: str
    payload: Mapping[str, Any] | None = field(default=None, repr=False)
    path: Mapping[str, Any] = field(default_factory=dict)
    removes: bool = False

    def request(self) -> Request:
        return build_request(load().find(self.entity, self.method), self.path, {}, self.payload)


async def find_registered(halo: Halo, hook: Webhook, url: str) -> RegisteredWebhook:
    """Finds the webhook by its name, otherwise by its URL. Raises `CannotRegister`."""
    rows = await _rows(halo, "Webhook", {"type": OUTGOING})
    named = [row for row in rows if row.get("name") == hook.name] or [row for row in rows if row.get("url") == url]
    if not named:
        return RegisteredWebhook()
    key = named[0].get("id")
    webhook = await _one(halo, "Webhook", key)
    listed = await _rows(halo, "Notification", {"webhook_id": key})
    notifications = [await _one(halo, "Notification", row.get("id")) for row in listed]
    return RegisteredWebhook(webhook, tuple(row for row in notifications if row.get("webhook_id") == key))  # the list does not name the webhook


def plan_registration(hook: Webhook, url: str, present: RegisteredWebhook) -> Iterator[RegistrationCall]:
    """The requests, in order. Raises `CannotRegister` for an authentication that Halo cannot be given."""
    members = webhook_members(hook, url)
    if present.webhook is None:
        yield RegistrationCall(f"create the webhook {hook.name!r}, which calls {url}", "POST", "Webhook", members)
    else:
        yield RegistrationCall(update_sentence(hook, members, present.webhook), "POST", "Webhook", {"id": present.webhook["id"]} | members)
    key = NEW if present.webhook is None else present.webhook["id"]
    there: dict[str, Mapping[str, Any]] = {}
    surplus = []
    for row in sorted(present.notifications, key=lambda row: str(row.get("id"))):
        event = str(row.get("eventno"))
        if event in there or event not in {str(number) for number in hook.events}:
            surplus.append(row)
        else:
            there[event] = row
    for number in hook.events:
        if str(number) not in there:
            payload = {"webhook_id": key, "eventno": str(number)} | NOTIFICATION
            yield RegistrationCall(f"add the event {event_name(number)} ({number})", "POST", "Notification", payload)
    for row in surplus:
        number_of = str(row.get("eventno"))
        name = event_name(int(number_of)) if number_of.isdigit() else "without a name"
        yield RegistrationCall(f"remove the event {name} ({number_of})", "DELETE", "Notification/{id}", path={"id": row.get("id")}, removes=True)


def update_sentence(hook: Webhook, members: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """Names the differences. Halo does not show the secret, so every update writes it."""
    wrong = [name for name, value in members.items() if name not in {"basic_password", "active"} and (row.get(name) or "") != (value or "")]
    sentence = f"correct {', '.join(wrong)} of the webhook {hook.name!r}" if wrong else f"keep the webhook {hook.name!r} as it is, and write its secret again"
    if row.get("active") is not False:
        return sentence
    status = f" (its last call got status {row['last_status']})" if row.get("last_status") else ""
    return f"activate the webhook {hook.name!r} again, which Halo deactivated{status}; {sentence}"


def webhook_members(hook: Webhook, url: str) -> dict[str, Any]:
    """The members of the webhook in Halo."""
    common = {"name": hook.name, "url": url, "type": OUTGOING, "method": POST, "active": True, "content_type": "application/json"}
    auth = hook.auth
    if auth.type == "basic":
        return common | {"authentication_type": BASIC, "basic_username": auth.username, "basic_password": auth.password}
    return common | signature_members(auth)


def signature_members(auth: CallerAuth) -> dict[str, Any]:
    if (auth.algorithm, auth.digest) != ("sha256", "base64"):
        raise CannotRegister(
            f"Halo's name for a signature with {auth.algorithm} in {auth.digest} is unknown: use sha256 and base64, Halo's defaults, or set up the webhook in Halo"
        )
    return {
        "authentication_type": SIGNATURE,
        "authentication_header": auth.header,
        "basic_password": auth.secrets[0],
        "algorithm": SHA256,
        "digest": BASE64,
        "signature_prefix": auth.prefix,
    }


async def send_registration(halo: Halo, call: RegistrationCall) -> Any:
    """Send one request, and return Halo's answer. Raises `CannotRegister`."""
    exchange = await halo.send(call.request(), priority=Priority.WRITE)
    if not exchange.ok:
        raise CannotRegister(f"Halo did not {call.sentence}: {exchange.reason}")
    return exchange.body


def with_webhook_id(call: RegistrationCall, answer: Any) -> RegistrationCall:
    """The call with the id of the new webhook. Raises `CannotRegister` if the answer has none."""
    row = answer[0] if isinstance(answer, list) and answer else answer
    key = row.get("id") if isinstance(row, dict) else None
    if not key:
        raise CannotRegister("Halo created the webhook, but its answer has no id: run the command again to add the events")
    payload = dict(call.payload or {})
    return replace(call, payload=payload | {"webhook_id": key}) if payload.get("webhook_id") == NEW else call


async def _rows(halo: Halo, entity: str, query: Mapping[str, Any]) -> list[dict[str, Any]]:
    operation = load().find(entity, "GET")
    exchange = await halo.send(build_request(operation, {}, query), priority=Priority.WRITE)
    found = rows_of(exchange.body, operation.listing) if exchange.ok else None
    if found is None:
        raise CannotRegister(f"the list of {entity} cannot be read: {exchange.reason or 'the answer is no list'}")
    return found[0]


async def _one(halo: Halo, entity: str, key: Any) -> dict[str, Any]:
    request = build_request(load().find(f"{entity}/{{id}}", "GET"), {"id": key}, {"includedetails": True})
    exchange = await halo.send(request, priority=Priority.WRITE)
    if not exchange.ok or not isinstance(exchange.body, dict):
        raise CannotRegister(f"{entity} {key} cannot be read: {exchange.reason or 'the answer is no object'}")
    return exchange.body
