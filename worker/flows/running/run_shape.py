"""The members of a run's JSON document: their types, and the members that the first versions of the worker did not write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from worker.config.control_steps import MAX_STARTS
from worker.core.errors import Undecodable

LATER: Mapping[str, Any] = {"steps": None, "depth": 0, "removed": [], "catches": False, "each": None, "callers": [], "returned": None, "weighs": 0}
"""The defaults of members that may be absent. `steps`: a run without iterations has as many as it has visits."""
UNCHANGED_MEMBERS = ("variables", "plain", "status", "response", "request", "started", "removed")
"""The members that do not change while a run waits for others."""


def document_of(run: Any, nested: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members of a run. `nested`: the documents of the members that are not JSON values."""
    left = UNCHANGED_MEMBERS if run.packed else ("packed", "weighs")
    members = {item.name: getattr(run, item.name) for item in fields(run) if item.name not in left} | dict(nested)
    return {name: value for name, value in members.items() if name not in LATER or name == "steps" or value not in (LATER[name], ())}


def unchanged_members(document: Any) -> dict[str, Any]:
    """Return the unchanging members from a decompressed text. Raises `Undecodable`."""
    if not isinstance(document, dict):
        raise Undecodable("the run has a member of the wrong type")
    return {name: document[name] for name in UNCHANGED_MEMBERS if name in document}


def later_members(document: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: document.get(name, absent) for name, absent in LATER.items()}
    return found | {"steps": document.get("visit") if found["steps"] is None else found["steps"]}


def plain_members(members: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members that are JSON values, as a run has them."""
    found = {name: value for name, value in members.items() if name not in {"each", "callers", "returned"}}
    return found | {"plain": tuple(found["plain"]), "removed": tuple(found["removed"])}


def fits(values: Mapping[str, Any]) -> bool:
    """Whether the members have the types of a run's members."""
    texts = all(isinstance(values[name], str) and values[name] for name in ("id", "runbook")) and isinstance(values["started"], str)
    counts = all(type(values[name]) is int and values[name] >= 0 for name in ("visit", "steps", "depth", "weighs"))
    numbers = counts and (values["status"] is None or type(values["status"]) is int)
    names = all(isinstance(values[name], list) and all(isinstance(each, str) for each in values[name]) for name in ("plain", "removed"))
    nested = (
        isinstance(values["callers"], list)
        and len(values["callers"]) <= MAX_STARTS
        and isinstance(values["returned"], dict | None)
        and isinstance(values["catches"], bool)
    )
    return texts and numbers and names and nested and isinstance(values["variables"], dict) and isinstance(values["step"], str | None)
