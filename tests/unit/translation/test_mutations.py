"""Documents in which anything may be anything: each is imported or refused with a report, and none ends the import."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest

from tests.tools.halo_documents import copy_of, hostile, sound
from tests.tools.sizes import every_nth
from worker.translation.documents import Documents
from worker.translation.importing import translate
from worker.translation.route_text import route_text

ODD = (
    None,
    True,
    False,
    0,
    1,
    -1,
    -98,
    Decimal(2**70),
    1.5,
    "",
    "x",
    "<<",
    "<<>>",
    "<<a",
    "<<response^>>",
    "{{",
    "${",
    "\x00",
    "é\n",
    [],
    [[]],
    [None],
    {},
    {"key": 1},
    {"key": "a", "value": {}},
)
CASES = [*sound().values(), *hostile().values()]


def places(value, path=()):
    """The path of every value of a document."""
    found = [path] if path else []
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in members:
        found += places(inner, (*path, key))
    return found


def put(document, path, value):
    *above, last = path
    for key in above:
        document = document[key]
    if value is ...:
        del document[last]
    else:
        document[last] = value


@pytest.mark.parametrize("seed", every_nth(4, range(40)))
def test_a_document_with_anything_anywhere_is_imported_or_refused(seed):
    dice = random.Random(seed)
    for _ in range(15):
        case = dice.choice(CASES)
        document = copy_of({"integrations": case.integrations, "runbooks": case.runbooks})
        for _ in range(dice.randint(1, 3)):
            put(document, dice.choice(places(document)), dice.choice((*ODD, ...)))
        given = Documents()
        given.add(document, "mutated.json")
        translation = translate(given, "main")
        for name, result in {**translation.integrations, **translation.runbooks}.items():
            assert result.report.is_complete or result.copy.kind == "integration"
            assert name in route_text("any", {"any": {name: result.definition}})
            assert result.copy.text()
