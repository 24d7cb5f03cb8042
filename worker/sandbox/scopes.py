"""The permissions of a token: which scope an entity requires."""

from __future__ import annotations

from collections.abc import Collection

AREAS = {
    "tickets": ("tickets", "actions", "ticketapproval", "ticketrules", "attachment", "todo"),
    "crm": ("opportunities", "crmnote"),
    "projects": ("projects",),
    "customers": ("client", "site", "users", "toplevel", "address", "emailaddressbook"),
    "assets": ("asset", "assetgroup", "assettype", "assetchange", "assetsoftware", "device"),
    "suppliers": ("supplier", "suppliercontract"),
    "items": ("item", "itemstock", "itemstockhistory"),
    "kb": ("kbarticle", "faqlists"),
    "contracts": ("clientcontract",),
    "calendar": ("appointment",),
    "timesheets": ("timesheet", "timesheetevent"),
    "sales": ("salesorder",),
    "quotes": ("quotation",),
    "pos": ("purchaseorder",),
    "invoices": ("invoice", "recurringinvoice", "invoicepayment"),
    "reporting": ("report", "reportdata"),
    "softwarelicensing": ("softwarelicence",),
}
AREA_OF = {entity: area for area, entities in AREAS.items() for entity in entities}
KNOWN_SCOPES = frozenset(
    {
        *("all", "all:standard", "admin", "offline_access", "read:teams", "editMine:timesheets", "access:chat", "access:adpasswordreset"),
        *(f"{verb}:{area}" for verb in ("read", "edit") for area in AREAS),
        *("read:sos", "edit:sos", "read:software", "edit:software"),
    }
)


def granted_scopes(requested: Collection[str], allowed: Collection[str]) -> tuple[str, ...] | None:
    """The requested scopes that an application with `allowed` gets; None if it requests an unknown scope. None requested: none granted."""
    if not set(requested) <= KNOWN_SCOPES:
        return None
    if "all" in allowed:
        return tuple(requested)
    if "all" in requested:
        return tuple(allowed)
    if "all:standard" in allowed:
        return tuple(scope for scope in requested if scope != "admin")
    return tuple(scope for scope in requested if scope in allowed)


def permits(scopes: Collection[str], entity: str, *, write: bool) -> bool:
    """Whether a token with these scopes may read or write an entity. `entity`: the first path segment in lower case. An edit scope includes reading."""
    if "all" in scopes:
        return True
    area = AREA_OF.get(entity)
    if area is None:
        return "admin" in scopes or (bool(scopes) and not write)
    return "all:standard" in scopes or f"edit:{area}" in scopes or (f"read:{area}" in scopes and not write)
