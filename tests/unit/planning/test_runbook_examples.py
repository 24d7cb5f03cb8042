"""Examples of runbooks with steps that publish, iterate, wait and start others: offline, at once, with answers for every method below."""

from __future__ import annotations

from copy import deepcopy

import pytest

from tests.tools.process import write_routes
from worker.cli.testing import run_tests

ROUTES = {
    "integrations": {
        "api": {
            "base_url": "https://api.vendor.example",
            "methods": {"book": {"method": "POST", "path": "/book/<<Id>>", "output": {"Booking": "response^id"}}},
        }
    },
    "runbooks": {
        "all": {
            "start": {"queue": "all"},
            "first": "each",
            "steps": {
                "each": {"for_each": "{{ request.ids }}", "do": "one", "parallel": 2, "into": {"Bookings": "{{ response.Booking }}"}, "next": "pause"},
                "one": {"start": "single", "input": {"Id": "<<Item>>"}, "wait": True},
                "pause": {"wait": "30d", "next": "tell"},
                "tell": {"publish": {"exchange": "out", "routing_key": "done", "body": "<<Bookings>>"}},
            },
            "examples": [
                {
                    "given": {"ids": [1, 2, 3]},
                    "answers": {"api.book": {"body": {"id": 9}}},
                    "expect": {"events": [{"exchange": "out", "routing_key": "done", "body": [9, 9, 9]}]},
                }
            ],
        },
        "single": {"input": {"Id": "request^id"}, "first": "book", "steps": {"book": {"method": "api.book"}}},
    },
}


def outcome_of(tmp_path, capsys, routes):
    code = run_tests(write_routes(tmp_path, routes), {}, junit=None, as_json=False)
    return code, capsys.readouterr().out


@pytest.fixture
def routes():
    return deepcopy(ROUTES)


def test_an_example_passes_through_all_runbooks_that_it_starts(tmp_path, capsys, routes):
    code, told = outcome_of(tmp_path, capsys, routes)
    assert code == 0, told


def test_a_message_that_differs_is_shown_by_its_place(tmp_path, capsys, routes):
    routes["runbooks"]["all"]["examples"][0]["expect"]["events"][0]["body"] = [9, 9]
    code, told = outcome_of(tmp_path, capsys, routes)
    assert code == 1
    assert "events[0].body" in told
