"""Choosing letters by id, by the beginning of one, and by an expression."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tools.evaluating import InProcess, now
from tests.tools.headers import CODEC
from tests.unit.flows.routes import Arrived, Holding
from worker.config.expressions import compile_condition
from worker.core.errors import ExpressionError
from worker.core.message import Message
from worker.flows.dead.letter import DeadQueue
from worker.flows.dead.letter_selector import LetterSelector, NoSuchLetter, Selection, shortest_prefixes
from worker.flows.dead.plan import MarkDone, Replay, Retain

ASSETS = DeadQueue("erp", "publisher", "assets.dead", "assets")
STARTS = DeadQueue("erp", "starts", "go.dead", "go")
NOW = 1_772_366_400.0
HEADERS = {"dead-class": "rejected", "dead-reason": "no", "dead-status": 400, "dead-attempts": 3, "dead-at": "2026-03-01T11:00:00Z", "order-id": 4711}


def letter(message_id: str, body: bytes = b'{"a": 1}', **headers: Any) -> Arrived:
    return Arrived(Message(body, HEADERS | headers, message_id=message_id))


def sifted(*ids: str, selection: Selection | None = None, **fields: Any) -> LetterSelector:
    selector = LetterSelector(selection or Selection(tuple(ids)), NOW, CODEC, evaluator=InProcess(), **fields)
    for each in ("aa-1", "aa-2", "ab-1", "b"):
        now(selector.offer(ASSETS, letter(each)))
    now(selector.offer(ASSETS, letter("b-longer", b"not json", **{"dead-class": "decode"})))
    return selector


def chosen(selector: LetterSelector) -> list[str]:
    selector.finish()
    return [found.letter.id for found in selector.chosen]


def test_nothing_said_chooses_all_in_their_order():
    assert chosen(sifted()) == ["aa-1", "aa-2", "ab-1", "b", "b-longer"]


def test_a_beginning_that_fits_one_id_names_it_and_a_whole_id_is_meant_even_if_others_begin_with_it():
    assert chosen(sifted("ab", "b", "b-l")) == ["ab-1", "b", "b-longer"]


def test_a_letter_that_is_named_twice_is_chosen_once():
    selector = sifted("ab", "ab-1")
    assert chosen(selector) == ["ab-1"]
    assert selector.fingerprints["assets.dead"].total() == 1


@pytest.mark.parametrize(("text", "told"), [("aa", "2 ids begin with 'aa': aa-1, aa-2"), ("c", "no letter has an id that begins with 'c'")])
def test_a_beginning_that_fits_several_or_none_is_refused_with_what_there_is(text: str, told: str):
    with pytest.raises(NoSuchLetter) as refused:
        chosen(sifted("b", text))
    assert told in str(refused.value)


def test_of_many_candidates_ten_are_named():
    selector = LetterSelector(Selection(("m",)), NOW, CODEC)
    for number in range(25):
        now(selector.offer(ASSETS, letter(f"m{number}")))
    with pytest.raises(NoSuchLetter, match=r"25 ids begin with 'm': m0, .*, m9 and 15 more$"):
        selector.finish()


def test_two_letters_with_one_id_are_both_meant():
    selector = LetterSelector(Selection(("m",)), NOW, CODEC)
    now(selector.offer(ASSETS, letter("m1")))
    now(selector.offer(STARTS, letter("m1", b"{}")))
    assert chosen(selector) == ["m1", "m1"]
    assert {queue: marks.total() for queue, marks in selector.fingerprints.items()} == {"assets.dead": 1, "go.dead": 1}


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ('class = "decode"', ["b-longer"]),
        ("{{ status = 400 and attempts = 3 and age = 3600 and replays = 0 }}", ["aa-1", "aa-2", "ab-1", "b", "b-longer"]),
        ("headers.`order-id` = 4711 and body.a = 1 and id = 'b'", ["b"]),
        ("$contains(body, 'json')", ["b-longer"]),
        ("nothing", []),
    ],
)
def test_an_expression_sees_everything_of_a_letter(where: str, expected: list[str]):
    selector = sifted(selection=Selection(where=compile_condition(where)))
    assert chosen(selector) == expected


def test_an_id_that_is_named_and_an_expression_must_both_fit():
    assert chosen(sifted(selection=Selection(("b", "ab"), compile_condition("id = 'b'")))) == ["b"]


def test_letters_over_which_the_expression_fails_are_left_out_and_counted():
    def test(context: Any) -> bool:
        if context["id"].startswith("aa"):
            raise ExpressionError("no number")
        return True

    selector = sifted(selection=Selection(where=Holding(test)))
    assert chosen(selector) == ["ab-1", "b", "b-longer"]
    assert selector.unreadable == {"no number": 2}


def test_what_is_kept_for_showing_is_bounded_and_everything_is_counted():
    selector = sifted(keep=2, bodies=True)
    assert chosen(selector) == ["aa-1", "aa-2"]
    assert (selector.count, selector.classes, len(selector.ids)) == (5, {"rejected": 4, "decode": 1}, 5)
    assert [found.message.message_id for found in selector.chosen if found.message] == ["aa-1", "aa-2"]
    assert all(found.message is None for found in sifted().chosen)


def test_what_a_replay_would_do_with_the_selected_letters_is_counted():
    plans = {"b": Retain("why"), "aa-1": Replay(), "aa-2": MarkDone()}
    selector = sifted(*plans, planner=lambda _, letter, __: plans.get(letter.id, Replay()))
    assert chosen(selector) == list(plans)
    assert (selector.kept, selector.done) == ({Retain("why"): 1}, 1)


def test_ids_are_shown_as_long_as_it_takes_to_name_one():
    ids = ["0123456789-a", "0123456789-b", "zzz", "0123456789-a"]
    assert shortest_prefixes(ids) == {"0123456789-a": 12, "0123456789-b": 12, "zzz": 8}
    assert shortest_prefixes(["abcdefghij", "abcdefghijk"]) == {"abcdefghij": 11, "abcdefghijk": 11}
    assert shortest_prefixes([]) == {}
