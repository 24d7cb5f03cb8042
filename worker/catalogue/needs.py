"""The known requirements of Halo: members of new records, and parameters of lists. The published schema has no required members; trials found these."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Need:
    """One of `names` is required. `where`: only for records that have one of these members. `why`: what Halo does otherwise."""

    names: tuple[str, ...]
    why: str
    where: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        return " or ".join(f"`{name}`" for name in self.names)

    def met(self, given: Collection[str]) -> bool:
        """Whether members of these names, in lower case, meet the need."""
        return bool({*self.names} & {*given}) or (bool(self.where) and not {*self.where} & {*given})


NAMED = Need(("name",), "Halo answers: Name must be entered")
SITE = Need(("site_id",), "Halo answers: A Site must be selected")

OF_NEW_RECORDS: Mapping[str, tuple[Need, ...]] = MappingProxyType(
    {
        "/Actions": (
            Need(("ticket_id",), "Halo answers: Parameter ticket_id must be included"),
            Need(("outcome", "outcome_id"), "Halo answers: An Outcome must be entered for this Action"),
        ),
        "/Agent": (NAMED,),
        "/Client": (NAMED,),
        "/Site": (NAMED, Need(("client_id",), "a site belongs to a client")),
        "/Tickets": (
            Need(("summary",), "Halo shows tickets by it"),
            Need(("site_id",), "Halo refuses a ticket for a named user without the site", where=("user_id", "user_name")),
        ),
        "/Users": (Need(("name", "firstname", "surname"), "Halo answers: Username must be entered"), SITE),
        "/Webhook": (Need(("url", "type"), "Halo answers: Please enter a valid URL"),),  # a `type` may say that it is a runbook
    }
)
"""The needs of new records, by the path of their POST."""

OF_LISTS: Mapping[str, Need] = MappingProxyType(
    {
        "/Actions": Need(("ticket_id",), "without it Halo answers after a long time, or with no rows"),
        "/AssetChange": Need(("asset_id", "licence_id", "user_id"), "without one of these Halo answers after a long time, or with no rows"),
        "/AssetSoftware": Need(
            ("device_id", "licence_id", "user_id", "third_party_id"), "without one of these Halo answers after a long time, or with no rows"
        ),
        "/Attachment": Need(("ticket_id", "action_id", "type", "unique_id", "one_attachment_id"), "without one of these Halo answers with no rows"),
        "/ClientCache": Need(("iscachebuild",), "without it Halo answers 500"),
    }
)
"""The required query parameters of lists, by the path of their GET."""
UPDATING = ("id", "guid")
"""Members that make a POST change an existing record."""
UNPUBLISHED_MEMBERS: Mapping[str, tuple[str, ...]] = MappingProxyType({"/Actions": ("who",), "/CustomTable": ("_add_rows",)})
"""Members that Halo takes although its published schema lacks them, by the path of their POST."""
