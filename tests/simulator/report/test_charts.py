"""Axes hold what they show, and marks lie where the numbers say."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierlab.simulator.report.axes import Axis, clock, linear, logarithmic
from tierlab.simulator.report.charts import Bar, Bars, Chart, Line, draw, draw_bars

NUMBERS = st.lists(st.floats(0, 1e15), min_size=1, max_size=20).map(np.array)


@given(NUMBERS, st.sampled_from(["bytes", "s", "count"]))
def test_a_linear_axis_holds_all_values_and_has_ticks(values, kind):
    axis = linear("x", kind, [values])
    assert axis.low <= values.min()
    assert axis.high >= values.max()
    ticks = axis.ticks()
    assert 1 <= len(ticks) <= 12
    assert all(axis.low <= tick <= axis.high * (1 + 1e-9) for tick in ticks)


@given(NUMBERS)
def test_a_logarithmic_axis_has_an_order(values):
    axis = logarithmic("x", "s", [values])
    assert 0 < axis.low < axis.high
    placed = axis.place(np.sort(values))
    assert np.all(np.diff(placed) >= 0)
    assert np.all((placed >= 0) & (placed <= 1))


def test_bytes_have_round_binary_ticks():
    axis = linear("x", "bytes", [np.array([0.0, 110 * 2.0**30])])
    assert {tick / 2**30 % 25 for tick in axis.ticks()} == {0.0}


@pytest.mark.parametrize(
    ("end_s", "unit"), [(5.0, "seconds"), (600.0, "minutes"), (86400.0, "hours"), (1e6, "days")]
)
def test_time_reads_in_its_unit(end_s, unit):
    assert clock("simulated time", end_s).title.endswith(unit)


def test_a_line_lies_where_its_numbers_say_and_its_name_is_text():
    x, y = Axis("x", "number", 0.0, 10.0), Axis("y", "number", 0.0, 4.0)
    line = Line('<b>"', np.array([0.0, 5.0, np.nan, 10.0]), np.array([0.0, 1.0, 2.0, 4.0]), 8)
    text = draw(Chart("<t>", "s", x, y, [line]))
    assert 'd="M0.0 1000.0L500.0 750.0L1000.0 0.0"' in text
    assert 'class="line s1 d1"' in text
    assert "<b>" not in text
    assert "<t>" not in text


def test_parts_of_a_bar_have_one_scale_and_sum_to_it():
    bars = Bars("t", "s", "count", [Bar("a", [(0, "x", 30.0), (1, "y", 10.0)]), Bar("b", [])])
    text = draw_bars(bars)
    widths = [float(w) for w in re.findall(r"width:([\d.]+)%", text)]
    assert widths == [75.0, 25.0]
    assert "a: x 30, 75.0%" in text
    assert ">–<" in text
