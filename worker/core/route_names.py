"""Names of routes: a subscriber over several clients is one route for each, called `name@client`."""

from __future__ import annotations

from collections.abc import Iterable

CLIENT = "@"
"""No name in a route file has it."""


def name_for(name: str, client: str) -> str:
    """The name of the route that this definition makes for one of its clients."""
    return f"{name}{CLIENT}{client}"


def defined_name(route: str) -> str:
    """The name in the route file of the definition that made this route."""
    return route.partition(CLIENT)[0]


def meant(name: str, known: Iterable[str]) -> list[str]:
    """The routes that a name stands for: the route itself, or those of all clients; sorted."""
    names = set(known)
    return [name] if name in names else sorted(each for each in names if CLIENT in each and defined_name(each) == name)
