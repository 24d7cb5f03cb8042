"""Ways through a directed graph of names: steps that lead to steps, runbooks that start runbooks."""

from __future__ import annotations

from collections.abc import Collection, Mapping

Edges = Mapping[str, Collection[str]]


def reachable_from(start: str, edges: Edges) -> set[str]:
    """Return the names that can follow `start`, including `start` itself if it is in a loop."""
    found: set[str] = set()
    waiting = list(edges[start])
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += edges[name]
    return found


def shortest_cycle(name: str, edges: Edges) -> list[str]:
    """The shortest way from a name back to itself."""
    ways = [[name]]
    seen: set[str] = set()
    for way in ways:
        for target in edges[way[-1]]:
            if target == name:
                return [*way, name]
            if target not in seen:
                seen.add(target)
                ways.append([*way, target])
    return [name]
