"""The control API of the sandbox under `/_sandbox/`: journal, faults, settings and records, for tests and users in other processes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, fields, replace
from enum import Enum
from typing import Any, get_type_hints

import orjson
from aiohttp import web

from worker.core.suggest import did_you_mean
from worker.sandbox.binding import BindingError, bind_body
from worker.sandbox.dates import parse_moment
from worker.sandbox.faults import ActiveFault, Fault, FaultBody, FaultKind
from worker.sandbox.profiles import profile_of
from worker.sandbox.record_schema import record_members
from worker.sandbox.rendering import detail_row
from worker.sandbox.responses import json_answer
from worker.sandbox.settings import SandboxSettings
from worker.sandbox.simulated_halo import SimulatedHalo
from worker.sandbox.table import Row

ControlHandler = Callable[[web.Request], Awaitable[web.Response]]


class InvalidRequest(Exception):
    """The request is invalid; the text says why."""


def routes(halo: SimulatedHalo) -> list[web.RouteDef]:
    """The control API needs no token: it is for its own machine."""
    api = ControlApi(halo)
    return [
        web.get("/_sandbox/journal", api.journal),
        web.delete("/_sandbox/journal", api.clear_journal),
        web.get("/_sandbox/faults", api.list_faults),
        web.post("/_sandbox/faults", _with_errors(api.add_fault)),
        web.delete("/_sandbox/faults", api.clear_faults),
        web.delete("/_sandbox/faults/{number:\\d+}", api.remove_fault),
        web.get("/_sandbox/settings", api.settings),
        web.patch("/_sandbox/settings", _with_errors(api.change_settings)),
        web.get("/_sandbox/records/{entity:.+}", api.records),
        web.post("/_sandbox/records/{entity:.+}", _with_errors(api.write_record)),
        web.delete("/_sandbox/records/{entity:.+}/{id}", _with_errors(api.delete_record)),
        web.post("/_sandbox/revoke", api.revoke),
    ]


class ControlApi:
    def __init__(self, halo: SimulatedHalo) -> None:
        self._halo = halo

    async def journal(self, request: web.Request) -> web.Response:
        """`?method=` and `?path=` filter. `received` includes refused requests."""
        method, path = request.query.get("method"), request.query.get("path")
        journal = self._halo.journal
        return json_answer(
            {
                "executed": [asdict(entry) for entry in journal.executed(method, path)],
                "received": [asdict(entry) for entry in journal.received(method, path)],
                "tokens": [asdict(entry) for entry in journal.tokens],
            }
        )

    async def clear_journal(self, _: web.Request) -> web.Response:
        self._halo.journal.clear()
        return web.Response(status=204)

    async def list_faults(self, _: web.Request) -> web.Response:
        return json_answer([_fault_object(active) for active in self._halo.faults.active_faults()])

    async def add_fault(self, request: web.Request) -> web.Response:
        sent = await _object(request)
        sent["headers"] = tuple(dict(sent.get("headers") or {}).items())
        active = self._halo.faults.add(Fault(**_typed(sent, Fault)))
        return json_answer(_fault_object(active), 201)

    async def clear_faults(self, _: web.Request) -> web.Response:
        self._halo.faults.clear()
        return web.Response(status=204)

    async def remove_fault(self, request: web.Request) -> web.Response:
        self._halo.faults.remove(int(request.match_info["number"]))
        return web.Response(status=204)

    async def settings(self, _: web.Request) -> web.Response:
        return json_answer(asdict(self._halo.settings))

    async def change_settings(self, request: web.Request) -> web.Response:
        self._halo.settings = replace(self._halo.settings, **_typed(await _object(request), SandboxSettings))
        return json_answer(asdict(self._halo.settings))

    async def records(self, request: web.Request) -> web.Response:
        entity = request.match_info["entity"].lower()
        profile = profile_of(entity)
        return json_answer([detail_row(row, profile, nested=True) for row in self._halo.store.rows(entity, _scope(request))])

    async def write_record(self, request: web.Request) -> web.Response:
        """Changes the record with the id, or creates one without an id, as another user. `?stamp=`: the time, default now."""
        store, entity, body = self._halo.store, request.match_info["entity"].lower(), await request.read()
        try:
            sent = bind_body(body, record_members(f"/{entity}"), array=False, accepts_object=True)[0]
        except BindingError as error:
            raise InvalidRequest("; ".join(message for messages in error.errors.values() for message in messages)) from None
        stamp, key = parse_moment(request.query.get("stamp", "")), sent.pop("id", None)
        try:
            row = store.create(entity, sent, stamp) if not key else store.update(entity, key, sent, stamp, _scope(request))
        except KeyError as missing:
            raise InvalidRequest(str(missing.args[0])) from None
        return json_answer(detail_row(row, profile_of(entity), nested=True))

    async def delete_record(self, request: web.Request) -> web.Response:
        entity, text = request.match_info["entity"].lower(), request.match_info["id"]
        row: Row | None = self._halo.store.delete(entity, int(text) if text.isdigit() else text, _scope(request))
        if row is None:
            raise InvalidRequest(f"{entity} has no record {text}")
        return json_answer(detail_row(row, profile_of(entity), nested=True))

    async def revoke(self, _: web.Request) -> web.Response:
        return json_answer({"revoked": self._halo.revoke_tokens()})


def _with_errors(handler: ControlHandler) -> ControlHandler:
    async def handled(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except InvalidRequest as error:
            return json_answer({"error": str(error)}, 400)

    return handled


def _fault_object(active: ActiveFault) -> dict[str, Any]:
    return {"number": active.number, "fitted": active.fitted, "struck": active.struck, **asdict(active.fault)}


def _scope(request: web.Request) -> int | None:
    text = request.query.get("scope", "")
    return int(text) if text.isdigit() else None


async def _object(request: web.Request) -> dict[str, Any]:
    try:
        value = orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"the body is not JSON: {error.msg}") from None
    if not isinstance(value, dict):
        raise InvalidRequest("the body must be a JSON object")
    return value


def _typed(sent: Mapping[str, Any], kind: type[Fault | SandboxSettings]) -> dict[str, Any]:
    """Converts the values to the types of the dataclass: texts to enum members, arrays to tuples. Raises `InvalidRequest`."""
    valid = {field.name for field in fields(kind)}
    hints = get_type_hints(kind)
    typed: dict[str, Any] = {}
    for name, value in sent.items():
        if name not in valid:
            raise InvalidRequest(f"unknown member {name!r}{did_you_mean(name, valid)}; valid: {', '.join(sorted(valid))}")
        hint = hints[name]
        if isinstance(hint, type) and issubclass(hint, Enum):
            words = [member.value for member in hint]
            if value not in words:
                raise InvalidRequest(f"{name} cannot be {value!r}; valid: {', '.join(words)}")
            typed[name] = hint(value)
        else:
            typed[name] = tuple(value) if isinstance(value, list) else value
    if kind is Fault and "does" not in typed:
        raise InvalidRequest(
            f"does is missing; valid: {', '.join(member.value for member in FaultKind)}; body is one of {', '.join(member.value for member in FaultBody)}"
        )
    return typed
