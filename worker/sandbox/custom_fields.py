"""Custom fields: their definitions in the seeded tenant, and the merge of written fields into a record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TEXT, SELECT, DATE = 0, 2, 4

FIELD_DEFINITIONS: tuple[Mapping[str, Any], ...] = (
    {"id": 175, "name": "CFexternalReference", "label": "External reference", "type": TEXT, "searchable": True, "usage": 1},
    {"id": 113, "name": "CFbuilding", "label": "Building", "type": SELECT, "searchable": True, "usage": 1},
    {"id": 201, "name": "CFgoLive", "label": "Go live", "type": DATE, "searchable": False, "usage": 1},
)
BUILDINGS = {"1": "Headquarters", "2": "Warehouse", "3": "Home"}
CARRIERS = frozenset({"tickets", "opportunities", "projects", "client", "site", "users", "asset", "item", "supplier", "kbarticle", "clientcontract"})
ASSET_FIELDS: Mapping[int, str] = {101: "Product", 24: "Purchased", 30: "Serial number", 31: "Memory"}


def written_field(definition: Mapping[str, Any], value: Any) -> dict[str, Any]:
    """The object that Halo shows for a value."""
    display = BUILDINGS.get(str(value), "") if definition["type"] == SELECT else str(value)
    return {**definition, "value": value, "display": display, "summary": "", "characterlimit": 0, "inputtype": 0, "copytochild": False}


def merge_custom(present: Any, sent: Any) -> list[dict[str, Any]]:
    """Merges fields sent as `{id, value}` or `{name, value}`. Fields that are not sent stay; unknown ones are ignored."""
    fields = {field["id"]: field for field in present or ()}
    for field in sent if isinstance(sent, list) else ():
        definition = _definition(field) if isinstance(field, dict) else None
        if definition is not None:
            fields[definition["id"]] = written_field(definition, field.get("value"))
    return list(fields.values())


def merge_asset(present: Any, sent: Any) -> list[dict[str, Any]]:
    """Merges the fields of an asset's type, sent as `{id, value}`; the id may be text."""
    fields = {field["id"]: field for field in present or ()}
    for field in sent if isinstance(sent, list) else ():
        number = _number(field.get("id")) if isinstance(field, dict) else None
        if number is not None:
            value = field.get("value")
            fields[number] = {"id": number, "name": ASSET_FIELDS.get(number, f"Field {number}"), "value": value, "display": str(value)}
    return list(fields.values())


def emptied(present: Any) -> list[dict[str, Any]]:
    """The fields of an asset without their values, as sent."""
    return [{"id": field["id"], "value": ""} for field in present or ()]


def _definition(field: Mapping[str, Any]) -> Mapping[str, Any] | None:
    number, name = _number(field.get("id")), str(field.get("name", "")).lower()
    for definition in FIELD_DEFINITIONS:
        if definition["id"] == number or (number is None and definition["name"].lower() == name):
            return definition
    return None


def _number(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None
