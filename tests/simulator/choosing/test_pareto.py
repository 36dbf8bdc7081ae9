import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tierlab.simulator.choosing.pareto import pareto


def by_definition(costs):
    n = len(costs)
    beaten = [
        any((costs[j] <= costs[i]).all() and (costs[j] < costs[i]).any() for j in range(n))
        for i in range(n)
    ]
    return ~np.array(beaten, bool)


@given(st.integers(1, 4), st.data())
def test_the_front_is_what_nothing_dominates(width, data):
    row = st.lists(st.integers(0, 4), min_size=width, max_size=width)
    costs = np.array(data.draw(st.lists(row, min_size=1, max_size=30)), float)
    assert (pareto(costs) == by_definition(costs)).all()


def test_a_row_without_a_figure_is_never_kept():
    assert pareto(np.array([[np.nan, 0.0], [1.0, 1.0]])).tolist() == [False, True]


def test_nothing_gives_nothing():
    assert pareto(np.empty((0, 2))).tolist() == []
