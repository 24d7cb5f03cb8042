"""What must hold whatever goes wrong, as one pure function over the evidence: what was accepted, what Halo executed, what is left in queues, what was told."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

SHOWN = 8


@dataclass(frozen=True, slots=True)
class Sent:
    """A message for Halo. `sure`: the broker confirmed it; one that may be there is owed nothing, but may not be doubled either.

    `lane` and `number`: its place among those that are to be applied in order, where that is asked for. `parkable`: the route may leave it in doubt.
    """

    key: str
    sure: bool = True
    lane: str = ""
    number: int = 0
    parkable: bool = False


@dataclass(frozen=True, slots=True)
class Effect:
    """An operation that Halo carried out, in the order of its journal."""

    key: str
    creates: bool = True


@dataclass(frozen=True, slots=True)
class Left:
    """A message that is still in a queue. `dead_class` and `reason` where it is a dead letter."""

    key: str
    queue: str
    dead: bool = False
    dead_class: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Heard:
    """An event of a subscriber: the record, what of its content must be told, its dedupe key. `version`: the whole content, where that is more."""

    record: Any
    content: Any
    dedupe_key: str
    version: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """A process that is gone. `asked`: the signal that we sent, empty for none; `seconds`: from that to its end.

    `hindered`: it could not reach the broker or Halo meanwhile, so that it may be cut off at the end of its grace, and say so with code 1.
    """

    name: str
    code: int
    asked: str = ""
    seconds: float = 0.0
    grace: float = 25.0
    hindered: bool = False


@dataclass
class Evidence:
    """All that is known at the end. `latest`: the content that each record in Halo has now; `signs`: what metrics and readiness were to show, and whether they did.

    `retold`: so many events may be told again under a key of their own, where a turn may have had two holders who knew different contents.
    """

    sent: Sequence[Sent] = ()
    effects: Sequence[Effect] = ()
    left: Sequence[Left] = ()
    latest: Mapping[Any, Any] = field(default_factory=dict)
    heard: Sequence[Heard] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    marks: Collection[str] = ()
    ended: Sequence[Ended] = ()
    signs: Mapping[str, bool] = field(default_factory=dict)
    retold: int = 0


@dataclass(frozen=True, slots=True)
class Tally:
    """Messages by what became of them; `lost` and `doubled` must be 0. `maybe`: those whose sender never learnt whether the broker has them."""

    accepted: int
    done: int
    parked: int
    waiting: int
    lost: int
    doubled: int
    maybe: int = 0
    events: int = 0
    untold: int = 0
    retold: int = 0

    def __str__(self) -> str:
        messages = f"accepted {self.accepted}, done {self.done}, parked {self.parked}, waiting {self.waiting}, lost {self.lost}, doubled {self.doubled}"
        return (
            f"{messages}; not confirmed to their sender {self.maybe}; events {self.events}, changes untold {self.untold}, told under a second key {self.retold}"
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """`broken`: a sentence with evidence for each invariant that does not hold. `parked`: what is in dead queues, by queue, class and reason."""

    tally: Tally
    broken: tuple[str, ...]
    parked: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        return not self.broken


def judge(evidence: Evidence) -> Verdict:
    """Every invariant, and the tally."""
    fates = fates_of(evidence)
    doubled = {key for key, count in Counter(effect.key for effect in evidence.effects if effect.creates).items() if count > 1}
    untold = set(evidence.latest.items()) - {(heard.record, heard.content) for heard in evidence.heard}
    retold, mistaken = list(under_two_keys(evidence)), list(of_two_events(evidence))
    counted = Counter(fates.values())
    tally = Tally(
        len(fates), counted["done"], counted["parked"], counted["waiting"], counted["lost"], len(doubled),
        len({sent.key for sent in evidence.sent if not sent.sure}), len(evidence.heard), len(untold), len(retold),
    )  # fmt: skip
    lost = [key for key, fate in fates.items() if fate == "lost"]
    broken = [
        *told("I1: accepted and lost", lost),
        *told("I1: parked without a reason", [f"{left.key} in {left.queue}" for left in evidence.left if left.dead and not (left.dead_class and left.reason)]),
        *told("I1: parked although it could be decided", undecided(evidence)),
        *told("I2: created more than once", doubled),
        *told("I2: of unknown origin", strangers(evidence)),
        *told("I3: out of order", disorder(evidence)),
        *told("I4: changed in Halo and never told", untold),
        *told("I4: copies of one event with several dedupe keys", retold if len(retold) > evidence.retold else ()),
        *told("I4: one dedupe key for several events", mistaken),
        *told("I5: a secret or a customer's data is told", leaks(evidence)),
        *told("I6: ended unasked, late or badly", [ending for ended in evidence.ended if (ending := fault_of(ended))]),
        *told("I7: not shown", [sign for sign, shown in evidence.signs.items() if not shown]),
    ]
    letters = Counter(f"{left.queue}: {left.dead_class}, {left.reason}" for left in evidence.left if left.dead)
    return Verdict(tally, tuple(broken), tuple(f"{count} in {letter}" for letter, count in letters.most_common()))


def fates_of(evidence: Evidence) -> dict[str, str]:
    """What became of each accepted key. Where it still is counts before what it did: what is done and in a queue as well is not at its end."""
    done, queued, parked = {effect.key for effect in evidence.effects}, set(), set()
    for left in evidence.left:
        (parked if left.dead else queued).add(left.key)

    def fate(key: str) -> str:
        return "waiting" if key in queued else "parked" if key in parked else "done" if key in done else "lost"

    return {sent.key: fate(sent.key) for sent in evidence.sent if sent.sure}


def undecided(evidence: Evidence) -> Iterator[str]:
    """In doubt, although the route looks up what it cannot know: that promise is kept by looking, not by giving up."""
    parkable = {sent.key for sent in evidence.sent if sent.parkable}
    return (f"{left.key}: {left.reason}" for left in evidence.left if left.dead_class == "in_doubt" and left.key not in parkable)


def strangers(evidence: Evidence) -> set[str]:
    """Effects that nobody asked for: then the evidence itself is incomplete."""
    return {effect.key for effect in evidence.effects} - {sent.key for sent in evidence.sent}


def disorder(evidence: Evidence) -> Iterator[str]:
    """Repeating the last one is harmless, falling back behind it is not."""
    places = {sent.key: (sent.lane, sent.number) for sent in evidence.sent if sent.lane}
    lanes: dict[str, list[int]] = defaultdict(list)
    for effect in evidence.effects:
        if effect.key in places:
            lane, number = places[effect.key]
            lanes[lane].append(number)
    return (f"{lane}: {later} after {earlier}" for lane, numbers in lanes.items() for earlier, later in pairwise(numbers) if later < earlier)


def under_two_keys(evidence: Evidence) -> Iterator[str]:
    """A listener that knows copies by their keys takes these for two events."""
    keys = defaultdict(set)
    for heard in evidence.heard:
        keys[heard.record, heard.version or heard.content].add(heard.dedupe_key)
    return (f"{record}: {version!r} under {len(found)} keys" for (record, version), found in keys.items() if len(found) > 1)


def of_two_events(evidence: Evidence) -> Iterator[str]:
    """A listener that knows copies by their keys drops one of these."""
    contents = defaultdict(set)
    for heard in evidence.heard:
        contents[heard.dedupe_key].add((heard.record, heard.content))
    return (f"{key}: {sorted(map(str, found))}" for key, found in contents.items() if len(found) > 1)


def leaks(evidence: Evidence) -> Iterator[str]:
    for place, text in evidence.texts.items():
        for mark in evidence.marks:
            if mark in text:
                at = text.find(mark)
                yield f"{mark!r} in {place}: …{text[max(0, at - 80) : at + 40]}…"


def fault_of(ended: Ended) -> str:
    """What is wrong with the way that a process ended; empty when nothing is."""
    match ended.asked:
        case "SIGKILL":
            return ""
        case "SIGTERM" if ended.code != 0 and not (ended.hindered and ended.code == 1):
            return f"{ended.name} with {ended.code} after SIGTERM"
        case "SIGTERM" if ended.seconds > ended.grace:
            return f"{ended.name} {ended.seconds:.1f} s after SIGTERM, with a grace time of {ended.grace:.0f} s"
        case "SIGTERM":
            return ""
        case _:
            return f"{ended.name} with {ended.code}, unasked"


def told(sentence: str, found: Iterable[Any]) -> Iterator[str]:
    """One line per invariant, with the first pieces of evidence."""
    pieces = sorted(map(str, found))
    if pieces:
        more = f" and {len(pieces) - SHOWN} more" if len(pieces) > SHOWN else ""
        yield f"{sentence} ({len(pieces)}): {', '.join(pieces[:SHOWN])}{more}"
