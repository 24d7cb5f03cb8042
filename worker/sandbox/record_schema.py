"""What records consist of: the members that the catalogue publishes for a path, and those that are known without being published."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from worker.catalogue.catalogue import load
from worker.sandbox.profiles import profile_of


@cache
def post_members(path: str) -> Mapping[str, str]:
    """The members that a POST to a path takes, name to type; empty when nothing is published, and anything goes."""
    operations = load().methods_of(path)
    published = load().body_members(operations["POST"]) if "POST" in operations else {}
    return {**published, **profile_of(path.strip("/").lower()).unpublished} if published else {}


@cache
def record_members(path: str) -> Mapping[str, str]:
    """The members that a record behind a path may have."""
    return {"id": "integer", **post_members(path)}
