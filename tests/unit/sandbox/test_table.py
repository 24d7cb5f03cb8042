"""A table with seeded records behaves as if all of them were stored."""

from hypothesis import given
from hypothesis import strategies as st

from worker.sandbox.query import CACHED_RESULTS, Contains, Equals, Order, Query, Range, select
from worker.sandbox.table import SeededRows, Table

COUNT = 8
SEED = SeededRows(COUNT, {"id": int, "colour": lambda number: ("red", "blue")[number % 2], "weight": lambda number: number * 7 % 5})

puts = st.tuples(st.just("put"), st.integers(1, COUNT + 6), st.sampled_from(["red", "blue", "Green", None]), st.integers(0, 5))
removals = st.tuples(st.just("remove"), st.integers(1, COUNT + 6), st.none(), st.none())
looks = st.tuples(st.just("look"), st.sampled_from(["colour", "weight"]), st.none(), st.none())


def expected(rows, query):
    for span in query.spans:
        rows = [
            row for row in rows if row[span.member] >= span.start and (row[span.member] < span.end or (span.end_inclusive and row[span.member] == span.end))
        ]
    for condition in query.equals:
        rows = [row for row in rows if str(row[condition.member] or "").lower() in condition.values]
    for condition in query.contains:
        rows = [row for row in rows if any(condition.text in str(row[member] or "").lower() for member in condition.members)]
    return sorted(row["id"] for row in rows)


@given(
    steps=st.lists(st.one_of(puts, removals, looks), max_size=30),
    low=st.integers(0, 4),
    width=st.integers(0, 4),
    inclusive=st.booleans(),
    colours=st.none() | st.frozensets(st.sampled_from(["red", "blue", "green", ""]), min_size=1),
    text=st.sampled_from([None, "e", "re"]),
    order=st.sampled_from([Order(), Order(None, descending=True), Order("weight"), Order("colour", descending=True)]),
)
def test_queries_see_what_a_plain_dictionary_would_hold_after_any_changes(steps, low, width, inclusive, colours, text, order):
    table = Table(SEED)
    model = {number: SEED.row(number) for number in range(1, COUNT + 1)}
    query = Query(
        spans=(Range("weight", low, low + width, True, inclusive),),
        equals=() if colours is None else (Equals("colour", colours),),
        contains=() if text is None else (Contains(("colour",), text),),
        order=(order,),
    )
    for kind, what, colour, weight in steps:
        if kind == "put":
            row = {"id": what, "colour": colour, "weight": weight}
            table.put(what, row)
            model[what] = row
        elif kind == "remove":
            assert table.remove(what) == model.pop(what, None)
        else:
            table.column(what)
            table.index(what)
            select(table, query)
    assert len(table) == len(model)
    assert [table.at(position) for position in table.positions()] == [model[key] for key in sorted(model)]
    found = select(table, query)
    ids = [row["id"] for row in found.rows()]
    assert sorted(ids) == expected(list(model.values()), query)
    assert ids == [identifier for page in range(0, len(ids) + 3, 3) for identifier in (row["id"] for row in found.rows(page, page + 3))]
    if order.member == "weight":
        weights = [model[identifier]["weight"] for identifier in ids]
        assert weights == sorted(weights)
    if order.member is None:
        assert ids == sorted(ids, reverse=order.descending)


def test_order_by_several_members_sorts_by_the_first_and_breaks_ties_by_the_next():
    table = Table(SEED)
    rows = select(table, Query(order=(Order("colour"), Order("weight", descending=True)))).rows()
    assert [(row["colour"], row["weight"]) for row in rows] == sorted(((row["colour"], row["weight"]) for row in rows), key=lambda pair: (pair[0], -pair[1]))


def test_text_keys_are_found_in_any_case_and_keep_their_place_when_they_come_back():
    table = Table()
    for key in ("AB", "cd", "ef"):
        table.put(key.lower(), {"id": key.lower()})
    removed = table.remove("CD")
    assert table.get("cd") is None
    table.put("cd", removed)
    assert [row["id"] for row in select(table, Query()).rows()] == ["ab", "cd", "ef"]


def test_selections_do_not_pile_up_while_nothing_changes():
    table = Table(SEED)
    for number in range(100):
        select(table, Query(contains=(Contains(("colour",), str(number)),)))
    assert len(table.selections) == CACHED_RESULTS


def test_a_selection_is_remembered_until_something_changes():
    table = Table(SEED)
    query = Query(equals=(Equals("colour", frozenset({"red"})),))
    first = select(table, query)
    assert select(table, query) is first
    table.put(1, {"id": 1, "colour": "red", "weight": 0})
    assert len(select(table, query)) == len(first) + 1
