"""The seeded tenant: customers, sites, users and assets in any quantity, as functions of a record's number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache, partial
from typing import Any

from worker.sandbox.custom_fields import ASSET_FIELDS, BUILDINGS, FIELD_DEFINITIONS, written_field
from worker.sandbox.profiles import ADDRESS_LINES, STAMP
from worker.sandbox.seeded_random import seeded_int
from worker.sandbox.table import SeededRows

FIRST_NAMES = ("Ada", "Ben", "Chloe", "Dan", "Erin", "Femi", "Grace", "Hugo", "Iris", "Jonas", "Kim", "Lena", "Mo", "Nora", "Omar", "Pia")
LAST_NAMES = ("Adams", "Brown", "Clark", "Dixon", "Evans", "Fischer", "Green", "Hill", "Iqbal", "Jones", "Kaur", "Lopez", "Moore", "Novak", "Owens", "Price")
TRADES = ("Bakery", "Logistics", "Dental", "Legal", "Engineering", "Homes", "Energy", "Media", "Foods", "Health")
SUMMARIES = ("Laptop does not start", "Printer offline", "Password reset", "New starter", "VPN drops", "Mailbox full", "Slow network", "Licence request")
TEAMS = ("1st Line Support", "2nd Line Support", "Infrastructure", "Projects")
CLOSED = 9
GENERAL_USER = "General User"

TICKS = 300  # per second: the database stores times in 300ths of a second
CACHE_SIZE = 1024  # several members of a record depend on the same value

MemberFunctions = Mapping[str, Callable[[int], Any]]
Moments = Callable[[int], datetime]


@dataclass(frozen=True)
class TenantSize:
    """The number of records of each kind for a number of tickets."""

    tickets: int

    @property
    def clients(self) -> int:
        return max(12, self.tickets // 100)

    @property
    def sites(self) -> int:
        return self.clients * 2

    @property
    def users(self) -> int:
        return self.clients * 5

    @property
    def assets(self) -> int:
        return max(40, self.tickets // 5)


@dataclass(frozen=True)
class Tenant:
    """The seeded records depend on the seed, the size, and the period that ends at `until`."""

    seed: int
    size: TenantSize
    until: datetime
    days: int

    def chance(self, number: int, purpose: int, bound: int) -> int:
        return seeded_int(self.seed, number, purpose, bound)

    def moments(self, count: int) -> tuple[Moments, Moments]:
        """Functions for the times of creation and of the last change of `count` records: creations at even intervals, changes more often soon after them."""
        whole = self.until.replace(microsecond=0)
        start, ticks = whole - timedelta(days=self.days), self.days * 86_400 * TICKS

        def at(tick: int) -> datetime:
            return start + timedelta(milliseconds=round(tick * 1000 / TICKS))

        @lru_cache(CACHE_SIZE)
        def created(number: int) -> datetime:
            return at(ticks * number // (count + 1))

        @lru_cache(CACHE_SIZE)
        def changed(number: int) -> datetime:
            first = ticks * number // (count + 1)
            return at(first + int((ticks - first) * (self.chance(number, 7, 1000) / 1000) ** 3))

        return created, changed


def client_name(number: int) -> str:
    return "Unknown" if number == 1 else f"{LAST_NAMES[number % 16]} {TRADES[number // 16 % 10]}" + (f" {number // 160}" if number >= 160 else "")  # noqa: PLR2004  names repeat after 160


def user_name(number: int) -> str:
    return GENERAL_USER if number == 1 else f"{FIRST_NAMES[number % 16]} {LAST_NAMES[number // 16 % 16]}"


def custom_fields(tenant: Tenant, number: int) -> list[dict[str, Any]]:
    values = (f"EXT-{number:06}", str(tenant.chance(number, 30, len(BUILDINGS)) + 1), "2026-01-05T09:00:00")
    return [written_field(definition, value) for definition, value in zip(FIELD_DEFINITIONS, values, strict=True)]


def clients(tenant: Tenant) -> SeededRows:
    count = tenant.size.clients
    created, changed = tenant.moments(count)
    members: MemberFunctions = {
        "id": int,
        "name": client_name,
        "toplevel_id": lambda _: 1,
        "toplevel_name": lambda _: "Customers",
        "inactive": lambda n: n % 20 == 19,  # noqa: PLR2004  one in twenty has left
        "colour": lambda _: "#3a86ff",
        "is_vip": lambda n: n % 10 == 0,
        "accountsid": lambda n: f"ACC{n:05}",
        "notes": lambda _: "",
        "datecreated": created,
        "use": lambda _: "client",
        "customfields": partial(custom_fields, tenant),
        STAMP: changed,
    }
    return SeededRows(count, members)


def sites(tenant: Tenant) -> SeededRows:
    count = tenant.size.sites
    created, changed = tenant.moments(count)
    members: MemberFunctions = {
        "id": int,
        "name": lambda n: "Main" if n % 2 else "Branch",
        "client_id": lambda n: (n + 1) // 2,
        "client_name": lambda n: client_name((n + 1) // 2),
        "clientsite_name": lambda n: f"{client_name((n + 1) // 2)}/{'Main' if n % 2 else 'Branch'}",
        "inactive": lambda _: False,
        "sla_id": lambda _: 1,
        "colour": lambda _: "#3a86ff",
        **{line: partial(_address_line, place) for place, line in enumerate(ADDRESS_LINES)},
        "phonenumber": lambda n: f"020 7946 {n % 10_000:04}",
        "datecreated": created,
        "use": lambda _: "site",
        STAMP: changed,
    }
    return SeededRows(count, members)


def _address_line(place: int, number: int) -> str:
    return (f"{number} High Street", "", LAST_NAMES[number % 16] + "ton", "", f"AB{number % 90 + 10} 1CD")[place]


def users(tenant: Tenant) -> SeededRows:
    count = tenant.size.users
    created, changed = tenant.moments(count)
    members: MemberFunctions = {
        "id": int,
        "name": user_name,
        "firstname": lambda n: user_name(n).split(" ")[0],
        "surname": lambda n: user_name(n).split(" ")[1],
        "emailaddress": lambda n: f"user{n}@example.com",
        "login": lambda n: f"user{n}",
        "site_id": lambda n: ((n - 1) // 5 + 1) * 2 - 1,
        "site_id_int": lambda n: ((n - 1) // 5 + 1) * 2 - 1,
        "site_name": lambda _: "Main",
        "client_id": lambda n: (n - 1) // 5 + 1,
        "client_name": lambda n: client_name((n - 1) // 5 + 1),
        "inactive": lambda n: n % 25 == 24,  # noqa: PLR2004  one in twenty-five has left
        "isimportantcontact": lambda _: False,
        "datecreated": created,
        "use": lambda _: "user",
        STAMP: changed,
    }
    return SeededRows(count, members)


def assets(tenant: Tenant) -> SeededRows:
    count = tenant.size.assets
    _, changed = tenant.moments(count)

    @lru_cache(CACHE_SIZE)
    def client(number: int) -> int:
        return tenant.chance(number, 20, tenant.size.clients) + 1

    def values(number: int) -> list[dict[str, Any]]:
        sent = ("Notebook 14", "2025-02-03T00:00:00.000Z", f"SN{number:07}", "16 GB")
        return [{"id": field, "name": name, "value": value, "display": value} for (field, name), value in zip(ASSET_FIELDS.items(), sent, strict=True)]

    members: MemberFunctions = {
        "id": int,
        "inventory_number": lambda n: f"PC{n:06}",
        "key_field": lambda n: f"SN{n:07}",
        "key_field2": lambda _: "",
        "client_id": client,
        "client_name": lambda n: client_name(client(n)),
        "site_id": lambda n: client(n) * 2 - 1,
        "site_name": lambda _: "Main",
        "assettype_id": lambda n: n % 4 + 1,
        "assettype_name": lambda n: ("Workstation", "Server", "Printer", "Switch")[n % 4],
        "status_id": lambda _: 1,
        "criticality": lambda _: 0,
        "inactive": lambda n: n % 30 == 29,  # noqa: PLR2004  one in thirty is out of use
        "use": lambda _: "asset",
        "fields": values,
        STAMP: changed,
    }
    return SeededRows(count, members)
