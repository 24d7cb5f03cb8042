"""The paused routes, as one value that replicas and operators share: pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Self

from worker.core.errors import Undecodable

MAX_TEXT = 200  # characters of a name or a reason


@dataclass(frozen=True, slots=True)
class Pause:
    """The pause of one route. `since`: seconds since 1970. `by`: the user who paused it, and the machine. `reason`: in the operator's words, or empty."""

    since: float
    by: str
    reason: str = ""

    def as_object(self) -> dict[str, Any]:
        return {"since": self.since, "by": self.by, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Pauses:
    """All paused routes by name. A higher `revision` replaces a lower one."""

    revision: int = 0
    routes: Mapping[str, Pause] = field(default_factory=dict)

    def with_pause(self, route: str, pause: Pause) -> Self:
        """The value with this pause. A route that is paused already keeps its first pause."""
        return self if route in self.routes else self._next({**self.routes, route: pause}, pause.since)

    def without(self, route: str, now: float) -> Self:
        """The value without the pause of this route. `now`: seconds since 1970."""
        return self if route not in self.routes else self._next({name: pause for name, pause in self.routes.items() if name != route}, now)

    def _next(self, routes: Mapping[str, Pause], now: float) -> Self:
        """The value with a higher revision. The time is part of it, so that it also rises after the stream was deleted and made again."""
        return replace(self, revision=max(self.revision + 1, int(now * 1000)), routes=routes)

    def as_object(self) -> dict[str, Any]:
        return {"revision": self.revision, "routes": {name: pause.as_object() for name, pause in sorted(self.routes.items())}}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """The value of a document that `as_object` made. Raises `Undecodable`."""
        try:
            routes = {
                str(name): Pause(float(each["since"]), str(each["by"])[:MAX_TEXT], str(each["reason"])[:MAX_TEXT]) for name, each in document["routes"].items()
            }
            return cls(int(document["revision"]), routes)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise Undecodable(f"a member of the paused routes is missing or wrong: {error!r}") from None


def pause_sentence(pause: Pause) -> str:
    """The pause as a phrase: since when, by whom and why."""
    since = datetime.fromtimestamp(pause.since, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return f"paused since {since} by {pause.by}{f': {pause.reason}' if pause.reason else ''}"
