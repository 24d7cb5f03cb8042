"""Names of routes. A subscriber over several clients makes one route for each client, with the name `name@client`."""

from __future__ import annotations

from collections.abc import Iterable

CLIENT = "@"
"""Separates name and client: no name in a route file contains it."""


def name_for(name: str, client: str) -> str:
    """The name of the route that this definition makes for one of its clients."""
    return f"{name}{CLIENT}{client}"


def defined_name(route: str) -> str:
    """The name in the route file of the definition that made this route."""
    return route.partition(CLIENT)[0]


def routes_of_name(name: str, known: Iterable[str]) -> list[str]:
    """The routes that a name means: the route itself, or the routes of all its clients; sorted."""
    names = set(known)
    return [name] if name in names else sorted(each for each in names if CLIENT in each and defined_name(each) == name)
