"""Cells of a report get their types, or their row does not fit: nothing is guessed."""

from decimal import Decimal

from tests.tools.every import every
from worker.changes.cells import moment, typed


@every(
    ("kind", "given", "value"),
    [
        ("int", "12", 12),
        ("int", "-3", -3),
        ("int", 7, 7),
        ("int", "", None),
        ("int", None, None),
        ("number", "12.5", 12.5),
        ("number", "12", 12),
        ("number", "1E-3", 0.001),
        ("number", "12345678901234567.891", Decimal("12345678901234567.891")),
        ("number", 0.5, 0.5),
        ("bool", "True", True),
        ("bool", "0", False),
        ("bool", 1, True),
        ("bool", False, False),
        ("time", "2026-03-01T08:00:00.123", "2026-03-01T08:00:00.123000Z"),
        ("time", "2026-03-01 08:00:00", "2026-03-01T08:00:00Z"),
        ("time", "2026-03-01T10:00:00+02:00", "2026-03-01T08:00:00Z"),
        ("time", "1900-01-01T00:00:00", None),
        ("text", "007", "007"),
        ("text", "", ""),
    ],
)
def test_a_cell_that_fits_has_its_type(kind, given, value):
    record, reason = typed({"c": given, "other": "x"}, {"c": kind})
    assert (record, reason) == ({"c": value, "other": "x"}, "")
    assert type(record["c"]) is type(value)


@every(
    ("kind", "given"),
    [
        ("int", "12.0"),
        ("int", "007"),
        ("int", "1e3"),
        ("int", " 12"),
        ("int", "१२"),
        ("int", True),
        ("number", "12,5"),
        ("number", "0x10"),
        ("number", "NaN"),
        ("bool", "yes"),
        ("bool", "2"),
        ("time", "01/03/2026"),
        ("time", "Mar  1 2026  8:00AM"),
        ("time", "20260301"),
        ("time", 46000),
        ("time", "9999-12-31T23:59:59-01:00"),
        ("time", "0001-01-01T00:00:00+01:00"),
        ("text", 12),
    ],
)
def test_a_cell_that_does_not_fit_leaves_its_row_as_it_is_with_a_reason_that_holds_no_data(kind, given):
    row = {"c": given, "other": "x"}
    record, reason = typed(row, {"c": kind})
    assert record == row
    assert reason.startswith("column `c` is not ")
    assert f"{given!r}" not in reason


def test_a_time_without_a_zone_is_utc():
    assert moment("2026-03-01T08:00:00") == moment("2026-03-01T09:00:00+01:00")
