"""What a name of an operator stands for where a subscriber has several clients."""

from __future__ import annotations

import pytest

from worker.core.route_names import defined_name, name_for, routes_of_name
from worker.core.suggest import choices

KNOWN = ["notes@main", "notes@second", "notes2", "assets"]


@pytest.mark.parametrize(
    ("name", "routes"),
    [("notes", ["notes@main", "notes@second"]), ("notes@second", ["notes@second"]), ("assets", ["assets"]), ("note", []), ("notes@", []), ("", [])],
)
def test_a_name_stands_for_its_route_or_for_those_of_all_its_clients(name, routes):
    assert routes_of_name(name, KNOWN) == routes


def test_a_route_is_named_after_its_definition_and_its_client():
    assert defined_name(name_for("notes", "second")) == "notes"
    assert defined_name("assets") == "assets"


def test_a_command_that_needs_one_of_them_names_them():
    assert choices("notes", KNOWN) == "; did you mean notes@main or notes@second?"
