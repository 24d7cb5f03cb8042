"""One record's story is put together from notes that share a record or an id, over steps, replays and what Halo shows of it again."""

from __future__ import annotations

from typing import Any

import orjson

from tests.tools.every import every
from worker.app.page.run_list import runs_of
from worker.flows.story import StorySubject, story_of


def note(at: float, event: str, route: str = "r", **more: Any) -> dict[str, Any]:
    return {"v": 1, "t": at, "e": event, "r": route} | more


SEEN = note(1, "seen", "tickets", s="tickets", i=["7"])
PUBLISHED = note(2, "published", "tickets", s="tickets", i=["7"], m="m1", c="c1")
RECEIVED = note(3, "received", "erp", m="m1", c="c1")
WRITTEN = note(4, "written", "erp", m="m1", c="c1", s="asset", i=["70"])
BACK = note(5, "published", "assets", s="asset", i=["70"], m="m2", c="c2")
BEFORE = note(0, "published", "assets", s="asset", i=["70"], m="m0", c="c0")
TAKEN = note(6, "received", "others", m="m2", c="c2")
OTHER = note(3, "received", "erp", m="m9", c="c9")
ALL = [SEEN, PUBLISHED, RECEIVED, WRITTEN, BACK, BEFORE, TAKEN, OTHER, note(2, "seen", "clients", s="client", i=["7"])]


def story(subject: StorySubject, *batches: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return story_of([orjson.dumps(batch) for batch in batches], subject)


def ids(*names: str) -> StorySubject:
    return StorySubject(ids=frozenset(names))


def test_a_record_is_followed_to_its_target_and_back_in_the_order_of_time():
    told = story(StorySubject("tickets", "7"), ALL[4:], ALL[:4])
    assert told == [SEEN, PUBLISHED, RECEIVED, WRITTEN, BACK, TAKEN]


def test_a_message_id_and_a_correlation_id_find_the_same_messages():
    assert story(ids("m1"), ALL) == story(ids("c1"), ALL) == [PUBLISHED, RECEIVED, WRITTEN, BACK, TAKEN]


def test_a_run_is_followed_from_step_to_step():
    steps = [note(1, "passed", m="m1", c="c1", next="run"), note(2, "passed", m="s1", c="run", next="run"), note(3, "done", m="s2", c="run")]
    assert story(ids("m1"), steps) == steps
    assert story(ids("s2"), steps) == steps


def test_an_id_that_stands_within_another_or_in_another_space_is_not_meant():
    assert story(StorySubject("tickets", "70"), ALL) == []
    assert story(ids("m"), ALL) == []


def test_what_is_no_batch_of_notes_is_passed_over():
    assert story_of([b"m1", b'{"m":"m1"}', b'["m1"]', b'[{"m":"m1"}]', orjson.dumps([RECEIVED])], ids("m1")) == [RECEIVED]


def test_an_id_with_a_quote_is_found():
    told = note(1, "received", m='a"b')
    assert story(ids('a"b'), [told]) == [told]


@every(
    "wrong",
    [{"t": "x"}, {"t": None}, {"t": True}, {"t": 1e300}, {"t": -1}, {"e": ["x"]}, {"r": 5}, {"c": ["c1"]}, {"m": {"a": 1}}, {"way": 5}, {"i": 5}, {"i": [5]}],
    ids=str,
)
def test_what_others_write_into_the_stream_is_no_note_and_hides_none(wrong: dict[str, Any]):
    forged = RECEIVED | {"next": "m1", "s": "tickets", "i": ["7"]} | wrong
    assert story(ids("m1"), [forged, RECEIVED]) == [RECEIVED]
    assert story(StorySubject("tickets", "7"), [forged, SEEN]) == [SEEN]
    [batch] = [orjson.dumps([forged | {"r": forged["r"] if "r" in wrong else "rb"}, note(1, "passed", "rb", c="run", way="a → b")])]
    assert [(run.id, run.step) for run in runs_of([batch], "rb")] == [("run", "b")]
