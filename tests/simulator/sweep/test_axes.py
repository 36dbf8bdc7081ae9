import math

import numpy as np
import pytest
from scipy.stats import qmc

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.sweep.axes import MOST_POINTS, make_axes


def column(axes, key):
    (axis,) = [each for each in axes if key in each.keys]
    return [row[axis.keys.index(key)] for row in axis.rows]


def test_keys_may_be_nested_or_dotted():
    axes = make_axes({"engine": {"block_size": [16, 32]}, "time.band": ["p10"]}, [], 0, "s")
    assert [axis.keys for axis in axes] == [("engine.block_size",), ("time.band",)]


def test_a_range_ends_where_it_says():
    values = column(make_axes({"x.y": {"from": 0.5, "to": 2.5, "steps": 5}}, [], 0, "s"), "x.y")
    assert values == [0.5, 1.0, 1.5, 2.0, 2.5]


def test_a_log_range_has_equal_ratios_and_exact_ends():
    spec = {"from": 0.1, "to": 100.0, "steps": 4, "log": True}
    values = column(
        make_axes({"workload.arrival_scale": spec}, [], 0, "s"), "workload.arrival_scale"
    )
    assert values[0] == 0.1
    assert values[-1] == 100.0
    assert np.diff(np.log(values)) == pytest.approx(math.log(10.0))


def test_a_key_of_whole_numbers_is_rounded_and_repeats_fall_out():
    spec = {"from": 1, "to": 3, "steps": 9}
    assert column(make_axes({"engine.replicas": spec}, [], 0, "s"), "engine.replicas") == [1, 2, 3]


def test_a_key_of_any_number_is_not_rounded():
    spec = {"from": 1, "to": 2, "steps": 3}
    values = column(
        make_axes({"workload.arrival_scale": spec}, [], 0, "s"), "workload.arrival_scale"
    )
    assert values == [1.0, 1.5, 2.0]


def test_capacities_may_have_units():
    key = "tiers.dram.capacity"
    assert column(make_axes({key: ["1 GiB", "2 GB"]}, [], 0, "s"), key) == [2.0**30, 2e9]
    spec = {"from": "1 GiB", "to": "4 GiB", "steps": 3, "log": True}
    assert column(make_axes({key: spec}, [], 0, "s"), key) == pytest.approx([2**30, 2**31, 2**32])


def test_sobol_keys_share_one_seeded_sample():
    spec = {"sobol": 8, "from": 0.0, "to": 1.0}
    axes = make_axes({"a.b": spec, "c.d": spec}, [], 7, "s")
    assert [(axis.keys, len(axis)) for axis in axes] == [(("a.b", "c.d"), 8)]
    assert np.array(axes[0].rows) == pytest.approx(qmc.Sobol(2, rng=7).random(8))
    assert make_axes({"a.b": spec, "c.d": spec}, [], 7, "s") == axes
    assert make_axes({"a.b": spec, "c.d": spec}, [], 8, "s") != axes


def test_sobol_counts_need_no_power_of_two():
    axes = make_axes({"a.b": {"sobol": 5, "from": 1.0, "to": 100.0, "log": True}}, [], 0, "s")
    values = column(axes, "a.b")
    assert len(set(values)) == 5
    assert all(1.0 <= value <= 100.0 for value in values)


def test_zipped_keys_move_together():
    axes = make_axes({}, [{"a": {"b": [1, 2]}, "c.d": ["x", "y"]}], 0, "s")
    assert axes[0].keys == ("a.b", "c.d")
    assert axes[0].rows == ((1, "x"), (2, "y"))


@pytest.mark.parametrize(
    ("vary", "zips", "message"),
    [
        ({}, [], "nothing varies"),
        ({"a": 3}, [], "vary.a: 3 does not vary"),
        ({"a": []}, [], "the list is empty"),
        ({"a": [1, 2, 1]}, [], "1 stands there twice"),
        ({"a": {}}, [], "does not vary"),
        ({"a": {"from": 1, "to": 2}}, [], "`steps` is missing"),
        ({"a": {"from": 1, "to": 2, "steps": 1}}, [], "1 is no number of values"),
        ({"a": {"from": 2, "to": 1, "steps": 3}}, [], "does not rise"),
        ({"a": {"from": 0, "to": 1, "steps": 3, "log": True}}, [], "has no logarithm"),
        ({"a": {"from": 0, "to": 1, "steps": 3, "log": 1}}, [], "no yes or no"),
        ({"a": {"from": "x", "to": 1, "steps": 3}}, [], "'x' is no number"),
        ({"a": {"from": 0, "to": 1, "steps": 3, "by": 2}}, [], "unknown key 'by'"),
        ({"a": {"from": 0, "to": 1, "steps": 3, "sobol": 2}}, [], "unknown key 'steps'"),
        ({"a": {"from": 0, "to": 1, "sobol": 0}}, [], "0 is no number of values"),
        (
            {"a": {"from": 0, "to": 1, "sobol": 2}, "b": {"from": 0, "to": 1, "sobol": 4}},
            [],
            "sobol of 2 and 4",
        ),
        ({}, [{"a": [1], "b": [1, 2]}], "a has 1, b has 2"),
        ({}, [{"a": {"from": 0, "to": 1, "steps": 3}}], "cannot be zipped"),
        ({}, [3], "no table of lists"),
        ({"a": [1]}, [{"a": [2]}], "varies twice"),
        ({"a": list(range(400)), "b": list(range(400))}, [], "400 x 400 = 160,000 points"),
    ],
)
def test_what_cannot_vary_is_refused(vary, zips, message):
    with pytest.raises(BadInput, match=r"^s") as error:
        make_axes(vary, zips, 0, "s")
    assert message in error.value.line()


def test_the_limit_is_stated():
    with pytest.raises(BadInput, match=f"at most {MOST_POINTS:,}"):
        make_axes({"a": list(range(2001)), "b": list(range(50))}, [], 0, "s")
