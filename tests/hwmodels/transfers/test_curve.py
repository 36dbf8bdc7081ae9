"""Interpolation of measured pieces: exact where the machine is simple, flagged outside."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierlab.hwmodels.transfers.curve import ASSUMED, PER_OCTAVE, Node, PieceCurve, left_out

SIZES = (4096, 65536, 2**20)
DEPTHS = (1, 4, 32)


def told(size, depth):
    return 80e-6 / depth + 2e-6 + size / 5e9


def curve(depths=DEPTHS, sizes=SIZES, spread=1.0):
    return PieceCurve(
        Node(d, s, told(s, d), told(s, d) / spread, told(s, d) * spread)
        for d in depths
        for s in sizes
    )


@given(st.floats(4096, 2**20), st.floats(1, 32))
def test_latency_issue_and_bandwidth_are_told_apart_exactly(size, depth):
    found = curve().at(size, depth)
    assert found.seconds == pytest.approx(told(size, depth), rel=1e-9)
    assert not found.outside
    assert found.p10 <= found.seconds <= found.p90


def test_outside_the_sizes_the_estimate_is_flagged_and_its_band_widens():
    made = curve()
    small, large = made.at(1024, 1), made.at(2**24, 1)
    assert small.seconds == told(4096, 1)
    assert large.seconds == pytest.approx(16 * told(2**20, 1))
    assert small.outside
    assert large.outside
    assert large.p90 / large.seconds == pytest.approx(math.exp(ASSUMED + 4 * PER_OCTAVE))


def test_deeper_than_measured_is_of_no_more_use():
    found = curve().at(65536, 128)
    assert found.seconds == told(65536, 32)
    assert found.outside


def test_fewer_than_measured_wait_as_long_as_the_fewest_together():
    found = curve(depths=(4, 32)).at(65536, 1)
    assert found.seconds == pytest.approx(4 * told(65536, 4))
    assert found.outside


def test_at_a_measured_size_the_band_is_the_measured_spread():
    found = curve(spread=1.3).at(65536, 4)
    assert found.p90 / found.seconds == pytest.approx(1.3)
    between = curve(spread=1.3).at(70000, 4)
    assert between.p90 / between.seconds == pytest.approx(
        math.exp(math.hypot(math.log(1.3), ASSUMED))
    )


def test_the_error_between_sizes_is_what_leaving_them_out_shows():
    sizes = [4096 * 4**k for k in range(6)]
    bent = [1e-6 * 1.5**k if k % 2 else 1e-6 * 1.5**k * 1.2 for k in range(6)]
    nodes = [Node(1, s, t, t, t) for s, t in zip(sizes, bent, strict=True)]
    errors = left_out(nodes)
    third = bent[1] + (bent[3] - bent[1]) * (sizes[2] - sizes[1]) / (sizes[3] - sizes[1])
    assert errors[1] == pytest.approx(math.log(third / bent[2]))
    made = PieceCurve(nodes)
    assert min(map(abs, errors)) < made.between <= max(map(abs, errors))


def test_of_rows_alike_the_fastest_stands():
    made = PieceCurve([Node(1, 4096, 2e-5, 2e-5, 2e-5), Node(1, 4096, 1e-5, 1e-5, 1e-5)])
    assert made.at(4096).seconds == 1e-5
