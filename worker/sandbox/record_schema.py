"""The members and the id types of records: what the catalogue publishes for a path, and known members that it does not publish."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from worker.catalogue.catalogue import load
from worker.sandbox.paths import table_of
from worker.sandbox.profiles import profile_of


@cache
def post_members(path: str) -> Mapping[str, str]:
    """The types of the members that a POST to a path takes, by name; empty if the catalogue publishes none, so that every member is taken."""
    operations = load().methods_of(path)
    published = load().body_members(operations["POST"]) if "POST" in operations else {}
    return {**published, **profile_of(path.strip("/").lower()).unpublished} if published else {}


@cache
def record_members(path: str) -> Mapping[str, str]:
    """The types of the members that a record may have, by name."""
    return {"id": "integer", **post_members(path)}


@cache
def text_ids() -> frozenset[str]:
    """The entities whose ids are texts, mostly GUIDs. Where a POST takes a numeric id, the text in the path is a number."""
    with_text = (table_of(operation.path) for operation in load().operations() if operation.path_parameters.get("id") in {"string", "uuid"})
    return frozenset(entity for entity in with_text if _id_in_body(entity) != "integer")


def _id_in_body(entity: str) -> str | None:
    operation = load().methods_of(entity).get("POST")
    return None if operation is None else load().body_members(operation).get("id")
