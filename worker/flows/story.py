"""One record's story: the notes of the trace that belong to a record, a message or a correlation id."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import orjson

from worker.catalogue.catalogue import load

ROUNDS = 8  # hops from message to message: steps of a runbook, replays, answers of other systems
LATEST = 253_402_300_799  # seconds since 1970: the end of the year 9999
TEXTS = {"e": None, "r": None, "m": "", "c": "", "s": "", "next": "", "way": ""}  # each text of a note, with its default; None: it is required
StoryNote = dict[str, Any]


@dataclass(frozen=True, slots=True)
class StorySubject:
    """The subject of a story: a record by its id space and key, or any id of a message."""

    space: str = ""
    key: str = ""
    ids: frozenset[str] = frozenset()

    @classmethod
    def of(cls, subject: str, record: str | None = None) -> Self:
        """Return the subject for an entity and a record, otherwise for any id of a message. Raises `UnknownEntity`."""
        if record is None:
            return cls(ids=frozenset({subject}))
        catalogue = load()
        return cls(catalogue.find(subject, next(iter(catalogue.methods_of(subject)), "GET")).id_space, record)

    def named_in(self, note: StoryNote) -> bool:
        if self.space:
            return note.get("s") == self.space and self.key in note.get("i", ())
        return bool(self.ids & ids_of(note))


@dataclass(slots=True)
class Story:
    """`notes`: in the order of time, as `worker.state.trace_stream` writes them."""

    notes: list[StoryNote] = field(default_factory=list)
    _seen: set[tuple[int, int]] = field(default_factory=set)

    def add(self, found: Iterable[tuple[tuple[int, int], StoryNote]]) -> list[StoryNote]:
        """Add these notes; return the new ones among them."""
        new = [(place, note) for place, note in found if place not in self._seen]
        self._seen.update(place for place, _ in new)
        self.notes += [note for _, note in new]
        return [note for _, note in new]


def story_of(batches: Sequence[bytes], subject: StorySubject) -> list[StoryNote]:
    """Return the story in the order of time.

    It holds the notes of the subject, and the notes that share a message id or a correlation id with them. It also holds what subscribers saw of the records
    that these notes wrote.
    """
    story = Story()
    texts = [subject.key] if subject.space else list(subject.ids)
    follow(batches, story, story.add(matching(batches, texts, subject.named_in)))
    written = [note for note in story.notes if note["e"] == "written"]
    back: list[StoryNote] = []
    for note in written:
        for key in note.get("i", ()):

            def seen_again(each: StoryNote, key: str = key, since: StoryNote = note) -> bool:
                return each["e"] in {"seen", "published"} and each["t"] >= since["t"] and each.get("s") == since.get("s") and key in each.get("i", ())

            back += story.add(matching(batches, [key], seen_again))
    follow(batches, story, back)
    return sorted(story.notes, key=lambda note: note["t"])


def follow(batches: Sequence[bytes], story: Story, start: list[StoryNote]) -> None:
    """Add the notes that share an id with these notes, or with notes that were added."""
    known: set[str] = set()
    news = start
    for _ in range(ROUNDS):
        ids = {each for note in news for each in ids_of(note)} - known
        if not ids:
            return
        known |= ids
        news = story.add(matching(batches, list(ids), lambda note: bool(ids & ids_of(note))))  # noqa: B023 - called in this round


def ids_of(note: StoryNote) -> set[str]:
    """Return the ids of the message, and of the message that follows it."""
    return {note[name] for name in ("m", "c", "next") if note.get(name)}


def fits(note: Any) -> bool:
    """Whether this is a note as the worker writes it: other programs may write to the stream, too."""
    if not isinstance(note, dict) or type(note.get("t")) not in {int, float} or not 0 <= note["t"] <= LATEST:
        return False
    texts = all(isinstance(note.get(name, absent), str) for name, absent in TEXTS.items())
    return texts and isinstance(note.get("i", []), list) and all(isinstance(key, str) for key in note.get("i", ()))


def matching(batches: Sequence[bytes], texts: Sequence[str], wanted: Callable[[StoryNote], bool]) -> Iterable[tuple[tuple[int, int], StoryNote]]:
    """Yield the wanted notes with their places. A batch that contains none of the texts is not parsed."""
    needles = [orjson.dumps(text)[1:-1] for text in texts]
    for number, batch in enumerate(batches):
        if not any(needle in batch for needle in needles):
            continue
        try:
            notes = orjson.loads(batch)
        except orjson.JSONDecodeError:
            continue
        for place, note in enumerate(notes if isinstance(notes, list) else ()):
            if fits(note) and wanted(note):
                yield (number, place), note
