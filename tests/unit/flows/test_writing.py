"""What a message asks to be written, and what doing it twice would show."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tools.evaluating import InProcess, now
from tests.tools.every import every
from tests.unit.flows.routes import DELETE, Given, publisher
from worker.config.compiled import RequestParameters
from worker.core.errors import Undecodable
from worker.flows.writes.write_request import Write, write_of


def creates(payload: Any) -> int:
    return Write({}, {}, payload).creates


@pytest.mark.parametrize("record", [{}, {"id": None}, {"id": 0}, {"id": "0"}, {"id": ""}, {"id": 0.0}, {"name": "x"}])
def test_a_record_without_an_id_is_created(record: dict[str, Any]):
    assert creates(record) == 1


@pytest.mark.parametrize("record", [{"id": 7}, {"id": "7"}, {"id": "7e1c-aa"}])
def test_a_record_with_an_id_is_updated(record: dict[str, Any]):
    assert creates(record) == 0


def test_rows_added_to_a_custom_table_are_created_although_the_table_has_an_id():
    assert creates({"id": 7, "_add_rows": [{}]}) == 1


def test_every_record_of_an_array_counts():
    assert creates([{"id": 7}, {}, {"id": 0}]) == 2


def test_a_deletion_creates_nothing():
    assert creates(None) == 0


def test_one_record_is_single_with_or_without_an_array_around_it():
    assert Write({}, {}, [{"a": 1}]).single == Write({}, {}, {"a": 1}).single == {"a": 1}
    assert Write({}, {}, [{}, {}]).single is None
    assert Write({}, {}, None).single is None


def test_an_update_is_the_content_laid_over_the_record_that_was_found():
    write = Write({"p": 1}, {"q": 2}, [{"id": 0, "name": "x"}]).updating(70)
    assert write == Write({"p": 1}, {"q": 2}, {"id": 70, "name": "x"})
    assert write.creates == 0


def written(document: Any, **fields: Any) -> Write:
    return now(write_of(publisher(**fields), document, document, {}, InProcess()))


def test_the_messages_own_parameters_win_over_those_of_the_route():
    defaults = RequestParameters({}, {"returnall": Given(True), "other": Given("route")})
    assert written({"payload": {}, "query": {"other": "message"}}, request=defaults).query == {"returnall": True, "other": "message"}


@pytest.mark.parametrize("payload", [{"a": 1}, [{"a": 1}], [{}, {}]])
def test_the_payload_goes_as_it_is(payload: Any):
    assert written({"payload": payload}).payload == payload


def test_a_deletion_has_no_payload_whatever_the_message_says():
    assert written({"path": {"id": 7}, "payload": {"a": 1}}, operation=DELETE) == Write({"id": 7}, {}, None)


@every(
    ("document", "sentence"),
    [
        ([], "the message must be an object with path, query and payload, not an empty array"),
        ("x", "the message must be an object with path, query and payload, not a text"),
        (None, "the message must be an object with path, query and payload, not nothing"),
        ({"serial": 1}, "the message must be an object with path, query and payload; it also has serial: a `transform` gives it that shape"),
        ({"payload": {}, "path": []}, "path must be an object, not an empty array"),
        ({"payload": {}, "query": "a=1"}, "query must be an object, not a text"),
        ({}, "payload must be an object or an array of objects, not nothing"),
        ({"payload": []}, "payload must be an object or an array of objects, not an empty array"),
        ({"payload": [1]}, "payload must be an object or an array of objects, not an array with other things than objects"),
        ({"payload": True}, "payload must be an object or an array of objects, not a boolean"),
    ],
)
def test_another_shape_is_refused_in_a_sentence(document: Any, sentence: str):
    with pytest.raises(Undecodable) as caught:
        written(document)
    assert str(caught.value) == sentence
