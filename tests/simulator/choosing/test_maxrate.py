import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.choosing.maxrate import (
    MaxRate,
    at_multiple,
    highest,
    rate_per_s,
    seek,
)
from tierlab.simulator.choosing.objective import parse_where
from tierlab.simulator.scenario.load import validate


def scenario(**workload):
    source = {"generator": "poisson", "parameters": {"requests": 300, "requests_per_s": 4.0}}
    data = {"model": "SmolLM2-135M", "hardware": "H200", "workload": {**source, **workload}}
    return validate(data, "test")


@given(st.floats(-7.9, 7.9), st.sampled_from([0.01, 0.05, 0.5]))
def test_the_edge_of_a_monotone_condition_is_found(exponent, tolerance):
    edge = math.exp(exponent)
    found = highest(lambda multiple: multiple <= edge, tolerance)
    assert found.holds <= edge < found.fails
    assert found.fails <= found.holds * (1 + tolerance)
    assert found.monotone


def test_what_always_or_never_holds_has_one_end():
    always, never = highest(lambda m: True, 0.1), highest(lambda m: False, 0.1)
    assert (always.holds, always.fails) == (4096.0, None)
    assert (never.holds, never.fails) == (None, 1 / 4096)


def test_a_gap_is_told():
    found = highest(lambda m: m <= 1.5 or 3.0 <= m <= 4.0, 0.01)
    assert found.holds < found.fails
    assert found.monotone
    wide = highest(lambda m: m <= 1.9 and not 1.3 < m < 1.5, 0.01)
    assert not wide.monotone or wide.holds < 1.31


@pytest.mark.parametrize(
    ("workload", "rate", "key", "after"),
    [
        ({"arrivals": "poisson", "rate_per_s": 3.0}, 3.0, "rate_per_s", 6.0),
        ({"arrivals": "gamma", "rate_per_s": 3.0}, 3.0, "rate_per_s", 6.0),
        (
            {"arrivals": "closed", "session_starts": "poisson", "sessions_per_s": 0.5},
            0.5,
            "sessions_per_s",
            1.0,
        ),
    ],
)
def test_the_key_that_says_the_rate_is_turned(workload, rate, key, after):
    made = scenario(**workload)
    assert rate_per_s(made) == rate
    assert getattr(at_multiple(made, 2.0).workload, key) == after


def test_logged_arrivals_are_pressed_together():
    made = scenario(arrival_scale=0.5)
    assert rate_per_s(made) == pytest.approx(8.0, rel=0.2)
    assert rate_per_s(at_multiple(made, 2.0)) == pytest.approx(2 * rate_per_s(made))


def test_the_bracket_of_a_real_search_holds_when_run_alone():
    from tierlab.simulator.metrics.summary import summarise
    from tierlab.simulator.serving.run import simulate
    from tierlab.simulator.sweep.figures import run_figures

    made = scenario(arrivals="poisson", rate_per_s=5.0)
    asked = MaxRate((parse_where("ttft_p99_s<=0.05"),), 0.1)

    def alone(each):
        return run_figures(summarise(simulate(each)))

    found = seek(made, asked, alone)
    low, high = found["max_rate_per_s"], found["max_rate_fails_per_s"]
    assert low < high <= low * 1.1 * (1 + 1e-9)
    at_low, at_high = (alone(at_multiple(made, rate / 5.0)) for rate in (low, high))
    assert at_low["ttft_p99_s"] <= 0.05 < at_high["ttft_p99_s"]
    assert found["ttft_p99_s"] == at_low["ttft_p99_s"]
    assert found["max_rate_bounded"]


def test_a_level_that_never_holds_gives_the_lowest_rate_tried():
    found = seek(
        scenario(arrivals="poisson", rate_per_s=4096.0),
        MaxRate((parse_where("x<=0"),)),
        lambda each: {"x": each.workload.rate_per_s},
    )
    assert found["max_rate_per_s"] == 0.0
    assert found["x"] == found["max_rate_fails_per_s"] == 1.0


@pytest.mark.parametrize("tolerance", [0, 2, True, "x"])
def test_a_tolerance_out_of_reach_is_refused(tolerance):
    with pytest.raises(BadInput, match=r"0.001 to 1"):
        MaxRate((), tolerance).check("t")


def test_the_level_of_the_slo_is_the_default():
    assert MaxRate().holds({"slo_attainment": 0.99})
    assert not MaxRate().holds({"slo_attainment": 0.98})
    with pytest.raises(BadInput, match="no service level"):
        seek(scenario(), MaxRate(), lambda each: {})
