"""The history of a day: made of reports, and never of guesses."""

from math import isnan

from worker.app.page.history import MAX_SERIES, MINUTE, MINUTES, History
from worker.state.reports import ClientReport, ReplicaReport, RouteReport

START = 30_000_000  # a minute since 1970


class Time:
    def __init__(self):
        self.minute = START

    def now(self):
        return self.minute * MINUTE + 1


def report(name, since_minute, at, *, settled=0, empty_at=0.0, used=0, kind="publisher", last_success=0.0):
    route = RouteReport("erp", kind, "running", settled=settled, empty_at=empty_at, last_success=last_success)
    return ReplicaReport(name, "1", since_minute * MINUTE, at, 5.0, True, (route,), (ClientReport("main", True, used, 700),))


class Day:
    """Adds one sample a minute."""

    def __init__(self):
        self.time = Time()
        self.history = History(self.time)

    def sample(self, *replicas, minutes=1):
        self.time.minute += minutes
        self.history.add([report(name, since, self.time.now(), settled=settled) for name, since, settled in replicas], self.time.now())

    def rates(self, count):
        return [None if isnan(value) else value for value in self.history.of("rate", "erp").values[-count:]]


def test_the_rate_is_what_all_replicas_settled_within_the_minute():
    day = Day()
    day.sample(("a", 0, 100), ("b", 0, 50))
    day.sample(("a", 0, 110), ("b", 0, 55))
    assert day.rates(2) == [None, 15.0], "what was counted before the first sample is of no minute"


def test_a_replica_that_restarts_counts_from_zero_and_one_that_was_not_seen_is_unknown():
    day = Day()
    day.sample(("a", 0, 100))
    day.sample(("a", day.time.minute + 0.5, 7))
    assert day.rates(1) == [7.0], "all of it is of this minute"
    day.sample(("a", day.time.minute - 0.5, 9), ("b", 0, 5000))
    assert day.rates(1) == [None], "of b nobody knows what it settled in this minute"


def test_minutes_without_the_broker_stay_unknown_and_the_minute_after_them_is_no_peak():
    day = Day()
    day.sample(("a", 0, 100))
    day.sample(("a", 0, 101))
    day.sample(("a", 0, 900), minutes=30)
    day.sample(("a", 0, 902))
    assert day.rates(33) == [None, 1.0, *[None] * 30, 2.0]


def test_a_day_is_kept_and_no_more():
    day = Day()
    for count in range(MINUTES + 50):
        day.sample(("a", 0, count * 2))
    values = day.history.of("rate", "erp").values
    assert (len(values), set(values)) == (MINUTES, {2.0})
    day.time.minute += MINUTES + 5
    assert all(isnan(value) for value in day.history.of("rate", "erp").values)


def test_a_route_that_nobody_reported_has_no_value():
    assert all(isnan(value) for value in Day().history.of("lag", "erp").values)


def test_lag_and_budget_are_those_of_the_reports():
    day = Day()
    now = day.time.now()
    replicas = [report("a", 0, now, empty_at=now - 90, used=5), report("b", 0, now, empty_at=now - 600, used=7)]
    day.history.add(replicas, now)
    assert day.history.of("lag", "erp").values[-1] == 90.0, "since when nothing waited, as the replica knows that saw it last"
    assert day.history.of("budget", "main").values[-1] == 12.0


def test_a_report_that_is_not_fresh_is_no_sample():
    day = Day()
    day.history.add([report("a", 0, day.time.now() - 3600, settled=5)], day.time.now())
    assert all(isnan(value) for value in day.history.of("rate", "erp").values)


def crowd(names, now):
    """A report of a replica with so many routes."""
    routes = tuple(RouteReport(name, "publisher", "running", settled=1, empty_at=now - 30) for name in names)
    return ReplicaReport("a", "1", 0.0, now, 5.0, True, routes, ())


def test_each_route_has_its_series_however_many_there_are():
    day, names = Day(), [f"r{number}" for number in range(MAX_SERIES)]
    for _ in range(2):
        day.time.minute += 1
        day.history.add([crowd(names, day.time.now())], day.time.now())
    assert {day.history.of("lag", name).values[-1] for name in names} == {30.0}
    assert {day.history.of("lag", name).values[-2] for name in names} == {30.0}, "of two series for each route none is dropped for another"


def test_names_that_come_and_go_do_not_fill_the_memory():
    day = Day()
    for minute in range(10):
        day.time.minute += 1
        day.history.add([crowd([f"r{minute}-{number}" for number in range(MAX_SERIES // 4)], day.time.now())], day.time.now())
    assert not isnan(day.history.of("lag", "r9-0").values[-1])
    assert not isnan(day.history.of("lag", "r8-0").values[-2])
    assert all(isnan(value) for value in day.history.of("lag", "r7-0").values), "the oldest go first"
