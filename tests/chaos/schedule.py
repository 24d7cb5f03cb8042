"""Which faults come when, to whom, for how long: all of it follows from the seed."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from random import Random

EVERYBODY = -1

# What can be done, how often compared to the others, and for how long.
KINDS: dict[str, tuple[int, float, float]] = {
    "kill": (5, 0.1, 2),  # SIGKILL, and a new one after so many seconds
    "term": (3, 0.0, 1),
    "stop": (3, 1, 9),  # SIGSTOP, later SIGCONT
    "point": (14, 0.1, 2),  # something happens at an exact place of the conversation
    "broker reset": (5, 0, 0),
    "broker hold": (3, 1, 8),
    "broker refuse": (2, 1, 5),
    "broker slow": (2, 1, 5),
    "halo reset": (5, 0, 0),
    "halo hold": (3, 0.5, 2),
    "halo refuse": (2, 1, 5),
    "halo fault": (14, 1, 6),
    "connections closed": (2, 0, 0),
    "memory alarm": (1, 1, 4),
    "disk alarm": (1, 1, 4),
    "broker stopped": (1, 0.5, 2),
    "broker killed": (1, 0.5, 2),
}
NODE = frozenset({"connections closed", "memory alarm", "disk alarm", "broker stopped", "broker killed"})
POINTS = (
    "post leaves",
    "post answered",
    "lookup leaves",
    "lookup answered",
    "publish leaves",
    "publish confirmed",
    "ack leaves",
    "delivery arrives",
)
ACTIONS = ("kill", "kill", "kill", "reset", "stop")
FAULTS = ("reset", "close", "cut", "status", "html", "throttled", "revoked", "slow", "drip", "lag", "token")


@dataclass(frozen=True, slots=True)
class Blow:
    """One fault. `who`: a replica or everybody; `detail`: which of its kind; `vanishes`: at a point, what is on its way there is lost; `dice`: for choices of its own."""

    at: float
    kind: str
    who: int
    seconds: float
    detail: str = ""
    action: str = ""
    vanishes: bool = False
    dice: float = 0.0

    def __str__(self) -> str:
        whom = "everybody" if self.who == EVERYBODY else f"replica {self.who}"
        what = " ".join(filter(None, (self.kind, self.detail, self.action, "vanishes" if self.vanishes else "")))
        return f"{what}, {whom}, {self.seconds:.1f} s"


def schedule(seed: int, seconds: float, replicas: int, *, gap: float = 1.5, without: Collection[str] = ()) -> list[Blow]:
    """Blows until `seconds` have passed, `gap` apart on average."""
    random = Random(seed)
    kinds = [kind for kind in KINDS if kind not in without]
    actions = [action for action in ACTIONS if action not in without]
    return list(_blows(random, seconds, replicas, gap, kinds, actions))


def kills(seed: int, count: int, replicas: int, *, gap: float = 0.9) -> list[Blow]:
    """Nothing but SIGKILLs: half of them at exact places, half at any time."""
    random = Random(seed)
    at = 0.0
    blows = []
    for _ in range(count):
        at += random.uniform(0.2, 1.8) * gap
        who, pause = random.randrange(replicas), random.uniform(0, 0.5)
        if random.random() < 0.5:
            blows.append(Blow(at, "kill", who, pause))
        else:
            blows.append(Blow(at, "point", who, pause, random.choice(POINTS), "kill", random.random() < 0.5))
    return blows


def _blows(random: Random, seconds: float, replicas: int, gap: float, kinds: list[str], actions: list[str]) -> Iterator[Blow]:
    at = 0.0
    weights = [KINDS[kind][0] for kind in kinds]
    while (at := at + random.uniform(0.2, 1.8) * gap) < seconds:
        kind = random.choices(kinds, weights)[0]
        _, least, most = KINDS[kind]
        who = EVERYBODY if random.random() < 0.25 and kind not in {"point", "term"} else random.randrange(replicas)
        lasts, dice = random.uniform(least, most), random.random()
        match kind:
            case "point":
                yield Blow(at, kind, who, lasts, random.choice(POINTS), random.choice(actions), random.random() < 0.5, dice)
            case "halo fault":
                yield Blow(at, kind, EVERYBODY, lasts, random.choice(FAULTS), dice=dice)
            case _ if kind in NODE:
                yield Blow(at, kind, EVERYBODY, lasts, dice=dice)
            case _:
                yield Blow(at, kind, who, lasts, dice=dice)
