import pytest

from tierlab.kernels.base.errors import BadInput
from tierlab.simulator.choosing.objective import Where, parse_objective, parse_where

FIGURES = ["usd_per_million_output_tokens", "ttft_p99_s", "goodput_requests_per_s", "largest_batch"]


@pytest.mark.parametrize(
    ("text", "column", "maximise"),
    [
        ("cost", "usd_per_million_output_tokens", False),
        ("Cost", "usd_per_million_output_tokens", False),
        ("ttft", "ttft_p99_s", False),
        ("goodput", "goodput_requests_per_s", True),
        ("capacity", "largest_batch", True),
        ("ttft_p99_s", "ttft_p99_s", False),
        ("max:ttft_p99_s", "ttft_p99_s", True),
        ("min:goodput", "goodput_requests_per_s", False),
    ],
)
def test_an_objective_is_a_figure_and_a_way(text, column, maximise):
    found = parse_objective(text, FIGURES)
    assert (found.column, found.maximise) == (column, maximise)


def test_capacity_prefers_the_rate_that_was_sought():
    assert parse_objective("capacity", [*FIGURES, "max_rate_per_s"]).column == "max_rate_per_s"


@pytest.mark.parametrize(
    ("text", "hint"), [("ttft_p9_s", "ttft_p99_s"), ("energy", "cost"), ("up:cost", "min:FIGURE")]
)
def test_what_is_no_objective(text, hint):
    with pytest.raises(BadInput, match=hint):
        parse_objective(text, FIGURES)


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        ("x<=2", 2.0, True),
        ("x<2", 2.0, False),
        ("x >= 2", 2, True),
        ("x>2", 2, False),
        ("x==true", True, True),
        ("x!=true", True, False),
        ("x==memory", "memory", True),
        ("x!=memory", "memory", False),
        ("x<=1e-3", 0.0005, True),
        ("x<=2", None, False),
        ("x!=2", None, False),
        ("x<=2", "two", False),
    ],
)
def test_a_bound_holds_or_not(text, value, holds):
    assert parse_where(text).holds({"x": value}) is holds


def test_a_bound_knows_short_names():
    bound = parse_where("cost<=5")
    assert bound == Where("cost", "<=", 5.0)
    assert bound.holds({"usd_per_million_output_tokens": 4.0})
    assert bound.text == "cost<=5"


@pytest.mark.parametrize("text", ["", "x", "x<=", "<=2", "x=<2", "x<=nan", "x<=soon", "x~2"])
def test_what_is_no_bound(text):
    with pytest.raises(BadInput, match="--where"):
        parse_where(text)
