"""The secrets of those who call from outside: long enough, and a door's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from worker.config.config_node import ConfigNode
from worker.config.models.callers import CallerAuthDefinition, CallerBasic
from worker.core.errors import Problem

SHORTEST = 16
REMEDY = "make one with `openssl rand -base64 32`"


def check_secrets(auth: CallerAuthDefinition, node: ConfigNode, problems: list[Problem]) -> None:
    """`node` is the place of `auth`."""
    for place, secret in secrets_at(node):
        if len(secret.strip()) < SHORTEST:
            name = f"item {place.path[-1] + 1} of `secrets`" if isinstance(place.path[-1], int) else f"`{place.path[-1]}`"
            problems.append(place.problem(f"{name} is shorter than {SHORTEST} characters: {REMEDY}"))
    if isinstance(auth, CallerBasic) and ":" in auth.username:
        problems.append(node.child("username").problem("`username` cannot hold a colon: it ends the user name in basic credentials"))


def check_doors(definitions: Sequence[ConfigNode], problems: list[Problem]) -> None:
    """No two doors have a secret in common: a signature is over the body alone, so each would take what is signed for the other."""
    owners: dict[str, ConfigNode] = {}
    for door in doors(definitions):
        for place, secret in secrets_at(door):
            owner = owners.setdefault(secret, door)
            if owner is not door:
                other = f"`{owner.path[0]}.{owner.path[1]}` in {owner.line()}"
                problems.append(place.problem(f"this secret is also that of {other}, so a caller of one could call the other: {REMEDY} for each"))


def doors(definitions: Sequence[ConfigNode]) -> Iterator[ConfigNode]:
    """The place of `auth` of each webhook and endpoint."""
    for node in definitions:
        if node.path[0] == "webhooks":
            yield node.child("auth")
        elif node.path[0] == "runbooks":
            yield node.child("start").child("endpoint").child("auth")


def secrets_at(auth: ConfigNode) -> Iterator[tuple[ConfigNode, str]]:
    """Each secret of a door with its place; one that is missing, no text or cannot be filled in is told elsewhere."""
    if not auth.exists or not isinstance(auth.value, dict):
        return
    listed = auth.child("secrets")
    items = [listed.child(number) for number in range(len(listed.value))] if "secrets" in auth and isinstance(listed.value, list) else []
    for place in (*(auth.child(name) for name in ("secret", "password") if name in auth), *items):
        if isinstance(place.value, str) and (secret := place.fill(place.value)):
            yield place, secret
