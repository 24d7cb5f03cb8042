"""Charts and answers of the status page, as values."""

from math import isnan

import pytest

from tests.tools.page_backend import found_object, letter_row, route_object
from worker.web.page.answers import answers_of
from worker.web.page.charts import HEIGHT, WIDTH, chart_path, columns_of
from worker.web.page.flow_svg import layout
from worker.web.page.formatting import age
from worker.web.page.model import UNKNOWN, FlowChart, FlowChartStep, Overview, Series


def test_a_minute_without_a_sample_is_a_gap_and_not_zero():
    values = [UNKNOWN] * 720 + [3.0] * 360 + [UNKNOWN] * 180 + [1.0] * 180
    chart = chart_path(Series(values, 0))
    assert chart.path.count("M") == chart.path.count("Z") == 2, "two stretches, no line between them"
    assert chart.path.startswith(f"M{WIDTH / 2} {HEIGHT}")
    assert (chart.most, chart.newest, chart.known) == (3.0, 1.0, 540)


def test_nothing_known_draws_nothing():
    chart = chart_path(Series([UNKNOWN] * 1440, 0))
    assert (chart.path, chart.most, chart.newest, chart.known) == ("", None, None, 0)


def test_a_peak_of_one_minute_shows():
    values = [0.0] * 1440
    values[77] = 50.0
    columns = columns_of(values)
    assert (columns[7], sum(columns), len(columns)) == (50.0, 50.0, 144)


def test_a_bucket_of_unknown_minutes_is_unknown():
    assert isnan(columns_of([UNKNOWN] * 10)[0])


@pytest.mark.parametrize(("seconds", "text"), [(0, "0 s"), (59.6, "1 min"), (200, "3 min 20 s"), (7260, "2 h 1 min"), (90000, "1 d 1 h"), (None, "")])
def test_an_age_has_at_most_two_units(seconds, text):
    assert age(seconds) == text


def states(found, **more):
    return [answer.state for answer in answers_of(Overview(found, **more))]


def test_all_is_well():
    assert states(found_object([route_object("erp")])) == ["good"] * 5


def test_each_question_notices_its_own_trouble():
    assert states(found_object([route_object("erp")], replicas=[]))[0] == "bad"
    assert states(found_object([route_object("erp", state="down")]))[0] == "bad"
    assert states(found_object([], clients=[{"name": "main", "up": False, "reason": "invalid_client", "budget_used": 0, "budget_limit": None}]))[0] == "bad"
    assert states(found_object([route_object("erp", oldest_s=900)]), late=frozenset({"erp"}))[1] == "bad"
    assert states(found_object([route_object("erp", dead=1)]))[2] == "bad"
    assert states(found_object([], unrouted=1))[2] == "bad"
    assert states(found_object([], problems=["a.yaml:1: x"]))[3] == "bad"
    assert states(found_object([route_object("erp", state="paused")]))[4] == "warn"


def test_why_a_client_is_down_and_why_letters_died_is_told():
    clients = [{"name": "main", "up": False, "reason": "the token was refused: invalid_client", "budget_used": 0, "budget_limit": None}]
    answers = answers_of(Overview(found_object([route_object("erp", dead=2)], clients=clients)), [letter_row("a"), letter_row("b")])
    assert answers[0].details == ("client main is down: the token was refused: invalid_client",)
    assert answers[2].details == ("rejected: Halo answered 400 (2)",)


def test_a_flow_chart_has_a_box_for_each_step_also_with_a_loop_and_no_two_boxes_overlap():
    steps = (
        FlowChartStep("a", "a: which way?", "condition", (("b", "x"), ("c", "else"))),
        FlowChartStep("b", "b", "method", (("d", ""), ("c", "on failure"))),
        FlowChartStep("c", "c", "end"),
        FlowChartStep("d", "d", "method", (("a", "again"),)),
    )
    found = layout(FlowChart("a", ("queue q",), steps))
    assert {box.name for box in found.boxes} == {"a", "b", "c", "d"}
    assert len({(box.x, box.y) for box in found.boxes}) == 4
    assert [line.way for line in found.lines if line.back] == [("b", "c"), ("d", "a")]
    assert all(0 <= box.x <= found.width - 190 and 0 <= box.y <= found.height - 40 for box in found.boxes)
