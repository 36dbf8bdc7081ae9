"""The headline says what the figures say."""

import dataclasses

import polars as pl
import pytest

from tierlab.simulator.choosing.choose import choose
from tierlab.simulator.choosing.objective import parse_where
from tierlab.simulator.report.figures import COST, change, figure, setting, shown
from tierlab.simulator.report.markup import data, delta
from tierlab.simulator.report.read import read_folders
from tierlab.simulator.report.trust import cautions
from tierlab.simulator.report.words import run_headline, sweep_headline


@pytest.fixture(scope="module")
def known(runs):
    return read_folders(runs)[0]


def with_figures(run, name, **figures):
    return dataclasses.replace(run, name=name, figures=run.figures | figures)


def test_the_cheapest_that_meets_the_slo_against_the_baseline(known):
    a = with_figures(known[0], "a", slo_attainment=0.5, **{COST: 10.0})
    b = with_figures(known[0], "b", slo_attainment=0.995, **{COST: 8.0})
    c = with_figures(known[0], "c", slo_attainment=1.0, **{COST: 9.0})
    first, slo = run_headline([a, b, c])
    assert first.startswith("The cheapest design that meets the SLO is b, at $8.00")
    assert "20.0% less than the baseline a, of whose requests 50% are within it" in first
    assert slo == (
        "The SLO: TTFT within 30 s and TPOT within 100 ms for 99% of all requests. "
        "2 of 3 designs meet it."
    )


def test_no_design_meets_the_slo(known):
    a = with_figures(known[0], "a", slo_attainment=0.5, **{COST: 10.0})
    b = with_figures(known[0], "b", slo_attainment=0.7, **{COST: None})
    assert run_headline([a, b])[0] == (
        "No design meets the SLO. The closest is b: 70% of requests are within it."
    )


def test_without_an_slo_nothing_is_called_good(known):
    bare = [
        dataclasses.replace(run, manifest=run.manifest | {"scenario": run.scenario | {"slo": {}}})
        for run in known
    ]
    told = run_headline(bare)
    assert told[0].startswith("The cheapest design is ")
    assert told[-1].startswith("No SLO is set")


def points(**columns):
    base = {"point": [0, 1, 2], "status": ["ok"] * 3, "error": [None] * 3}
    return pl.DataFrame({**base, "size": [1, 2, 3], **columns})


def test_a_sweep_names_its_best_point_and_its_bound():
    frame = points(**{COST: [1.0, 2.0, 3.0], "ttft_p99_s": [9.0, 2.0, 1.0]})
    told = sweep_headline(choose(frame, ["size"], ["cost", "ttft"], [parse_where("ttft<=2")]))
    assert told[0].startswith("The cheapest of 2 points that meet “TTFT, p99” ≤ 2 s is point 1 ")
    assert (
        "(size 2): cost per million output tokens, tiers as sized $2.00; TTFT, p99 2 s." in told[0]
    )
    assert told[1].startswith("The best in TTFT, p99 of 2 points")


def test_of_points_as_cheap_the_headline_takes_the_fastest():
    frame = points(**{COST: [1.0, 1.0, 3.0], "ttft_p99_s": [9.0, 2.0, 1.0]})
    assert "is point 1 (size 2)" in sweep_headline(choose(frame, ["size"], ["cost", "ttft"]))[0]


def test_a_sweep_of_which_no_point_meets_the_bounds():
    frame = points(**{COST: [1.0, 2.0, 3.0], "ttft_p99_s": [9.0, 8.0, 7.0]})
    told = sweep_headline(choose(frame, ["size"], ["cost"], [parse_where("ttft<=2")]))
    assert told == ["No point of 3 meets “TTFT, p99” ≤ 2 s."]


def test_cautions_name_few_requests_and_different_questions(known):
    told = cautions(known)
    assert any("its p99 rests on" in text for text in told)
    assert not any("No time in these runs was measured" in text for text in told)
    sources = known[0].summary["sources"] | {"datasheet": 1.0, "calibrated": 0.0}
    plain = dataclasses.replace(known[0], summary=known[0].summary | {"sources": sources})
    (said,) = [t for t in cautions([plain]) if "No time in these runs was measured" in t]
    assert known[0].manifest["resolved"]["time_model"] in said
    decode = known[0].summary["times"]["decode"] | {"outside": 0.4, "origins": {"roofline": 0.3}}
    decode["origins"] |= {"schedule": 0.5}
    times = known[0].summary["times"] | {"decode": decode}
    guessed = dataclasses.replace(known[0], summary=known[0].summary | {"times": times})
    said = cautions([guessed])
    assert any("40% of the time of a typical decode step is of shapes" in t for t in said)
    assert any("30% of the time of a typical decode step is the roofline's" in t for t in said)
    assert any(
        "50% of the time of a typical decode step is attention's by a sch" in t for t in said
    )
    assert not any("a schedule" in t for t in told)
    other = dataclasses.replace(
        known[1], manifest=known[1].manifest | {"scenario": known[1].scenario | {"seed": 7}}
    )
    assert any("differ in seed" in text for text in cautions([known[0], other]))
    assert not any("differ in" in text for text in told)


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (None, "s", "–"),
        (0.0123, "s", "12.3 ms"),
        (2.0**37, "bytes", "128 GiB"),
        (1234.5, "usd", "$1,234.50"),
        (0.0123, "usd", "$0.0123"),
        (0.98765, "share", "98.77%"),
        (1234567, "count", "1,234,567"),
        (True, "number", "yes"),
    ],
)
def test_figures_are_written_with_their_units(value, kind, text):
    assert shown(value, kind) == text


def test_round_decimal_capacities_stay_decimal():
    assert setting("tiers.ssd.capacity", 4e12) == "4 TB"
    assert setting("tiers.dram.capacity", 2.0**37) == "128 GiB"


def test_a_change_says_whether_it_is_good():
    assert change(None, 1.0) is None
    assert change(1.0, 0.0) is None
    assert 'class="good"' in delta(0.9, 1.0, figure("ttft_p99_s"))
    assert 'class="bad"' in delta(0.9, 1.0, figure("goodput_requests_per_s"))
    assert "25 points" in delta(0.75, 0.5, figure("hit_ratio"))
    assert 'class="same"' in delta(1.0, 1.0, figure("ttft_p99_s"))


def test_data_cannot_end_its_element():
    text = data("x", {"</script><script>": "<!-- \u2028 &"})
    assert text.count("<") == 2
    assert "\u2028" not in text
