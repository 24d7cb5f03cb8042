"""A list that hides records is told from deletions."""

from tests.tools.every import every
from worker.changes.mass_loss import held_reason, too_many


@every(
    ("missing", "known", "percent", "held"),
    [
        (0, 0, 10, False),
        (1, 1, 10, False),
        (2, 2, 10, True),
        (1, 2, 10, False),
        (2, 5, 10, False),
        (5, 11, 10, False),
        (6, 12, 10, True),
        (5, 100, 10, False),
        (10, 100, 10, False),
        (11, 100, 10, True),
        (500, 1000, 10, True),
        (500, 1000, 50, False),
        (1000, 1000, 99, True),
        (1000, 1000, 100, False),
    ],
)
def test_deletions_are_held_when_so_many_are_missing_at_once(missing, known, percent, held):
    assert too_many(missing, known, percent) is held


def test_the_reason_names_numbers_and_the_remedy():
    assert "1,500 of 3,000 known records" in held_reason(1500, 3000, 10)
    assert "deletes_limit" in held_reason(1500, 3000, 10)
